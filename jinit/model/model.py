"""A network as data: abstract parameters, a pure apply, and the graph of its computation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import jax

from jinit.model.branches import ResidualSum, find_residual_sums
from jinit.model.contractions import Contraction, LayerUse, find_contractions, layer_order
from jinit.model.feeds import Feeds, find_feeds
from jinit.model.graph import Graph
from jinit.model.leaves import Leaf
from jinit.model.operation import Place
from jinit.model.params import PyTree, flatten_like
from jinit.model.paths import check_distinct, closest_paths, leaf_paths
from jinit.model.read_leaves import read_leaves
from jinit.model.stated_axes import AxisRoles, resolve_axes, state_axes
from jinit.model.table import leaf_table, leaf_table_html, model_summary
from jinit.model.uses import Site, find_sites


def _first_argument(params: PyTree, *_: Any) -> PyTree:
    return params


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A network as jinit's algorithms see it; `trace` builds it for any framework.

    `repr` is one line, `print` shows a table of the parameters.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda params, x: jnp.tanh(x @ params), jnp.eye(4), jnp.ones((8, 4)))
    >>> model
    Model(16 parameters in 1 array, inputs: float32[8, 4])
    >>> model.leaves[0].shape, model.contractions[0].width
    ((4, 4), 4)
    """

    apply: Callable[..., Any]
    """`apply(params, *inputs)`, a pure function that returns the network's outputs."""
    params: PyTree
    """Tree of abstract parameters."""
    inputs: tuple[PyTree, ...]
    """Abstract inputs that the network was traced with."""
    init: Callable[[jax.Array], PyTree] | None = None
    """`init(key)`, which draws the network's own initial parameters; None if it is not known."""
    init_jaxpr: Any = None
    """The jaxpr of `init`, if it has been traced; its outputs are the flat leaves."""
    train: Callable[..., tuple[Any, PyTree]] | None = None
    """`train(params, key, *inputs)`, which returns outputs and updated state as in training; None
    if the network behaves alike in training and evaluation."""
    evaluate: Callable[..., Any] | None = None
    """`evaluate(params, *inputs)`, which returns outputs as in evaluation; None if this is `apply`.
    """
    state_kinds: tuple[str, ...] = ()
    """Kinds of values besides trained parameters, such as running statistics."""
    untrained_paths: frozenset[str] = frozenset()
    """Paths of `params` that hold such values."""
    wrap: Callable[[PyTree, jax.Array], Any] = _first_argument
    """`wrap(params, key)` returns the framework's initialized network; `key` drew the parameters.
    """
    unwrap: Callable[[Any], PyTree] = _first_argument
    """`unwrap(network)` returns the tree of parameters of the framework's initialized network."""
    annotated_shardings: Callable[[jax.sharding.Mesh], PyTree] | None = None
    """`annotated_shardings(mesh)` returns the shardings that the network's annotations ask for."""
    stated_axes: Mapping[str, AxisRoles] = field(default_factory=dict)
    """Axis roles stated by `with_axes`, by path."""

    def __post_init__(self) -> None:
        check_distinct(self.paths)

    def __repr__(self) -> str:
        return f"Model({model_summary(self.params, self.inputs)})"

    def __str__(self) -> str:
        return f"{model_summary(self.params, self.inputs)}\n\n{leaf_table(self.leaves)}"

    def _repr_html_(self) -> str:
        summary = model_summary(self.params, self.inputs)
        return f"<p>{summary}</p>{leaf_table_html(self.leaves)}"

    def with_axes(self, axes: Mapping[str, Sequence[str]]) -> Self:
        """Return the model with the axes of some parameters stated instead of inferred.

        Such a parameter is a kernel, or an embedding if an axis is looked up. Its fan-in is the
        product of its `in` and `spatial` sizes, its fan-out that of `out` and `spatial`.

        Args:
          axes: globs of paths with a role for every axis: `in`, `out`, `spatial`, `batch` or
            `stacked` for copies, `lookup`, `unit`. The first glob that matches a path counts.

        Raises:
          TypeError: if `axes` is not a mapping from globs to sequences of roles.
          ValueError: if a glob matches nothing, a role is unknown, the number of roles differs
            from the number of axes, or no axis is summed over or looked up.

        >>> import jax, jax.numpy as jnp
        >>> from jinit.model import trace
        >>> model = trace(lambda w, x: x @ jnp.sort(w, 0), jnp.ones((4, 3)), jnp.ones((8, 4)))
        >>> model.leaves[0].role
        'unread'
        >>> leaf = model.with_axes({"**": ("in", "out")}).leaves[0]
        >>> leaf.role, leaf.fan_in, leaf.fan_out
        ('kernel', 4, 3)
        """
        leaves = zip(self.paths, jax.tree.leaves(self.params), strict=True)
        resolved = resolve_axes(axes, {path: tuple(leaf.shape) for path, leaf in leaves})
        return replace(self, stated_axes={**self.stated_axes, **resolved})

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The `/`-joined path of every parameter, in the order of the parameter tree."""
        return leaf_paths(self.params)

    def by_path(self, params: PyTree) -> dict[str, Any]:
        """Return the arrays of a tree of parameters by path, in the order of `paths`.

        Args:
          params: a tree like `self.params`, or the framework's initialized network.

        Raises:
          ValueError: if the tree or a shape in it is not the model's.

        >>> import jax.numpy as jnp
        >>> from jinit.model import trace
        >>> model = trace(lambda params, x: x @ params["w"], {"w": jnp.eye(4)}, jnp.ones((8, 4)))
        >>> list(model.by_path({"w": jnp.zeros((4, 4))}))
        ['w']
        """
        leaves = flatten_like(self.paths, self.params, self.unwrap(params))
        return dict(zip(self.paths, leaves, strict=True))

    def leaf(self, path: str) -> Leaf:
        """Return the parameter with this path.

        Args:
          path: path of the parameter, as in `paths`.

        Raises:
          KeyError: if there is none.

        >>> import jax.numpy as jnp
        >>> from jinit.model import trace
        >>> model = trace(lambda params, x: x @ params["w"], {"w": jnp.eye(4)}, jnp.ones((8, 4)))
        >>> model.leaf("w").role
        'kernel'
        """
        if path not in self._leaf_by_path:
            near = closest_paths(path, self.paths)
            raise KeyError(
                f"this model has no parameter {path!r}; the closest paths are {', '.join(near)}; "
                "Model.paths lists all of them"
            )
        return self._leaf_by_path[path]

    @cached_property
    def _leaf_by_path(self) -> dict[str, Leaf]:
        return {leaf.path: leaf for leaf in self.leaves}

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every parameter with what the computation does to it, in execution order."""
        jaxpr = jax.make_jaxpr(self.apply)(self.params, *self.inputs)
        graph = Graph.primal_from_jaxpr(jaxpr).prune()
        arrays = jax.tree.leaves(self.params)
        leaves = read_leaves(graph, self.paths, arrays, self.untrained_paths)
        return tuple(map(self._override, leaves))

    def _override(self, leaf: Leaf) -> Leaf:
        """Mark a leaf that is not trained, and apply axes that were stated."""
        if leaf.path in self.untrained_paths:
            return replace(leaf, role="state", reason="")
        roles = self.stated_axes.get(leaf.path)
        return state_axes(leaf, roles) if roles else leaf

    @cached_property
    def graph(self) -> Graph:
        """The flat graph of `apply`, whose inputs are the leaves of the parameters and inputs.

        Custom derivative rules are kept, so that it can be differentiated; `leaves` are read from
        another graph, in which they are inlined.
        """
        return Graph.from_function(self.apply, self.params, *self.inputs).prune()

    @cached_property
    def _sites(self) -> tuple[Site, ...]:
        return find_sites(self.graph, [leaf.shape for leaf in jax.tree.leaves(self.params)])

    @cached_property
    def complex_kernels(self) -> tuple[str, ...]:
        """Paths of the kernels whose products are complex, which are not among `contractions`."""
        indices = {
            site.use.leaf: None
            for site in self._sites
            if site.is_contraction and "complex" in site.operation.dtypes[0]
        }
        return tuple(self.paths[index] for index in indices)

    @cached_property
    def joined_kernels(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the kernels that one contraction applies together, for each such contraction."""
        kernels: dict[Place, dict[str, None]] = {}
        for site in self._sites:
            if site.is_contraction:
                kernels.setdefault(site.place, {})[self.paths[site.use.leaf]] = None
        joined = {tuple(paths): None for paths in kernels.values() if len(paths) > 1}
        return tuple(joined)

    @cached_property
    def contractions(self) -> tuple[Contraction, ...]:
        """The products of weights with signals, in execution order."""
        shapes = [leaf.shape for leaf in jax.tree.leaves(self.params)]
        return find_contractions(self.graph, self._sites, shapes)

    @cached_property
    def residual_sums(self) -> tuple[ResidualSum, ...]:
        """The sums of residual streams and branches, in execution order."""
        return find_residual_sums(self.graph, self._sites)

    @cached_property
    def layers(self) -> tuple[LayerUse, ...]:
        """Layers in execution order: contractions, and iterations of loops over stacked kernels.

        A contraction in a loop that uses one kernel in every iteration is one layer.
        """
        return layer_order(self.contractions)

    @cached_property
    def feeds(self) -> Feeds:
        """The graph of the layers: which one feeds which, whatever lies between the two."""
        return find_feeds(self.graph, self.contractions, self.layers)

    @cached_property
    def layer_names(self) -> tuple[str, ...]:
        """The path of each layer's kernel.

        Uses after the first are numbered `#2`, `#3`; iterations of a loop are `[0]`, `[1]`.
        """
        use_counts: dict[int, int] = {}
        names = []
        for contraction in self.contractions:
            count = use_counts[contraction.kernel] = use_counts.get(contraction.kernel, 0) + 1
            path = self.paths[contraction.kernel]
            names.append(f"{path}#{count}" if count > 1 else path)
        return tuple(
            names[number] if iteration is None else f"{names[number]}[{iteration}]"
            for number, iteration in self.layers
        )


def check_model(name: str, model: Any) -> None:
    """Raise unless `model` is a Model.

    Args:
      name: name of the function that was given it, for the message.
      model: what the user gave.

    Raises:
      TypeError: if it is not a Model.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> check_model("init", trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4))))
    """
    if not isinstance(model, Model):
        raise TypeError(
            f"{name}: expected a Model, got {type(model).__name__}; make one with "
            "jinit.linen.trace(module, x), jinit.nnx.trace(constructor, x) or "
            "jinit.trace(apply, params, x)"
        )
