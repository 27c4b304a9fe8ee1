"""NNX modules as Models."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import jax
import numpy as np
from flax import nnx

from jinit.hooks.modes import find_modes
from jinit.model import Model, PyTree, abstract_inputs, leaf_paths

Constructor = Callable[[nnx.Rngs], nnx.Module]


def trace(constructor: Constructor, *inputs: PyTree, **kwargs: Any) -> Model:
    """Return the Model of an NNX module, given the function that constructs it from its rngs.

    Running statistics count among its parameters; updates that a call makes to them are dropped.
    Random numbers are the same in every call.

    Args:
      constructor: `rngs -> module`, such as `lambda rngs: nnx.Linear(4, 3, rngs=rngs)`, or a class
        that needs nothing but rngs.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      kwargs: static keyword arguments of its call.

    Returns:
      The Model.

    Raises:
      TypeError: if the constructor needs other arguments, does not return an NNX module or is one
        itself, or an input is a bare shape such as `(8, 4)`.

    >>> import jax, jax.numpy as jnp
    >>> from flax import nnx
    >>> trace(lambda rngs: nnx.Linear(4, 3, rngs=rngs), jnp.ones((8, 4))).layer_names
    ('kernel',)
    """
    if isinstance(constructor, nnx.Module):
        raise TypeError(
            f"nnx.trace: expected a function of nnx.Rngs, got a {type(constructor).__name__}, "
            "whose weights are drawn already: give lambda rngs: Module(..., rngs=rngs)"
        )
    if hasattr(constructor, "init") and hasattr(constructor, "apply"):
        raise TypeError(
            f"nnx.trace: {constructor!r} is a Linen module or class: use jinit.linen.trace(module, "
            "x)"
        )
    module = _Module.from_constructor(constructor)
    return module.model(abstract_inputs("nnx.trace", inputs), kwargs)


def trace_trained_constructor(constructor: Constructor, *inputs: PyTree) -> Model:
    """Return the Model of an NNX module that is to be trained, given its constructor.

    Its `apply` is a call in training mode whose random numbers are fixed, its `train` draws them
    from a key and updates state such as BatchNorm's statistics, and its `evaluate` is a call in
    evaluation mode. The modes are those of `Module.train()` and `Module.eval()`, and of an
    argument of the call such as `train`.

    Args:
      constructor: `rngs -> module`.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.

    >>> import jax, jax.numpy as jnp
    >>> from flax import nnx
    >>> def construct(rngs):
    ...     return nnx.BatchNorm(4, rngs=rngs)
    >>> model = trace_trained_constructor(construct, jnp.ones((8, 4)))
    >>> model.state_kinds
    ('BatchStat',)
    """
    module = _Module.from_constructor(constructor)
    modes = find_modes(module.kind.__call__)
    model = module.model(abstract_inputs("nnx.trace", inputs), modes.evaluation)

    def train(params: PyTree, key: jax.Array, *values: PyTree) -> tuple[Any, PyTree]:
        return module.update(params, key, modes.training, *values)

    return replace(
        model,
        apply=lambda params, *values: train(params, jax.random.key(0), *values)[0],
        train=train,
        evaluate=partial(module.evaluate, modes.evaluation),
    )


def trace_module(module: nnx.Module, *inputs: PyTree) -> Model:
    """Return the Model of an NNX module whose weights are drawn already.

    The Model has no initialization of its own.

    Args:
      module: the module.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> trace_module(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), jnp.ones((8, 4))).layer_names
    ('kernel',)
    """
    model = trace(lambda rngs: module, *inputs)
    return replace(model, init=None, init_jaxpr=None)


@dataclass(eq=False)
class _Drawing:
    """The construction of a module with drawn weights."""

    constructor: Constructor
    parts: tuple[Any, ...] = ()
    """Graph definition, abstract random states and abstract variables, once `draw_and_note` ran."""
    kind: type = nnx.Module
    """Class of the module, once it was constructed."""

    def draw(self, key: jax.Array) -> PyTree:
        """Return initial parameters."""
        return nnx.to_pure_dict(self._split(key)[2])

    def draw_and_note(self, key: jax.Array) -> PyTree:
        """Return initial parameters and set `parts`."""
        graphdef, *states = self._split(key)
        self.parts = (graphdef, *jax.eval_shape(lambda *trees: trees, *states))
        return nnx.to_pure_dict(states[1])

    @cached_property
    def draw_rngs(self) -> Callable[[jax.Array], PyTree]:
        """Function of a key that draws the random states of a module, such as dropout keys.

        Under jit, the draws of weights are dead code and are compiled away.
        """
        return jax.jit(lambda key: self._split(key)[1])

    def _split(self, key: jax.Array) -> tuple[Any, Any, Any]:
        module = _construct(self.constructor, _make_rngs(key))
        if not isinstance(module, nnx.Module):
            raise TypeError(
                "nnx.trace: expected a function that takes nnx.Rngs and returns an NNX module, but "
                f"it returned {type(module).__name__}; for pure functions give the pair "
                "(init, apply)"
            )
        self.kind = type(module)
        graphdef, rngs, *others = nnx.split(module, nnx.RngState, ...)
        return graphdef, rngs, others[0]


def _construct(constructor: Constructor, rngs: nnx.Rngs) -> Any:
    """Call a constructor with rngs, by keyword if an argument has this name."""
    is_class = isinstance(constructor, type)
    function = partial(constructor.__init__, None) if is_class else constructor
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin tells nothing
        return constructor(rngs)
    args, kwargs = ((), {"rngs": rngs}) if "rngs" in signature.parameters else ((rngs,), {})
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(constructor, "__name__", type(constructor).__name__)
        module = name if is_class else "Module"
        raise TypeError(
            f"nnx.trace: expected a function of nnx.Rngs alone, got {name}{signature}: {error}; "
            f"give lambda rngs: {module}(..., rngs=rngs)"
        ) from error
    return constructor(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class _Module:
    """A module without values."""

    drawing: _Drawing
    init_jaxpr: Any
    params: PyTree
    """Abstract parameters."""
    graphdef: Any
    rngs: Any
    """Abstract random states; empty if the module has none."""
    state: Any
    """Abstract variables."""

    @classmethod
    def from_constructor(cls, constructor: Constructor) -> Self:
        """Return the module that a function of rngs constructs."""
        drawing = _Drawing(constructor)
        jaxpr, params = jax.make_jaxpr(drawing.draw_and_note, return_shape=True)(jax.random.key(0))
        return cls(drawing, jaxpr, params, *drawing.parts)

    @property
    def kind(self) -> type:
        """Class of the module."""
        return self.drawing.kind

    def model(self, inputs: tuple[PyTree, ...], kwargs: Mapping[str, Any]) -> Model:
        """Return the Model, whose calls share keyword arguments."""
        model = Model(
            apply=partial(self.apply, kwargs),
            params=self.params,
            inputs=inputs,
            init=self.drawing.draw,
            init_jaxpr=self.init_jaxpr,
            state_kinds=_state_kinds(self.rngs, self.state),
            untrained_paths=self.untrained_paths(self.params),
            wrap=self.wrap,
            unwrap=_unwrap,
            annotated_shardings=self.annotated_shardings,
        )
        _check_call(model)
        return model

    def apply(self, kwargs: Mapping[str, Any], params: PyTree, *inputs: PyTree) -> PyTree:
        """Return the outputs; the random states are the same in every call."""
        module: Any = self.wrap(params, jax.random.key(0))
        return module(*inputs, **{name: _copy(value) for name, value in kwargs.items()})

    def evaluate(self, kwargs: Mapping[str, Any], params: PyTree, *inputs: PyTree) -> PyTree:
        """Return the outputs in evaluation mode."""
        module: Any = self.wrap(params, jax.random.key(0))
        module.eval()
        return module(*inputs, **kwargs)

    def update(
        self, params: PyTree, key: jax.Array, kwargs: Mapping[str, Any], *inputs: PyTree
    ) -> tuple[PyTree, PyTree]:
        """Return outputs and updated variables in training mode, with random states from a key."""
        module: Any = self.wrap(params, key)
        module.train()
        outputs = module(*inputs, **kwargs)
        return outputs, _unwrap(module)

    def wrap(self, params: PyTree, key: jax.Array) -> nnx.Module:
        """Return the module with these parameters, and random states drawn from the key."""
        return self._merge(params, self.drawing.draw_rngs(key) if self.rngs else self.rngs)

    def annotated_shardings(self, mesh: jax.sharding.Mesh) -> PyTree:
        """Return the shardings that the variables ask for."""
        return nnx.to_pure_dict(nnx.get_named_sharding(self.state, mesh))

    def untrained_paths(self, params: PyTree) -> frozenset[str]:
        """Return the paths of the variables that are not `nnx.Param`."""
        is_trained = jax.tree.map(
            lambda variable: isinstance(variable, nnx.Param), self.state, is_leaf=_is_variable
        )
        flags = zip(leaf_paths(params), jax.tree.leaves(is_trained), strict=True)
        return frozenset(path for path, flag in flags if not flag)

    def _merge(self, params: PyTree, rngs: Any) -> nnx.Module:
        # The call writes into these trees, so it needs copies.
        rngs, state = jax.tree.map(lambda leaf: leaf, (rngs, self.state))
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(self.graphdef, rngs, state)


def _check_call(model: Model) -> None:
    """Trace the call, so that inputs that do not fit raise the module's own error at once."""
    if not model.inputs:
        return
    try:
        jax.eval_shape(model.apply, model.params, *model.inputs)
    except Exception as error:
        shapes = ", ".join(
            f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(list(model.inputs))
        )
        error.add_note(f"nnx.trace: the module raised this when it was called with {shapes}")
        raise


