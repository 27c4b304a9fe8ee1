"""Parameters of a whole model: every one from a key of its own, equal draws compiled once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Graph, Model, check_model, glob, key_of, path_words, paths_of
from jinit.rules.draws import Draw, Draws
from jinit.rules.fitting import FromKeyOf
from jinit.rules.folding import folded
from jinit.rules.plan import Plan, plan
from jinit.rules.programs import Call, Constant, is_traced, run, settings
from jinit.rules.slices import Slice, slicing
from jinit.sampling import WORDS, fold_in_data, is_fused


@dataclass(frozen=True, eq=False)
class _Own:
    """How a model draws its own parameters."""

    draws: Draws
    places: dict[str, int]
    """Number of the draw, by path."""
    copied: dict[str, str]
    """By path of what holds the same value as a parameter, as a moving average may, its path."""


_OWN: WeakKeyDictionary[Model, _Own] = WeakKeyDictionary()


def init(
    model: Model,
    key: Array,
    rules: Any = None,
    *,
    dtype: jax.typing.DTypeLike | None = None,
    sharding: Any = None,
    only: str | Sequence[str] | None = None,
    keep: Any = None,
) -> Any:
    """Initial parameters of a whole model, without running it.

    Every parameter has a key of its own, made of `key` and its path: adding, removing or
    re-ordering layers leaves the others as they are, and Linen's `params/` does not count. Inside
    jit and vmap the values are the same; those of other libraries' initializers up to rounding.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      key: one random key for the whole model.
      rules: a `Plan`, a sequence of `Rule`, or a mapping of path globs to initializers, fitted to
        what the computation does with each parameter; None stands for the model's own initializers.
      dtype: of floating-point parameters, None for the model's own.
      sharding: one `jax.sharding.Sharding` for all parameters, a tree of them, or a mesh over
        which the network's own annotations lay them out.
      only: globs of paths to draw; all other parameters come from `keep`.
      keep: tree of parameters to take as they are, as far as it reaches; with `only`, as far as
        `only` leaves them.

    Returns:
      The tree of parameters, boxed where Linen boxes them; the module itself for NNX.

    Raises:
      RuleError: rules that do not fit the model.
      TypeError: `model` is no Model, `key` no random key.
      ValueError: no rules and a model that does not know its own initializers; `only` that matches
        nothing; a parameter that is neither drawn nor kept, or kept in another shape.

    >>> import jax, jinit, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> model = jinit.linen.trace(nn.Dense(3), jnp.ones((1, 4)))
    >>> params = init(model, jax.random.key(0), {"**/kernel": "he_normal", "**/bias": "zeros"})
    >>> jax.tree.map(jnp.shape, params)
    {'params': {'bias': (3,), 'kernel': (4, 3)}}
    """
    check_model("init", model)
    key, kept = _typed(key), _kept(model, only, keep)
    shapes = dict(zip(model.paths, jax.tree.leaves(model.params), strict=True))
    missing = [path for path in model.paths if path not in kept]
    missing.sort(key=lambda path: -shapes[path].size)  # the largest are drawn first
    planned = rules if isinstance(rules, Plan) or rules is None else plan(model, rules)
    chosen = _chosen(planned) if planned else {}
    own = None if planned and None not in planned.initializers else _own(model)
    copied = (
        {} if own is None else {each: of for each, of in own.copied.items() if each not in chosen}
    )

    def source(path: str) -> Any:
        found = chosen.get(path)
        return found or own.draws[own.places[path]] if own else found

    places = dict(zip(model.paths, _shardings(model, sharding), strict=True))

    def parts(key: Array) -> Iterator[_Part]:
        drawn = [copied.get(path, path) for path in missing]
        keys = _own_keys(key, [_origin(chosen.get(path), path) for path in drawn])
        for path, of, each in zip(missing, drawn, keys, strict=True):
            whole = _as(shapes[path], dtype)
            yield _Part(path, _drawer(source(of)), whole, places[path], each)

    def inline(key: Array) -> list[Array]:
        return [part.inline() for part in parts(key)]

    if is_traced(key):
        values = inline(key)
    elif is_fused(key):
        values = run(part.call() for part in parts(key))
    else:  # words that only jax.random can make
        values = jax.jit(inline)(key)
    made = kept | dict(zip(missing, values, strict=True))
    made |= {
        each: jnp.array(kept[of]) for each, of in copied.items() if of in kept and each in missing
    }
    tree = jax.tree.structure(model.params)
    return model.finish(jax.tree.unflatten(tree, [made[path] for path in model.paths]), key)


def _typed(key: Any) -> Array:
    """One key, typed: a legacy one is two words."""
    dtype = getattr(key, "dtype", np.dtype(object))
    typed = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed and dtype != np.uint32:
        raise TypeError(
            f"init: expected a random key, got {type(key).__name__}: make one with "
            "jax.random.key(seed)"
        )
    whole = key if typed else jax.random.wrap_key_data(key)
    if whole.ndim:
        raise ValueError(
            f"init: expected one key, got {whole.shape} of them; for a model per key, "
            "jax.vmap(lambda key: jinit.init(model, key))(keys)"
        )
    return whole


def _own_keys(key: Array, paths: Sequence[str]) -> Sequence[Any]:
    """The key of every parameter, made on the host where that can be; else one after another."""
    words = [path_words(path) for path in paths]
    if is_traced(key) or not is_fused(key):
        return [_own_key(key, each) for each in words]
    data = np.asarray(jax.random.key_data(key))
    first, second = np.stack(words, axis=-1) if words else np.zeros((2, 0), np.uint32)
    return list(fold_in_data(fold_in_data(data, first), second))


_own_key = jax.jit(key_of)


def _as(abstract: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """The shape, and the dtype asked for if there is one and it is for floating-point values."""
    floating = dtype is not None and jnp.issubdtype(abstract.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(abstract.shape, np.dtype(dtype) if floating else abstract.dtype)


def _own(model: Model) -> _Own:
    if model not in _OWN:
        if model.init is None:
            raise ValueError(
                "init: this model does not know its own initializers; give rules, such as "
                '{"**": jinit.lecun_normal()}, or trace it with init=, a function of a key'
            )
        closed = model.drawing or _drawing_of(model, model.init)
        graph = folded(Graph.eager(closed, WORDS))
        cut, first = slicing(graph), {}
        for path, output in zip(model.paths, graph.outputs, strict=True):
            if type(output) is int and path not in model.untrained:
                first.setdefault(output, path)
        pairs = zip(model.paths, graph.outputs, strict=True)
        copied = {path: first.get(out, path) if type(out) is int else path for path, out in pairs}
        places = {path: number for number, path in enumerate(model.paths)}
        draws = Draws(lambda output: cut(output).from_own_key)
        _OWN[model] = _Own(draws, places, {each: of for each, of in copied.items() if each != of})
    return _OWN[model]


def _drawing_of(model: Model, draw: Callable[[Array], Any]) -> Any:
    closed, made = jax.make_jaxpr(draw, return_shape=True)(_a_key())
    paths = paths_of(model.tree(made))
    if paths != model.paths:
        odd = sorted(set(paths) ^ set(model.paths)) or "another order"
        raise ValueError(
            "init: the function that the model was traced with as init= makes other parameters "
            f"than the model has; the difference is {odd}"
        )
    return closed


def _chosen(plan: Plan) -> dict[str, Any]:
    """The plan's initializers by path, where it has one."""
    pairs = zip(plan.leaves, plan.initializers, strict=True)
    return {leaf.path: initializer for leaf, initializer in pairs if initializer is not None}


