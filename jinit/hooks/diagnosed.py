"""Networks that are initialized already, in the forms in which users hold them, as Models."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from jinit.model import Model, PyTree, trace


class NetworkCall(NamedTuple):
    """A network, its parameters, and one batch of inputs and targets."""

    model: Model
    params: Any
    """Its parameters; None for those of its own initialization."""
    batch: tuple[PyTree, ...]


def read_network(name: str, network: Any, arguments: Sequence[Any]) -> NetworkCall:
    """Return the Model, the parameters and the batch that a user's arguments mean.

    Args:
      name: name of the function that the user called, for messages.
      network: a Model, a Linen module, an NNX module or a TrainState of Flax.
      arguments: the parameters, then inputs and targets. An NNX module and a TrainState have their
        own parameters, so that inputs come first.

    Raises:
      TypeError: if `network` is none of these.
      ValueError: if there is no example input, the network cannot be called with the inputs, or
        the parameters are not its own.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> module, x = nn.Dense(3), jnp.ones((8, 4))
    >>> call = read_network("diagnose", module, (module.init(jax.random.key(0), x), x))
    >>> call.model.layer_names, len(call.batch)
    (('params/kernel',), 1)
    """
    params, *batch = arguments or (None,)
    if isinstance(network, Model):
        _check_not_input(name, network, params)
        return NetworkCall(network, _read_state(network, params), tuple(batch))
    if _is_a(network, "flax.linen", "Module"):
        return _read_linen(name, network, params, batch)
    if _is_a(network, "flax.nnx", "Module"):
        return _read_nnx(name, network, arguments)
    if _is_train_state(network):
        return _read_train_state(name, network, batch if params is None else arguments)
    if _is_a(network, "flax.nnx", "TrainState"):
        return _read_nnx(name, _merge_nnx_state(network), arguments)
    raise TypeError(_unknown_message(name, network))


def _is_a(value: Any, module: str, kind: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, kind))


def _is_train_state(value: Any) -> bool:
    return _is_a(value, "flax.training.train_state", "TrainState")


def _unknown_message(name: str, network: Any) -> str:
    if inspect.isclass(network):
        seen, remedy = f"the class {network.__name__}", f"call it, such as {network.__name__}(...)"
    else:
        seen = type(network).__name__
        remedy = (
            "make a Model with jinit.trace(apply, params, x) for a pure function, or with "
            "jinit.linen.trace(module, x) or jinit.nnx.trace(constructor, x)"
        )
    return (
        f"{name}: expected a Model, a Linen or NNX module, or a TrainState of Flax, got {seen}; "
        f"{remedy}"
    )


def _read_linen(
    name: str,
    module: Any,
    params: Any,
    batch: Sequence[PyTree],
    kwargs: Mapping[str, Any] | None = None,
) -> NetworkCall:
    from jinit.hooks import linen

    title = type(module).__name__
    if hasattr(params, "shape"):
        raise ValueError(
            f"{name}: expected the variables of {title} after it, got an array of shape "
            f"{tuple(params.shape)}; write {name}(module, variables, x), with "
            "variables = module.init(key, x), or None for the module's own initialization"
        )
    inputs = _select_inputs(name, title, module.__call__, batch)
    build = partial(linen.trace, module, *inputs, **(kwargs or {}))
    model = _trace(name, title, module.__call__, "jinit.linen.trace", inputs, build)
    if params is None or callable(params):
        return NetworkCall(model, params, tuple(batch))
    variables = _state_variables(params) if _is_train_state(params) else params
    return NetworkCall(model, _match_variables(name, title, model, variables), tuple(batch))


def _read_nnx(name: str, module: Any, arguments: Sequence[Any]) -> NetworkCall:
    from jinit.hooks import nnx

    given, *rest = arguments or (None,)
    has_params = given is None or _is_a(given, "flax.nnx", "State")
    batch = tuple(rest if has_params else arguments)
    title, call = type(module).__name__, type(module).__call__
    inputs = _select_inputs(name, title, partial(call, module), batch)
    build = partial(nnx.trace_module, module, *inputs)
    model = _trace(name, title, partial(call, module), "jinit.nnx.trace", inputs, build)
    return NetworkCall(model, module if given is None or not has_params else given, batch)


def _read_train_state(name: str, state: Any, batch: Sequence[PyTree]) -> NetworkCall:
    """Return the network of a TrainState, whose `apply_fn` is usually a module's `apply`."""
    apply, kwargs = _unwrap_partial(state.apply_fn)
    module = getattr(apply, "__self__", None)
    if _is_a(module, "flax.linen", "Module"):
        return _read_linen(name, module, _state_variables(state), batch, kwargs)
    inputs = _select_inputs(name, "apply_fn", partial(state.apply_fn, state.params), batch)
    build = partial(trace, _apply_params(state.apply_fn), state.params, *inputs)
    model = _trace(name, "apply_fn", state.apply_fn, "jinit.trace", inputs, build)
    return NetworkCall(model, state.params, tuple(batch))


def _merge_nnx_state(state: Any) -> Any:
    """Return the module of an NNX TrainState, with all of the state that it holds."""
    from flax import nnx

    states = [value for value in vars(state).values() if isinstance(value, nnx.State)]
    return nnx.merge(state.graphdef, *states)


