"""Any initialization function, unmodified, with the same values in less time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Graph
from jinit.programs.calls import Call, ConstantArray, is_traced, run_calls
from jinit.programs.draws import OutputDraws, draw_graph
from jinit.programs.evaluate import draw_outputs
from jinit.programs.host_keys import HostKeys
from jinit.programs.slices import output_slicer

_P = ParamSpec("_P")
_T = TypeVar("_T")


def fast_init(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a faster initialization function with the same values.

    The function is traced, not run, and cut into one small program per array that it returns.
    Computation that only a forward pass needs is removed, equal programs compile once and in
    parallel, and random bits come from jinit's sampler. It works for `module.init`, for a function
    that constructs an NNX, Equinox or Haiku model, and for any other function that JAX can trace.

    Args:
      function: takes and returns trees of arrays; other values in them are passed through.

    Returns:
      A function of the same arguments that returns the same values, up to one unit in the last
      place where XLA rounds a whole computation differently from its parts.

    Raises:
      TypeError: if `function` is not callable, or is a module and not its `init`; errors of
        `function` are raised when it is traced.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> init = nn.Dense(3).init
    >>> ours, theirs = (f(jax.random.key(0), jnp.ones((1, 4))) for f in (fast_init(init), init))
    >>> bool((ours["params"]["kernel"] == theirs["params"]["kernel"]).all())
    True
    """
    if not callable(function) or hasattr(function, "apply"):
        raise TypeError(
            f"fast_init: expected an initialization function such as module.init, got "
            f"{type(function).__name__}"
        )
    traced: dict[Any, _TracedFunction] = {}

    @wraps(function)
    def initialize(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        leaves, tree = jax.tree.flatten((args, kwargs))
        signature = tree, tuple(map(_signature, leaves))
        if signature not in traced:
            draws = _TracedFunction.from_function(function, leaves, tree)
            if draws is None:
                return function(*args, **kwargs)
            traced[signature] = draws
        return traced[signature].run([leaf for leaf in leaves if _is_array(leaf)])

    return initialize


@dataclass(frozen=True, eq=False)
class _TracedFunction:
    """A function cut into draws, with all that is needed to assemble its result."""

    graph: Graph
    keys: HostKeys
    draws: OutputDraws
    avals: tuple[Any, ...]
    """Shapes and dtypes of the arrays in the result."""
    result_leaves: list[Any]
    """Leaves of the result; None stands for an array, which comes from `draws`, in order."""
    tree: Any
    """Tree structure of the result."""

    @classmethod
    def from_function(
        cls, function: Callable[..., Any], leaves: Sequence[Any], tree: Any
    ) -> "_TracedFunction | None":
        """Trace a function, with arguments other than arrays as constants.

        Returns None for a function of traced values that are not among its arguments, which
        differ from call to call.

        Args:
          function: the function.
          leaves: leaves of its positional and keyword arguments.
          tree: tree structure of these arguments.
        """
        others: list[Any] = []
        structure: list[Any] = []

        def return_arrays(*values: Array) -> list[Array]:
            remaining = iter(values)
            filled = [next(remaining) if _is_array(leaf) else leaf for leaf in leaves]
            args, kwargs = jax.tree.unflatten(tree, filled)
            result, result_tree = jax.tree.flatten(function(*args, **kwargs))
            others[:] = [None if _is_array(leaf) else leaf for leaf in result]
            structure[:] = [result_tree]
            return [leaf for leaf in result if _is_array(leaf)]

        closed = jax.make_jaxpr(return_arrays)(*[leaf for leaf in leaves if _is_array(leaf)])
        if is_traced(closed.consts):
            return None
        graph = draw_graph(closed)
        keys = HostKeys.from_graph(graph)
        draws = OutputDraws(output_slicer(graph, keys.key_avals))
        return cls(
            graph=graph,
            keys=keys,
            draws=draws,
            avals=tuple(closed.out_avals),
            result_leaves=others,
            tree=structure[0],
        )

    def run(self, arrays: Sequence[Array]) -> Any:
        """Return the function's result for other arrays of the same shapes."""
        inputs = dict(zip(self.graph.inputs, arrays, strict=True))
        drawn = self._draw_inline(arrays) if is_traced(arrays) else self._run_programs(inputs)
        remaining = iter(drawn)
        filled = [next(remaining) if leaf is None else leaf for leaf in self.result_leaves]
        return jax.tree.unflatten(self.tree, filled)

    def _draw_inline(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the arrays as one call of a program that is being traced, or of a vmap."""
        return self._draw_outputs(list(arrays))

    @cached_property
    def _draw_outputs(self) -> Callable[[list[Array]], list[Array]]:
        return jax.jit(lambda arrays: list(map(jnp.asarray, draw_outputs(self.graph, arrays))))

    def _run_programs(self, inputs: dict[int, Any]) -> list[Array]:
        """Return the arrays, drawn by compiled programs, the largest first."""
        values = inputs | self.keys.derive_keys(inputs)
        order = sorted(range(len(self.avals)), key=lambda number: -self.avals[number].size)
        arrays = run_calls(self._make_call(number, values) for number in order)
        results = dict(zip(order, arrays, strict=True))
        return [results[number] for number in range(len(self.avals))]

    def _make_call(self, number: int, values: dict[int, Any]) -> Call | ConstantArray:
        draw = self.draws[number]
        return draw.make_call(
            [values[name] for name in draw.output_slice.inputs], self.avals[number]
        )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Array | np.ndarray | np.generic)


def _signature(leaf: Any) -> Any:
    """Return what the trace depends on: shape and dtype of an array, and any other value."""
    if _is_array(leaf):
        return jnp.shape(leaf), str(leaf.dtype)
    return leaf
