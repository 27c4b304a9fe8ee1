"""Draw the parameters of a model, each by its initializer and from its own key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Sharding

from jinit.model import Model, parameter_key, path_bits
from jinit.programs.calls import Call, ConstantArray, is_traced, jax_settings, run_calls
from jinit.programs.draws import Draw, OutputDraws, draw_graph
from jinit.programs.keys import key_aval
from jinit.programs.model_draws import ModelDraws, find_model_draws
from jinit.programs.slices import output_slicer
from jinit.sampling import fold_in_key_data, has_fused_bits

InitializerFunction: TypeAlias = Callable[..., Array]
"""A function of a key, a shape and a dtype that returns an array."""


@dataclass(frozen=True)
class SharedKey:
    """An initializer that draws from the key of another parameter, so that both share a draw."""

    initializer: InitializerFunction
    key_path: str
    """Path of the parameter whose key is used."""

    def __repr__(self) -> str:
        return f"{self.initializer!r} from the key of {self.key_path}"


def draw_parameters(
    model: Model,
    key: Array,
    initializers: Mapping[str, InitializerFunction | SharedKey],
    avals: Mapping[str, jax.ShapeDtypeStruct],
    shardings: Mapping[str, Sharding | None],
    kept: Mapping[str, Array],
) -> dict[str, Array]:
    """Return parameters of a model by path; equal draws share one compiled program.

    Args:
      model: the model that the parameters belong to.
      key: one typed key for the whole model.
      initializers: initializers by path; a parameter that has none is drawn as the model does.
      avals: shape and dtype of each parameter to draw, by path.
      shardings: sharding of each parameter to draw, by path.
      kept: parameters that are not drawn, by path; a copy of one of them copies its value.

    Raises:
      ValueError: if an initializer is missing and the model has none of its own, or if an
        initializer cannot draw the shape of its parameter.
    """
    sources = _copy_sources(_own_draws(model, initializers, avals), initializers)
    copies = {path: jnp.array(kept[sources[path]]) for path in avals if sources.get(path) in kept}
    remaining = (path for path in avals if path not in copies)
    order = sorted(remaining, key=lambda path: -avals[path].size)
    drawn_avals = {path: avals[path] for path in order}

    def draw_inline(key: Array) -> list[Array]:
        draws = parameter_draws(model, key, initializers, drawn_avals, shardings)
        return [draw.draw_inline() for draw in draws]

    if is_traced(key):
        arrays = draw_inline(key)
    elif has_fused_bits(key):
        draws = parameter_draws(model, key, initializers, drawn_avals, shardings)
        arrays = run_calls(draw.make_call() for draw in draws)
    else:  # only jax.random can make the random bits of this key
        arrays = jax.jit(draw_inline)(key)
    return copies | dict(zip(drawn_avals, arrays, strict=True))


@dataclass(frozen=True)
class ParameterDraw:
    """One parameter to be drawn, by an initializer or as the model itself does."""

    path: str
    source: InitializerFunction | Draw
    aval: jax.ShapeDtypeStruct
    sharding: Sharding | None
    key: Any
    """The key of the parameter, or its data."""

    def make_call(self) -> Call | ConstantArray:
        """Return the call of the program that draws the parameter."""
        draw = self.source if isinstance(self.source, Draw) else self._trace_source(self.source)
        self._check_shape(draw.output_slice.shape)
        return draw.make_call([self.key] * len(draw.output_slice.inputs), self.aval, self.sharding)

    def _trace_source(self, initializer: InitializerFunction) -> Draw:
        try:
            return trace_initializer(initializer, self.aval)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.aval.shape:
            raise ValueError(
                f"{self.path}: its initializer makes an array of shape {shape}, but the parameter "
                f"has shape {self.aval.shape}; return an array of the shape that is passed to it"
            )

    def draw_inline(self) -> Array:
        """Return the parameter as part of a program that is being traced."""
        if isinstance(self.source, Draw):
            cut = self.source.output_slice
            draw = self.source.array.slice.compiled
            array = draw([self.key] * len(cut.inputs), cut.scalar_inputs)
            array = array.astype(self.aval.dtype)
        else:
            array = self.source(self.key, self.aval.shape, self.aval.dtype)
        self._check_shape(jnp.shape(array))
        if self.sharding is None:
            return array
        return jax.lax.with_sharding_constraint(array, self.sharding)


def parameter_draws(
    model: Model,
    key: Array,
    initializers: Mapping[str, InitializerFunction | SharedKey],
    avals: Mapping[str, jax.ShapeDtypeStruct],
    shardings: Mapping[str, Sharding | None],
) -> Iterator[ParameterDraw]:
    """Return the draws of the parameters in `avals`, in order.

    Args:
      model: the model that the parameters belong to.
      key: one typed key for the whole model.
      initializers: initializers by path; a parameter that has none is drawn as the model does.
      avals: shape and dtype of each parameter to draw, by path.
      shardings: sharding of each parameter to draw, by path.
    """
    own_draws = _own_draws(model, initializers, avals)
    copies = _copy_sources(own_draws, initializers)
    sources = [copies.get(path, path) for path in avals]
    key_paths = [_key_path(initializers.get(path), path) for path in sources]
    keys = _parameter_keys(key, key_paths, frozenset(model.paths))
    for (path, aval), source, source_key in zip(avals.items(), sources, keys, strict=True):
        if own_draws is not None and source not in initializers:
            draw = own_draws.draw(source)
        else:
            draw = _unwrap_initializer(initializers[source])
        yield ParameterDraw(path, draw, aval, shardings.get(path), source_key)


def _own_draws(
    model: Model, initializers: Mapping[str, Any], paths: Iterable[str]
) -> ModelDraws | None:
    """Return the model's own draws; None if each of these parameters has an initializer."""
    return None if all(path in initializers for path in paths) else find_model_draws(model)