def _origin(source: Any, path: str) -> str:
    """The path whose key a parameter is drawn from, its own usually."""
    return source.path if isinstance(source, FromKeyOf) else path


def _drawer(source: Any) -> Any:
    return source.initializer if isinstance(source, FromKeyOf) else source


@dataclass(frozen=True)
class _Part:
    """One parameter to be drawn: by an initializer, or as the model itself does."""

    path: str
    source: Any
    whole: jax.ShapeDtypeStruct
    sharding: Any
    key: Any

    def call(self) -> Call | Constant:
        """The program that draws it, and what it is given."""
        draw = self.source if isinstance(self.source, Draw) else self._by_initializer()
        self._check(draw.part.shape)
        return draw.call([self.key] * len(draw.part.inputs), self.whole, self.sharding)

    def _by_initializer(self) -> Draw:
        try:
            return _drawing(self.source, self.whole.shape, self.whole.dtype, settings())
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self.whole.shape:
            raise ValueError(
                f"{self.path}: its initializer makes an array of shape {shape}, but the parameter "
                f"has shape {self.whole.shape}; return what the shape that it is called with asks "
                "for"
            )

    def inline(self) -> Array:
        """Inside a program that is being traced, such as a jitted or vmapped one."""
        if isinstance(self.source, Draw):
            inputs = [self.key] * len(self.source.part.inputs)
            drawn = self.source.part.call(inputs, self.source.part.numbers)
            drawn = drawn.astype(self.whole.dtype)
        else:
            drawn = self.source(self.key, self.whole.shape, self.whole.dtype)
        self._check(jnp.shape(drawn))
        if self.sharding is None:
            return drawn
        return jax.lax.with_sharding_constraint(drawn, self.sharding)