def _apply_params(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of `params` that calls `apply` with `{"params": params}`, as Flax does."""

    def apply_params(params: PyTree, *inputs: PyTree) -> PyTree:
        has_collections = isinstance(params, Mapping) and "params" in params
        return apply(params if has_collections else {"params": params}, *inputs)

    return apply_params


def _unwrap_partial(function: Any) -> tuple[Any, dict[str, Any]]:
    """Return the function in a `functools.partial`, and the keyword arguments of its calls."""
    kwargs: dict[str, Any] = {}
    while isinstance(function, partial) and not function.args:
        kwargs = {**function.keywords, **kwargs}
        function = function.func
    return function, {name: value for name, value in kwargs.items() if name != "mutable"}


def _state_variables(state: Any) -> dict[str, Any]:
    """Return all collections of a TrainState: its params, and fields such as batch_stats."""
    params = state.params
    if isinstance(params, Mapping) and "params" in params:
        return dict(params)
    known = {"step", "apply_fn", "params", "tx", "opt_state"}
    fields = {name: value for name, value in vars(state).items() if name not in known}
    collections = {name: value for name, value in fields.items() if isinstance(value, Mapping)}
    return {"params": params, **collections}


def _check_not_input(name: str, model: Model, params: Any) -> None:
    """Raise if an array stands where the parameters of a model belong."""
    if hasattr(params, "shape") and not hasattr(model.params, "shape"):
        raise ValueError(
            f"{name}: expected the parameters after the model, got an array of shape "
            f"{tuple(params.shape)}; write {name}(model, params, x), with params = "
            "jinit.init(model, key), or None for the model's own initialization"
        )


def _read_state(model: Model, params: Any) -> Any:
    """Return parameters, taken from a TrainState if they are one."""
    if not _is_train_state(params):
        return params
    variables = _state_variables(params)
    if isinstance(model.params, Mapping) and "params" in model.params:
        return {kind: variables[kind] for kind in model.params if kind in variables}
    return params.params


def _match_variables(name: str, title: str, model: Model, variables: Any) -> PyTree:
    """Return the collections that the model has, and raise if one is missing or of another tree."""
    from flax.core import unfreeze

    given = model.unwrap(variables)
    given = unfreeze(dict(given)) if isinstance(given, Mapping) else given
    if not isinstance(given, Mapping) or not set(given) & set(model.params):
        raise ValueError(
            f"{name}: expected the variables of {title}, a dictionary with "
            f"{' and '.join(map(repr, model.params))}, got {_keys_text(given)}; give what "
            'module.init(key, x) returns, or {"params": params}'
        )
    missing = [kind for kind in model.params if kind not in given]
    if missing:
        raise ValueError(
            f"{name}: {title} keeps {' and '.join(missing)} besides its parameters, but the "
            "variables have none; give all that module.init(key, x) returns, or, with a "
            f"TrainState, add a field {missing[0]} to it"
        )
    tree = jax.tree.structure(model.params)
    leaves = {kind: given[kind] for kind in model.params}
    if jax.tree.structure(leaves) != tree:
        raise ValueError(
            f"{name}: the variables belong to another module than {title}: expected "
            f"{', '.join(model.paths[:4])} ..., got {_keys_text(given.get('params'))}"
        )
    return leaves


def _keys_text(tree: Any) -> str:
    if isinstance(tree, Mapping):
        return f"a dictionary with {', '.join(map(repr, list(tree)[:6])) or 'nothing in it'}"
    return f"a value of type {type(tree).__name__}"


def _select_inputs(
    name: str, title: str, call: Callable[..., Any], batch: Sequence[PyTree]
) -> tuple[PyTree, ...]:
    """Return the inputs at the beginning of a batch: as many as a call requires."""
    if not batch:
        raise ValueError(
            f"{name}: {title} needs an example input, such as {name}(..., x) with "
            "x = jnp.ones((32, 10)); a module alone does not know the shapes of its inputs"
        )
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        each
        for each in inspect.signature(call).parameters.values()
        if each.kind in kinds and each.default is inspect.Parameter.empty
    ]
    return tuple(batch[: max(len(required), 1)])


def _trace(
    name: str,
    title: str,
    call: Callable[..., Any],
    tracer: str,
    inputs: Sequence[PyTree],
    build: Callable[[], Model],
) -> Model:
    """Return the traced model; an error names the call and says how to trace it by hand."""
    try:
        model = build()
        jax.eval_shape(model.apply, model.params, *model.inputs)
    except Exception as error:
        shapes = ", ".join(
            f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "shape") else repr(leaf)
            for leaf in jax.tree.leaves(list(inputs))
        )
        raise ValueError(
            f"{name}: {title}{inspect.signature(call)} could not be called with ({shapes}): "
            f"{_first_line(error)}. If it needs other arguments, such as train=False or "
            f"deterministic=True, trace it yourself and give the Model: "
            f"{tracer}(..., x, train=False)"
        ) from error
    return model


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0].rstrip('.') if text else 'no message'}"