def _copy_sources(own_draws: ModelDraws | None, initializers: Mapping[str, Any]) -> dict[str, str]:
    """Return the path that is copied, by path of the copies that have no initializer."""
    sources = own_draws.copy_sources if own_draws else {}
    return {path: source for path, source in sources.items() if path not in initializers}


def _unwrap_initializer(initializer: InitializerFunction | SharedKey) -> InitializerFunction:
    return initializer.initializer if isinstance(initializer, SharedKey) else initializer


def _key_path(initializer: Any, path: str) -> str:
    return initializer.key_path if isinstance(initializer, SharedKey) else path


def _parameter_keys(key: Array, paths: Sequence[str], all_paths: frozenset[str]) -> Sequence[Any]:
    """Return the keys of parameters, as data from the host where the host can derive it."""
    bits = [path_bits(path, all_paths) for path in paths]
    if is_traced(key) or not has_fused_bits(key):
        return [_parameter_key(key, pair) for pair in bits]
    data = np.asarray(jax.random.key_data(key))
    first, second = np.stack(bits, axis=-1) if bits else np.zeros((2, 0), np.uint32)
    return list(fold_in_key_data(fold_in_key_data(data, first), second))


_parameter_key = jax.jit(parameter_key)


def trace_initializer(initializer: InitializerFunction, aval: jax.ShapeDtypeStruct) -> Draw:
    """Return an initializer as a draw, read from its trace for one shape and dtype."""
    return _trace_initializer(initializer, aval.shape, aval.dtype, jax_settings())


@lru_cache(maxsize=1024)
def _trace_initializer(
    initializer: InitializerFunction, shape: tuple[int, ...], dtype: Any, settings: Any
) -> Draw:
    del settings  # part of the cache's key
    closed = jax.make_jaxpr(lambda key: initializer(key, shape, dtype))(key_aval())
    return OutputDraws(output_slicer(draw_graph(closed)))[0]