@lru_cache(maxsize=1024)
def _drawing(initializer: Any, shape: tuple[int, ...], dtype: Any, around: Any) -> Draw:
    """One initializer as a draw, read off its trace, with JAX's settings around it."""
    del around
    closed = jax.make_jaxpr(lambda key: initializer(key, shape, dtype))(_a_key())
    return Draws(_cut(closed))[0]


def _a_key() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(jax.random.key, 0)


def _cut(closed: Any) -> Callable[[int], Slice]:
    return slicing(folded(Graph.eager(closed, WORDS)))


def _kept(model: Model, only: str | Sequence[str] | None, keep: Any) -> dict[str, Any]:
    """The parameters that are not drawn, by path."""
    keep = model.tree(keep)
    found = dict(zip(paths_of(keep), jax.tree.leaves(keep), strict=True))
    arrays = {path for path, leaf in found.items() if hasattr(leaf, "shape")}
    if strange := sorted(arrays - set(model.paths)):
        raise ValueError(
            f"keep: {', '.join(strange[:5])} is no parameter of the model; there are {_some(model)}"
        )
    globs = (only,) if isinstance(only, str) else tuple(only or ())
    for pattern in globs:
        if not any(map(glob(pattern).fullmatch, model.paths)):
            raise ValueError(f"only: {pattern!r} matches no parameter; there are {_some(model)}")
    kept = {}
    for path, abstract in zip(model.paths, jax.tree.leaves(model.params), strict=True):
        if globs and any(glob(pattern).fullmatch(path) for pattern in globs):
            continue
        if path in found:
            kept[path] = _fitting(path, found[path], abstract)
        elif globs:
            raise ValueError(
                f"only: {path} is not among {', '.join(globs)} and so has to come from keep, which "
                "does not have it; give keep= the tree of loaded parameters"
            )
    return kept


def _fitting(path: str, value: Any, abstract: Any) -> Any:
    if jnp.shape(value) != abstract.shape:
        raise ValueError(
            f"keep: {path} has shape {jnp.shape(value)}, but the model's has {abstract.shape}; "
            "take it out of keep to draw it anew"
        )
    return value


def _shardings(model: Model, sharding: Any) -> list[Any]:
    """One sharding, or None, for every parameter."""
    if sharding is None or isinstance(sharding, jax.sharding.Sharding):
        return [sharding] * len(model.paths)
    if isinstance(sharding, jax.sharding.Mesh):
        if model.annotated is None:
            raise ValueError(
                "sharding: this model has no annotations of its own to lay out over a mesh; give a "
                "sharding, or a tree of them"
            )
        sharding = model.annotated(sharding)
    return jax.tree.structure(model.params).flatten_up_to(sharding)


def _some(model: Model) -> str:
    shown = ", ".join(model.paths[:5])
    return f"{shown}, ..." if len(model.paths) > 5 else shown
