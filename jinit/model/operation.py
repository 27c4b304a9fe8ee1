"""One operation of a traced computation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

import jax.extend.core as jex

CONTRACTION_PRIMITIVES = frozenset({"dot_general", "ragged_dot_general", "conv_general_dilated"})
"""Operations that multiply entries of their first two operands and sum the products."""

Place = tuple[int, ...]
"""Position of an operation, preceded by the positions of its enclosing loops, outermost first."""


@dataclass(frozen=True)
class Operation:
    """One primitive applied to numbered values or to literals.

    >>> import jax.numpy as jnp
    >>> from jinit.model import Graph
    >>> graph = Graph.from_function(lambda x: jnp.sin(x) + 1, jnp.ones(3))
    >>> [operation.name for operation in graph.operations]
    ['sin', 'add']
    """

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]
    """Numbers of values, or literals of the jaxpr."""
    results: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of the results."""
    dtypes: tuple[str, ...]
    """Dtypes of the results."""
    operand_shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def from_equation(cls, equation: Any, operands: Sequence[Any], results: Sequence[int]) -> Self:
        """Return an equation of a jaxpr as an operation on these values."""
        return cls(
            primitive=equation.primitive,
            params=equation.params,
            operands=tuple(operands),
            results=tuple(results),
            shapes=_shapes(equation.outvars),
            dtypes=tuple(_dtype_name(getattr(var.aval, "dtype", "")) for var in equation.outvars),
            operand_shapes=_shapes(equation.invars),
        )

    @cached_property
    def name(self) -> str:
        """Name of the primitive; a `psum` over the axis of an outer `vmap` is a `reduce_sum`."""
        name, axes = self.primitive.name, self.params.get("axes", ())
        if name.startswith("psum") and self.shapes != self.operand_shapes:
            return "reduce_sum"
        return "copy" if name == "reduce_sum" and not axes else name

    @property
    def dot_dimension_numbers(self) -> Any:
        """Contracted axes and batch axes of both operands of a matrix product."""
        if self.name == "ragged_dot_general":
            return self.params["ragged_dot_dimension_numbers"].dot_dimension_numbers
        return self.params["dimension_numbers"]

    def bind(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results for the given values of the operands."""
        params = self.primitive.get_bind_params(self.params)
        results = self.primitive.bind(*operands, **params)
        return list(results) if self.primitive.multiple_results else [results]


_dtype_name = lru_cache(maxsize=None)(str)
"""`str(dtype)`, cached because NumPy is slow at it."""


def _shapes(atoms: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(getattr(atom.aval, "shape", ()) for atom in atoms)


def value_numbers(operands: Sequence[Any]) -> list[int]:
    """Return the operands that are numbers of values, not literals."""
    return [operand for operand in operands if isinstance(operand, int)]


def bodies(params: dict[str, Any]) -> Iterator[jex.ClosedJaxpr]:
    """Yield the computations among the parameters of an operation, such as a loop's body."""
    for value in params.values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, jex.ClosedJaxpr):
                yield item
            elif isinstance(item, jex.Jaxpr):
                yield jex.ClosedJaxpr(item, ())


def count_contractions(closed: jex.ClosedJaxpr) -> int:
    """Return the number of contractions in a computation, those of inner computations included."""
    return sum(
        (equation.primitive.name in CONTRACTION_PRIMITIVES)
        + sum(count_contractions(body) for body in bodies(equation.params))
        for equation in closed.jaxpr.eqns
    )


def needed_equations(closed: jex.ClosedJaxpr) -> list[Any]:
    """Return the equations that an output needs."""
    needed = {atom for atom in closed.jaxpr.outvars if isinstance(atom, jex.Var)}
    kept = []
    for equation in reversed(closed.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            kept.append(equation)
            needed.update(atom for atom in equation.invars if isinstance(atom, jex.Var))
    return kept[::-1]
