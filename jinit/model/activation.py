"""Activations: scalar functions given by the elementwise operations of a traced computation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# Gauss–Hermite nodes per argument, for the means inside normalizations. Activations with kinks
# lose digits, but few digits are needed.
_NODE_COUNT = 200

_COMMUTATIVE = frozenset({"add", "mul", "max", "min"})

Operand = int | float
"""An integer numbers an argument or the result of an earlier operation; a float is a literal."""

PathEnd = Literal[
    "product", "attention", "residual", "shortcut", "pooling", "softmax", "output", "other"
]
"""How the elementwise path after a kernel ends: in a `product` with another parameter; in
`attention`, a product with another signal; in a residual sum, as its branch (`residual`) or as its
residual stream (`shortcut`); in `pooling`, a `softmax` or an `output`; or in an `other`
operation."""
PATH_ENDS: tuple[PathEnd, ...] = get_args(PathEnd)


@dataclass(frozen=True)
class ScalarOperation:
    """One elementwise operation, or a sum over the units of a normalization."""

    primitive: Any
    """JAX's primitive; `"mean"` for a sum, `"number"` for a conversion from integer to float."""
    params: dict[str, Any]
    operands: tuple[Operand, ...]
    sum_size: float = 0.0
    """Number of terms of a sum, whose result is `sum_size` times the mean; 0 otherwise."""
    sum_over: str = ""
    """Range of a sum: the `batch`, the `features`, or a `group` of positions or features."""

    @property
    def text(self) -> str:
        """Text that is equal for equal operations on the same operands."""
        settings = sorted((name, str(value)) for name, value in self.params.items())
        operands = sorted(self.operands) if str(self.primitive) in _COMMUTATIVE else self.operands
        return f"{self.primitive}{settings}{list(operands)}{self.sum_size}"

    @classmethod
    def product(cls, left: Operand, right: Operand) -> "ScalarOperation":
        """Return the product of two operands, with the parameters that this JAX gives products."""
        (equation,) = jax.make_jaxpr(jax.lax.mul)(1.0, 1.0).eqns
        return cls(equation.primitive, equation.params, (left, right))


class ActivationParts(NamedTuple):
    """An activation φ(z) = c·f(a·z) with its scales apart."""

    description: str
    """The operations, in words."""
    input_scale: float = 1.0
    output_scale: float = 1.0
    unscaled: "Activation | None" = None
    """The function f; None if it is φ itself."""


def list_primitives(activation: "Activation") -> ActivationParts:
    """Return an activation as one part, described by its operations."""
    steps = activation.scalar_operations
    names = ["mean" if step.sum_size else str(step.primitive) for step in steps]
    return ActivationParts(" ".join(names) or "identity")