class _CopiedCount(np.ndarray):
    """Counter that returns copies: NNX increments it in place, while JAX may alias it."""

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(super().__getitem__(index))


def _make_rngs(key: jax.Array) -> nnx.Rngs:
    """Return `nnx.Rngs(key)` with a NumPy counter.

    A traced counter is asked for its sharding at each increment, and JAX before 0.11 then searches
    the whole trace for the text of an error message. This takes two thirds of a trace's time.
    """
    rngs = nnx.Rngs(key)
    count: Any = np.zeros((), np.uint32).view(_CopiedCount)
    rngs.default.count = nnx.RngCount(count, tag=rngs.default.tag)
    return rngs


def _copy(value: Any) -> Any:
    """Return a copy of random numbers or of a module, which a traced call may then advance."""
    return nnx.clone(value) if isinstance(value, nnx.Rngs | nnx.Module) else value


def _unwrap(params: Any) -> PyTree:
    """Return the parameters of a module or of its state; parameters are returned unchanged."""
    if isinstance(params, nnx.Module):
        params = nnx.state(params)
    if not isinstance(params, nnx.State):
        return params
    return nnx.to_pure_dict(nnx.filter_state(params, nnx.Not(nnx.RngState)))


def _state_kinds(*states: Any) -> tuple[str, ...]:
    """Return the names of the types of the variables that are not parameters."""
    variables = jax.tree.leaves(states, is_leaf=_is_variable)
    kinds = {
        type(variable).__name__ for variable in variables if not isinstance(variable, nnx.Param)
    }
    return tuple(sorted(kinds))


def _is_variable(value: Any) -> bool:
    return isinstance(value, nnx.Variable)
