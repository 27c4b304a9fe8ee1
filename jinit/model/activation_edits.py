"""Edits of activations: operations found, left out, or cut off."""

from collections.abc import Set
from dataclasses import replace
from typing import NamedTuple

from jax import lax

from jinit.model.activation import Activation, Operand, ScalarOperation


class Factor(NamedTuple):
    """A product of a value and a constant."""

    value: Operand
    constant: float


def constant_factor(step: ScalarOperation) -> Factor | None:
    """Return the operand that an operation multiplies by a constant; None if it does not."""
    name, operands = str(step.primitive), step.operands
    if name == "neg":
        return Factor(operands[0], -1.0)
    if name not in ("mul", "div") or isinstance(operands[0], float) == isinstance(
        operands[1], float
    ):
        return None
    value, constant = operands
    if isinstance(value, float):
        return Factor(constant, value) if name == "mul" and value else None
    return Factor(value, float(constant) if name == "mul" else 1 / constant) if constant else None


def only_user(activation: Activation, value: int) -> int | None:
    """Return the position of the only operation that uses a value; None if there are others."""
    users = [
        position
        for position, step in enumerate(activation.scalar_operations)
        if value in [operand for operand in step.operands if isinstance(operand, int)]
    ]
    return users[0] if len(users) == 1 and value != activation.result else None


def drop_steps(
    activation: Activation, dropped: Set[int], value: Operand, negated: Set[int]
) -> Activation:
    """Return the activation without some operations, whose results become a value.

    Args:
      activation: the activation.
      dropped: positions of the operations.
      value: the value.
      negated: positions among them that negate the value instead.
    """
    count, numbers = activation.argument_count, {}
    steps: list[ScalarOperation] = []
    current: Operand = value

    def renumber(operand: Operand) -> Operand:
        return numbers.get(operand, operand) if isinstance(operand, int) else operand

    for position, step in enumerate(activation.scalar_operations):
        if position in negated:
            steps.append(ScalarOperation(lax.neg_p, {}, (value,)))
            current = count + len(steps) - 1
        elif position not in dropped:
            operands = tuple(map(renumber, step.operands))
            steps.append(replace(step, operands=operands))
        numbers[count + position] = current if position in dropped else count + len(steps) - 1
    return replace(activation, scalar_operations=tuple(steps), result=renumber(activation.result))


def last_factor(activation: Activation) -> Factor | None:
    """Return the operand that the last operation multiplies by a constant; None if it does not."""
    if isinstance(activation.result, float) or activation.result < activation.argument_count:
        return None
    position = activation.result - activation.argument_count
    return constant_factor(activation.scalar_operations[position])


def arguments_of(activation: Activation, operand: Operand) -> set[int]:
    """Return the arguments that a value depends on."""
    if isinstance(operand, float):
        return set()
    if operand < activation.argument_count:
        return {operand}
    step = activation.scalar_operations[operand - activation.argument_count]
    return set().union(*(arguments_of(activation, value) for value in step.operands))


def cut_steps(activation: Activation, first: int, result: Operand) -> Activation:
    """Return the operations from a position on as a function with this result.

    Args:
      activation: the activation.
      first: position of the first operation; the result of the one before is then the argument.
      result: the result.
    """
    steps = activation.scalar_operations
    if not first:
        last = result if isinstance(result, int) else activation.argument_count - 1
        kept = steps[: max(last - activation.argument_count + 1, 0)]
        return replace(activation, scalar_operations=kept, result=result)
    shift = activation.argument_count + first - 1

    def renumber(operand: Operand) -> Operand:
        return operand - shift if isinstance(operand, int) else operand

    moved = (replace(step, operands=tuple(map(renumber, step.operands))) for step in steps[first:])
    return replace(
        activation, argument_count=1, scalar_operations=tuple(moved), result=renumber(result)
    )
