"""A network as data: abstract parameters, a pure apply, and the graph of its computation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax

from jinit.model.branches import branches_of, numbered
from jinit.model.dependence import Contraction, contractions
from jinit.model.graph import Graph
from jinit.model.leaves import Leaf, described, paths_of
from jinit.model.walk import Site, sites


@dataclass(frozen=True, eq=False)
class Model:
    """What jinit's algorithms may see of a network; built by `trace`, whatever the framework.

    `params` is the tree of abstract parameters, `apply(params, *inputs)` a pure function, and
    `init(key)`, where the network knows it, draws its own initial parameters.

    >>> import jax, jax.numpy as jnp
    >>> model = trace(lambda params, x: jnp.tanh(x @ params), jnp.eye(4), jnp.ones((8, 4)))
    >>> model.leaves[0].shape, model.contractions[0].width
    ((4, 4), 4)
    """

    apply: Callable[..., Any]
    params: Any
    inputs: tuple[Any, ...]
    init: Callable[[jax.Array], Any] | None = None
    drawing: Any = None
    """The traced computation of `init`, where it is at hand; its outputs are the flat leaves."""
    state: tuple[str, ...] = ()
    """Kinds of values besides trained parameters, such as running statistics."""
    untrained: frozenset[str] = frozenset()
    """Paths of `params` that hold such values."""
    finish: Callable[[Any, jax.Array], Any] = lambda params, key: params
    """Parameters and the key of their draw to what the framework calls an initialized network."""
    annotated: Callable[[Any], Any] | None = None
    """A mesh to the tree of shardings that the network's own annotations ask for."""

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The `/`-joined path of every parameter, in the order of the parameter tree."""
        return paths_of(self.params)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every parameter with what the computation does to it, in execution order."""
        return tuple(leaf for _, leaf in self._described)

    @cached_property
    def _described(self) -> list[tuple[float, Leaf]]:
        flat = jax.tree.leaves(self.params)
        graph = Graph.within(jax.make_jaxpr(self.apply)(self.params, *self.inputs))
        found: list[list[tuple[int, Site]]] = [[] for _ in flat]
        every = sites(graph, [leaf.shape for leaf in flat])
        for number, site in enumerate(every):
            found[site.use.leaf].append((number, site))
        graphs = {id(site.values): site for site in every}
        sums = {name: branches_of(site.graph, site.values) for name, site in graphs.items()}
        streams = {name: one.streams for name, one in sums.items()}
        inside = numbered(every, sums)
        each = [
            described(*one, inside, streams) for one in zip(self.paths, flat, found, strict=True)
        ]
        return [
            (place, replace(leaf, role="state") if leaf.path in self.untrained else leaf)
            for place, leaf in sorted(each, key=lambda one: one[0])
        ]

    @cached_property
    def graph(self) -> Graph:
        """The flat graph of `apply`: its inputs are the parameter leaves, then the inputs'."""
        return Graph.of(self.apply, self.params, *self.inputs).pruned()

    @cached_property
    def contractions(self) -> tuple[Contraction, ...]:
        """Where weights meet signals, in execution order."""
        return contractions(self.graph, len(self.paths))

    @cached_property
    def layer_names(self) -> tuple[str, ...]:
        """The path of each contraction's kernel; uses after the first are numbered `#2`, `#3`."""
        names: list[str] = []
        for contraction in self.contractions:
            path = self.paths[contraction.kernel]
            uses = sum(name.partition("#")[0] == path for name in names)
            names.append(f"{path}#{uses + 1}" if uses else path)
        return tuple(names)


def trace(
    apply: Callable[..., Any],
    params: Any,
    *inputs: Any,
    init: Callable[[jax.Array], Any] | None = None,
) -> Model:
    """The Model of any pure function `apply(params, *inputs)`.

    Nothing is allocated or computed: parameters and inputs may be `jax.ShapeDtypeStruct`s.

    Args:
      apply: pure function of parameters and inputs.
      params: tree of parameters, arrays or shapes. inputs: example inputs, arrays or shapes.
      init: draws initial parameters from a key, if the network knows how.

    Raises:
      TypeError: `apply` is not callable.

    >>> import jax, jax.numpy as jnp
    >>> shape = jax.ShapeDtypeStruct
    >>> params = {"w": shape((4, 3), jnp.float32), "b": shape((1, 3), jnp.float32)}
    >>> model = trace(lambda p, x: x @ p["w"] + p["b"], params, shape((8, 4), jnp.float32))
    >>> [leaf.path for leaf in model.leaves], model.layer_names
    (['w', 'b'], ('w',))
    """
    if not callable(apply):
        raise TypeError(
            f"trace: expected a function apply(params, *inputs), got {type(apply).__name__}; "
            "for a Flax module use jinit.linen.trace or jinit.nnx.trace"
        )
    params, inputs = jax.eval_shape(lambda *trees: trees, params, inputs)
    return Model(apply, params, inputs, init)