@dataclass(frozen=True, eq=False, repr=False)
class Activation:
    """The elementwise function that follows a kernel, up to the next product, sum or output.

    It is called with one pre-activation, or with two if the unit is gated. Two activations are
    equal if they compute the same, so that the layers of a network share one.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: jnp.tanh(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> model.leaves[0].activation, model.leaves[0].activation.argument_count
    (tanh → product, 1)
    """

    argument_count: int
    """Number of pre-activations: 1, or 2 for a gated unit."""
    scalar_operations: tuple[ScalarOperation, ...]
    result: Operand
    end: PathEnd
    """How the path ends: in a `product` with another parameter; in `attention`, a product with
    another signal; in a residual sum, as its branch (`residual`) or as its residual stream
    (`shortcut`); in `pooling`, a `softmax` or an `output`; or in an `other` operation."""
    kernel_count: int = 1
    """Number of kernels whose products are summed into the argument: 2 in a recurrent cell."""
    take_apart: Callable[["Activation"], ActivationParts] = list_primitives
    """Function that separates its scales and describes it."""

    def __call__(self, *numbers: Any) -> Array:
        """Return φ of the pre-activations, entry by entry.

        Raises:
          TypeError: if the number of arguments is not `argument_count`.
        """
        if len(numbers) != self.argument_count:
            raise TypeError(
                f"{self!r} is a function of {self.argument_count} "
                f"pre-activation{'s' if self.argument_count > 1 else ''}, got {len(numbers)}"
            )
        return self._evaluate(self._normalization_means, *map(jnp.asarray, numbers))

    @property
    def has_normalization(self) -> bool:
        """Whether the function divides by the scale of its argument."""
        return any(step.sum_size for step in self.scalar_operations)

    @property
    def is_identity(self) -> bool:
        """Whether the function returns its argument."""
        return not self.scalar_operations and isinstance(self.result, int)

    @property
    def input_scale(self) -> float:
        """The constant a > 0 of φ(z) = c·f(a·z); of a gated unit, that of its first argument."""
        return self._parts.input_scale

    @property
    def output_scale(self) -> float:
        """The constant c > 0 of φ(z) = c·f(a·z); 1 if φ is linear."""
        return self._parts.output_scale

    @property
    def unscaled(self) -> "Activation":
        """The function f of φ(z) = c·f(a·z)."""
        return self if self._parts.unscaled is None else self._parts.unscaled

    @property
    def description(self) -> str:
        """The operations in words, such as `gelu`, `BatchNorm, then relu` or `10 x, then tanh`."""
        return self._parts.description

    @cached_property
    def _parts(self) -> ActivationParts:
        return self.take_apart(self)

    @cached_property
    def text(self) -> str:
        """Canonical text of what it computes."""
        return (
            f"{self.argument_count} {[step.text for step in self.scalar_operations]} {self.result}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self._equality_key == other._equality_key

    def __hash__(self) -> int:
        return hash(self._equality_key)

    @property
    def _equality_key(self) -> tuple[str, str, int]:
        return self.text, self.end, self.kernel_count

    def __repr__(self) -> str:
        return f"{self.description} → {self.end}"

    def _evaluate(self, means: Sequence[float], *numbers: Array) -> Array:
        values: list[Any] = list(numbers)
        dtype, shape = numbers[0].dtype, numbers[0].shape
        remaining_means = iter(means)

        def read(operand: Operand) -> Any:
            if isinstance(operand, float):
                return jnp.full(shape, operand, dtype)
            return values[operand]

        for step in self.scalar_operations:
            if step.sum_size:
                values.append(jnp.full(shape, next(remaining_means), dtype))
            elif step.primitive == "number":
                values.append(read(step.operands[0]).astype(dtype))
            else:
                values.append(_bind(step, [read(operand) for operand in step.operands]))
        return jnp.broadcast_to(read(self.result), shape)

    @cached_property
    def _normalization_means(self) -> list[float]:
        """Expected values that replace the sums inside normalizations.

        The pre-activations are taken as independent standard normal variables.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODE_COUNT)
        grid = np.meshgrid(*[nodes] * self.argument_count, indexing="ij")
        weight = math.prod(
            np.meshgrid(*[weights / weights.sum()] * self.argument_count, indexing="ij")
        )
        means: list[float] = []
        with jax.ensure_compile_time_eval():
            for number, step in enumerate(self.scalar_operations):
                if step.sum_size:
                    (operand,) = step.operands
                    summand = Activation(
                        self.argument_count, self.scalar_operations[:number], operand, "other"
                    )
                    values = summand._evaluate(means, *map(jnp.asarray, grid))
                    means.append(step.sum_size * float((np.asarray(values) * weight).sum()))
        return means


def _bind(step: ScalarOperation, operands: list[Any]) -> Any:
    params = step.primitive.get_bind_params(step.params)
    return step.primitive.bind(*operands, **params)


def evaluate_literals(step: ScalarOperation) -> float:
    """Return the result of an operation whose operands are all literals."""
    with jax.ensure_compile_time_eval():
        return float(_bind(step, [jnp.asarray(operand) for operand in step.operands]))
