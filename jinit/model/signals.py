"""Propagation of known values through operations without parameters among their operands."""

from dataclasses import replace

from jinit.model.known_values import CONSTANT, KnownValue
from jinit.model.operation import Operation
from jinit.model.primitives import SUMS, VALUE_PRESERVING
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS, TrackedWeight, move_weight


def propagate_signals(
    operation: Operation,
    operands: list[KnownValue],
    joined_site: int | None,
    chosen_weights: tuple[TrackedWeight, ...] = (),
) -> list[KnownValue]:
    """Return the known results of an operation on signals and constants.

    Args:
      operation: the operation.
      operands: what is known of its operands.
      joined_site: site of the contraction to which a sum of products with slices of one kernel
        belongs, if the operation is such a sum.
      chosen_weights: parameters that are still kernels in the result.
    """
    name, first = operation.name, operands[0] if operands else CONSTANT
    is_signal = any(value.is_signal for value in operands)
    is_move = name in VALUE_PRESERVING or (name in AXIS_MOVES and name not in REDUCTIONS)
    if is_signal and is_move:
        result = KnownValue(
            is_signal=True,
            is_noise=first.is_noise,
            is_indicator=first.is_indicator,
            contraction_site=first.contraction_site,
        )
        if first.chosen_weights:
            return [
                replace(result, chosen_weights=chosen)
                for chosen in move_weights(first.chosen_weights, operation)
            ]
    elif is_signal:
        site = _shifted_contraction(name, operands) if joined_site is None else joined_site
        result = KnownValue(
            is_signal=True,
            is_noise=all(value.is_noise for value in operands if value.is_signal),
            is_indicator=name == "eq",
            contraction_site=site,
            chosen_weights=chosen_weights,
        )
    else:
        result = CONSTANT
    return [result] * len(operation.results)


def move_weights(
    weights: tuple[TrackedWeight, ...], operation: Operation
) -> list[tuple[TrackedWeight, ...]]:
    """Return the parameters in every result of an operation that does not change entries."""
    numbers = range(len(operation.results))
    if operation.name not in AXIS_MOVES:
        return [weights for _ in numbers]
    return [
        tuple(move_weight(weight, operation, number) for weight in weights) for number in numbers
    ]


def _shifted_contraction(name: str, operands: list[KnownValue]) -> int | None:
    """Return the site of the contraction to which a constant is added, if this is such a sum."""
    constants = [value for value in operands if value == CONSTANT]
    return operands[0].contraction_site if name in SUMS and constants else None
