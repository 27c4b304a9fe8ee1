"""Parameters of a whole model: every one from a key of its own, equal draws compiled once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Graph, Model, key_of, path_words, paths_of
from jinit.rules.fitting import FromKeyOf
from jinit.rules.paths import glob
from jinit.rules.plan import Plan, plan
from jinit.rules.programs import Call, Program, run
from jinit.rules.slices import names, slices

Draw = tuple[Any, Callable[..., Array], tuple[Any, ...]]
"""A name, a function of a key and numbers, and the numbers."""

_OWN: WeakKeyDictionary[Model, dict[str, Draw]] = WeakKeyDictionary()


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
      TypeError: `key` is no random key.
      ValueError: no rules and a model that does not know its own initializers; `only` that matches
        nothing; a parameter that is neither drawn nor kept, or kept in another shape.

    >>> import jax, jinit, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> model = jinit.linen.trace(nn.Dense(3), jnp.ones((1, 4)))
    >>> params = init(model, jax.random.key(0), {"**/kernel": "he_normal", "**/bias": "zeros"})
    >>> jax.tree.map(jnp.shape, params)
    {'params': {'bias': (3,), 'kernel': (4, 3)}}
    """
    key, kept = _typed(key), _kept(model, only, keep)
    missing = [path for path in model.paths if path not in kept]
    planned = rules if isinstance(rules, Plan) or rules is None else plan(model, rules)
    draws = {} if planned and None not in planned.initializers else _own(model)
    if planned:
        draws = draws | _planned(planned, dtype)
    origins = _origins(planned) if planned else {}
    places = dict(zip(model.paths, _shardings(model, sharding), strict=True))
    calls = [
        _call(
            *draws[path], key=key, path=origins.get(path, path), dtype=dtype, sharding=places[path]
        )
        for path in missing
    ]
    made = kept | dict(zip(missing, run(calls), strict=True))
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


_own_key = jax.jit(key_of)


def _own(model: Model) -> dict[str, Draw]:
    """The draws of the model's own initializers."""
    if model not in _OWN:
        if model.init is None:
            raise ValueError(
                "init: this model does not know its own initializers; give rules, such as "
                '{"**": jinit.lecun_normal()}, or trace it with init=, a function of a key'
            )
        closed = model.drawing or jax.make_jaxpr(model.init)(jax.eval_shape(jax.random.key, 0))
        parts = [part.from_own_key for part in slices(Graph.eager(closed))]
        named = zip(names(parts), parts, strict=True)
        draws = [(name, part.from_key, part.numbers) for name, part in named]
        _OWN[model] = dict(zip(model.paths, draws, strict=True))
    return _OWN[model]


def _planned(plan: Plan, dtype: Any) -> dict[str, Draw]:
    """The draws of a plan's initializers."""
    draws: dict[str, Draw] = {}
    for leaf, given in zip(plan.leaves, plan.initializers, strict=True):
        initializer = given.initializer if isinstance(given, FromKeyOf) else given
        if initializer is not None:
            name = initializer, leaf.shape, dtype or leaf.dtype
            draws[leaf.path] = name, partial(_drawn, *name), ()
    return draws


def _origins(plan: Plan) -> dict[str, str]:
    """The path whose key a parameter is drawn from, where it is not its own."""
    pairs = zip(plan.leaves, plan.initializers, strict=True)
    return {leaf.path: given.path for leaf, given in pairs if isinstance(given, FromKeyOf)}


def _drawn(initializer: Any, shape: Any, dtype: Any, key: Array, numbers: Any) -> Array:
    del numbers
    return initializer(key, shape, dtype)


def _call(
    name: Any,
    draw: Callable[..., Array],
    numbers: tuple[Any, ...],
    *,
    key: Array,
    path: str,
    dtype: Any,
    sharding: Any,
) -> Call:
    def function(own: Array, numbers: Sequence[Array]) -> Array:
        drawn = draw(own, numbers)
        floating = dtype is not None and jnp.issubdtype(drawn.dtype, jnp.floating)
        return drawn.astype(dtype) if floating else drawn

    # Apart from the draw: folding numbers into a key takes as long to compile as drawing does.
    arguments = _own_key(key, path_words(path)), numbers
    return Call(Program((name, str(dtype)), function, sharding), arguments)


def _kept(model: Model, only: str | Sequence[str] | None, keep: Any) -> dict[str, Any]:
    """The parameters that are not drawn, by path."""
    found = dict(zip(paths_of(keep), jax.tree.leaves(keep), strict=True))
    if strange := sorted(found.keys() - set(model.paths)):
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
