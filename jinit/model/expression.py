"""A function of one or two numbers, as the elementary steps that a traced computation takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# Nodes per argument of the means that normalizations take; kinks cost digits, but few are needed.
_NODES = 200

_COMMUTING = frozenset({"add", "mul", "max", "min"})

Operand = int | float
"""A number of an argument or of an earlier step's result, or a literal."""


@dataclass(frozen=True)
class Step:
    """One elementwise operation; or, if `count` is not 0, so many times the mean of its operand."""

    primitive: Any
    """JAX's own; `"mean"` where there is a count, `"number"` for an integer turned into a float."""
    params: dict[str, Any]
    operands: tuple[Operand, ...]
    count: float = 0.0

    @property
    def text(self) -> str:
        """Equal for two steps that do the same to the same numbers."""
        settings = sorted((name, str(value)) for name, value in self.params.items())
        operands = sorted(self.operands) if str(self.primitive) in _COMMUTING else self.operands
        return f"{self.primitive}{settings}{list(operands)}{self.count}"


@dataclass(frozen=True, eq=False, repr=False)
class Activation:
    """What follows a kernel, entry by entry, up to the next product, sum or output.

    Called with one pre-activation, or with two if the unit is gated. Equal and hashable by what it
    computes, so that the layers of a network share one.
    """

    arguments: int
    steps: tuple[Step, ...]
    result: Operand
    end: str
    """Where the path ends: in a `product` with another parameter or, as `attention`, with another
    signal, in a `residual` sum as its branch or, as `shortcut`, as its stream, in `pooling`, a
    `softmax`, an `output`, or in something `other`."""
    kernels: int = 1
    """Whose products add up to its argument, as two do in a recurrent cell."""

    def __call__(self, *numbers: Any) -> Array:
        """φ of as many numbers as there are arguments, entry by entry."""
        if len(numbers) != self.arguments:
            raise TypeError(f"{self!r} takes {self.arguments} pre-activations, got {len(numbers)}")
        return self._run(self._means, *map(jnp.asarray, numbers))

    @property
    def normalizes(self) -> bool:
        """Whether the scale of its argument is divided out on the way."""
        return any(step.count for step in self.steps)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is done."""
        return not self.steps and isinstance(self.result, int)

    @cached_property
    def text(self) -> str:
        """What it computes, in words."""
        return f"{self.arguments} {[step.text for step in self.steps]} {self.result}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str, int]:
        return self.text, self.end, self.kernels

    def __repr__(self) -> str:
        names = [str(step.primitive) if not step.count else "mean" for step in self.steps]
        return f"{' '.join(names) or 'identity'} → {self.end}"

    def _run(self, means: Sequence[float], *numbers: Array) -> Array:
        values: list[Any] = list(numbers)
        dtype, shape = numbers[0].dtype, numbers[0].shape
        found = iter(means)

        def read(operand: Operand) -> Any:
            if isinstance(operand, float):
                return jnp.full(shape, operand, dtype)
            return values[operand]

        for step in self.steps:
            if step.count:
                values.append(jnp.full(shape, next(found), dtype))
            elif step.primitive == "number":
                values.append(read(step.operands[0]).astype(dtype))
            else:
                values.append(_bound(step, [read(operand) for operand in step.operands]))
        return jnp.broadcast_to(read(self.result), shape)

    @cached_property
    def _means(self) -> list[float]:
        """Of what normalizations divide by, for independent standard normal pre-activations."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        grid = np.meshgrid(*[nodes] * self.arguments, indexing="ij")
        weight = math.prod(np.meshgrid(*[weights / weights.sum()] * self.arguments, indexing="ij"))
        means: list[float] = []
        with jax.ensure_compile_time_eval():
            for number, step in enumerate(self.steps):
                if step.count:
                    (operand,) = step.operands
                    until = Activation(self.arguments, self.steps[:number], operand, "mean")
                    values = until._run(means, *map(jnp.asarray, grid))
                    means.append(step.count * float((np.asarray(values) * weight).sum()))
        return means


def _bound(step: Step, operands: list[Any]) -> Any:
    params = step.primitive.get_bind_params(step.params)
    return step.primitive.bind(*operands, **params)


def evaluated(step: Step) -> float:
    """The result of a step whose operands are all literals."""
    with jax.ensure_compile_time_eval():
        return float(_bound(step, [jnp.asarray(operand) for operand in step.operands]))
