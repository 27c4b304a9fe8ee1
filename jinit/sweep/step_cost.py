"""The work of one step of a lane, counted in its traced computation."""

import math
from typing import Any, NamedTuple, Self

import jax.extend.core as jex

from jinit.model import CONTRACTION_PRIMITIVES, bodies

_CPU_RATE, _CPU_EQUATION_SECONDS = 2e10, 5e-7
"""Operations per second of small networks on a CPU core, and the time that each equation takes."""


class StepCost(NamedTuple):
    """The work of a computation."""

    operations: float
    """Floating-point operations: two per product of a contraction, one per entry of other results.
    """
    result_bytes: float
    """Bytes of all its results, without reuse of memory."""
    equations: float
    """Number of operations on arrays."""
    has_convolutions: bool
    """Whether there is a convolution outside of its loops."""

    @property
    def cpu_seconds(self) -> float:
        """Seconds on a CPU core, as a guess: mostly it takes less."""
        return self.operations / _CPU_RATE + self.equations * _CPU_EQUATION_SECONDS

    @classmethod
    def of(cls, closed: jex.ClosedJaxpr) -> Self:
        """Return the cost of a computation; a loop of unknown length counts as one pass.

        Args:
          closed: the traced computation.

        >>> import jax, jax.numpy as jnp
        >>> StepCost.of(jax.make_jaxpr(jnp.dot)(jnp.ones((2, 3)), jnp.ones((3, 4)))).operations
        48.0
        """
        operations, result_bytes, equations, has_convolutions = 0.0, 0.0, 0.0, False
        for equation in closed.jaxpr.eqns:
            name = equation.primitive.name
            inner = [cls.of(body) for body in bodies(equation.params)]
            passes = equation.params["length"] if name == "scan" else 1
            operations += passes * sum(each.operations for each in inner)
            result_bytes += passes * sum(each.result_bytes for each in inner)
            equations += passes * sum(each.equations for each in inner)
            is_loop = name in ("scan", "while")
            has_convolutions |= not is_loop and any(each.has_convolutions for each in inner)
            if not inner:
                equations += 1
                operations += _operations(equation)
                result_bytes += sum(_bytes(variable.aval) for variable in equation.outvars)
                has_convolutions |= name == "conv_general_dilated"
        return cls(operations, result_bytes, equations, has_convolutions)


def _operations(equation: Any) -> float:
    entries = sum(math.prod(getattr(each.aval, "shape", ())) for each in equation.outvars)
    if equation.primitive.name not in CONTRACTION_PRIMITIVES:
        return float(entries)
    return 2.0 * entries * _products(equation)


def _products(equation: Any) -> float:
    """Return the products that are summed in one entry of a contraction's result."""
    left, right = (each.aval.shape for each in equation.invars[:2])
    numbers = equation.params.get("dimension_numbers")
    if equation.primitive.name == "conv_general_dilated":
        outputs = right[numbers.rhs_spec[0]]
        return math.prod(right) / outputs
    if equation.primitive.name == "ragged_dot_general":
        numbers = equation.params["ragged_dot_dimension_numbers"].dot_dimension_numbers
    return math.prod(left[axis] for axis in numbers[0][0])


def _bytes(aval: Any) -> int:
    """Return the bytes of a value; tokens have none."""
    itemsize = getattr(getattr(aval, "dtype", None), "itemsize", 0)
    return math.prod(getattr(aval, "shape", ())) * itemsize
