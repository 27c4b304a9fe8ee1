"""A network as data: abstract parameters, a pure apply, and the graph of its computation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Self

import jax
import jax.numpy as jnp

from jinit.model.branches import branches_of, numbered
from jinit.model.contractions import Contraction, contractions, in_order
from jinit.model.graph import Graph
from jinit.model.leaves import Leaf, described
from jinit.model.paths import paths_of
from jinit.model.residuals import Residual, residuals
from jinit.model.told import Axes, as_told, stated
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
    tree: Callable[[Any], Any] = lambda params: params
    """What the framework calls an initialized network to the tree of its parameters."""
    annotated: Callable[[Any], Any] | None = None
    """A mesh to the tree of shardings that the network's own annotations ask for."""
    axes: Mapping[str, Axes] = field(default_factory=dict)
    """By path, the axes that a user has `told`."""

    def told(self, axes: Mapping[str, Sequence[str]]) -> Self:
        """The same model with the axes of some parameters stated, not read off the computation.

        Such a parameter is a kernel (an embedding, if an axis is looked up); its fan-in is the
        product of its `in` and `spatial` sizes, its fan-out that of `out` and `spatial`.

        Args:
          axes: globs of paths to a word for every axis: `in`, `out`, `spatial`, `batch` or
            `stacked` for copies, `lookup`, `unit`. The first glob that matches counts.

        Raises:
          ValueError: a glob that matches nothing, an unknown word, a word too many or too few.

        >>> import jax, jax.numpy as jnp
        >>> model = trace(lambda w, x: x @ jnp.sort(w, 0), jnp.ones((4, 3)), jnp.ones((8, 4)))
        >>> read, told = model.leaves[0], model.told({"**": ("in", "out")}).leaves[0]
        >>> read.role, told.role, told.fan_in, told.fan_out
        ('unread', 'kernel', 4, 3)
        """
        shapes = zip(self.paths, jax.tree.leaves(self.params), strict=True)
        found = stated(axes, {path: tuple(leaf.shape) for path, leaf in shapes})
        return replace(self, axes={**self.axes, **found})

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
        graph = Graph.within(jax.make_jaxpr(self.apply)(self.params, *self.inputs)).pruned()
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
        return [(place, self._known(leaf)) for place, leaf in sorted(each, key=lambda one: one[0])]

    def _known(self, leaf: Leaf) -> Leaf:
        """What is known of a parameter besides what can be read."""
        if leaf.path in self.untrained:
            return replace(leaf, role="state")
        told = self.axes.get(leaf.path)
        return replace(leaf, **as_told(leaf, told)) if told else leaf

    @cached_property
    def graph(self) -> Graph:
        """The flat graph of `apply`: its inputs are the parameter leaves, then the inputs'."""
        return Graph.of(self.apply, self.params, *self.inputs).pruned()

    @cached_property
    def _sites(self) -> tuple[Site, ...]:
        return sites(self.graph, [leaf.shape for leaf in jax.tree.leaves(self.params)])

    @cached_property
    def contractions(self) -> tuple[Contraction, ...]:
        """Where weights meet signals, in execution order."""
        shapes = [leaf.shape for leaf in jax.tree.leaves(self.params)]
        return contractions(self.graph, self._sites, shapes)

    @cached_property
    def residuals(self) -> tuple[Residual, ...]:
        """Where residual branches are added to their streams, in execution order."""
        return residuals(self.graph, self._sites)

    @cached_property
    def layers(self) -> tuple[tuple[int, int | None], ...]:
        """Layers in execution order, each as the number of its contraction and, in a loop over
        stacked kernels, of its round; other loops use the same kernel in every round."""
        return in_order(self.contractions)

    @cached_property
    def layer_names(self) -> tuple[str, ...]:
        """The path of each layer's kernel; uses after the first are numbered `#2`, `#3`, and rounds
        of a loop `[0]`, `[1]`."""
        uses: dict[int, int] = {}
        names = []
        for contraction in self.contractions:
            number = uses[contraction.kernel] = uses.get(contraction.kernel, 0) + 1
            path = self.paths[contraction.kernel]
            names.append(f"{path}#{number}" if number > 1 else path)
        return tuple(
            names[number] if step is None else f"{names[number]}[{step}]"
            for number, step in self.layers
        )


def trace(
    apply: Callable[..., Any],
    params: Any,
    *inputs: Any,
    init: Callable[[jax.Array], Any] | None = None,
) -> Model:
    """The Model of any pure function `apply(params, *inputs)`.

    Nothing is allocated or computed: parameters and inputs may be `jax.ShapeDtypeStruct`s.
    Leaves of `params` that are no arrays, such as the functions in an Equinox module, stay as they
    are; arrays of integers and keys count as state.

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
    arrays, inputs = jax.eval_shape(lambda *trees: trees, arrays_of(params), inputs)
    leaves = zip(paths_of(arrays), jax.tree.leaves(arrays), strict=True)
    state = frozenset(path for path, leaf in leaves if not jnp.issubdtype(leaf.dtype, jnp.inexact))
    model = Model(apply, arrays, inputs, init, untrained=state)
    if jax.tree.structure(arrays) == jax.tree.structure(params):
        return model
    whole = partial(_filled, jax.tree.map(lambda leaf: None if _is_array(leaf) else leaf, params))
    return replace(
        model,
        apply=lambda params, *values: apply(whole(params), *values),
        init=init and (lambda key: arrays_of(init(key))),
        finish=lambda params, key: whole(params),
        tree=arrays_of,
    )


def arrays_of(tree: Any) -> Any:
    """The same tree with None for every leaf that is no array."""
    return jax.tree.map(lambda leaf: leaf if _is_array(leaf) else None, tree)


def _filled(others: Any, arrays: Any) -> Any:
    """Arrays, and other values in the places that they leave."""
    return jax.tree.map(
        lambda array, other: other if array is None else array,
        *(arrays, others),
        is_leaf=lambda leaf: leaf is None,
    )


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def check_model(name: str, model: Any) -> None:
    """Whether it was traced.

    Raises:
      TypeError: it was not; `name` is that of the function that was given it.

    >>> check_model("init", trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4))))
    """
    if not isinstance(model, Model):
        raise TypeError(
            f"{name}: expected a Model, got {type(model).__name__}; make one with "
            "jinit.linen.trace(module, x), jinit.nnx.trace(constructor, x) or "
            "jinit.trace(apply, params, x)"
        )
