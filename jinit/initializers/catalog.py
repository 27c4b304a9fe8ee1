"""The catalog: every initializer by its public name, and initializers from plain data."""

import inspect
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinit.choice import check_choice
from jinit.initializers import (
    activation,
    attention,
    blocks,
    bounded_normal,
    combinators,
    convolutional,
    embedding,
    framework,
    lru,
    mamba,
    named_scaling,
    periodic,
    random,
    recurrent,
    s4d,
    spectral,
    structured,
    variance,
)
from jinit.initializers.adapters import (
    Adapter,
    corda,
    eva,
    lora,
    lora_embedding,
    lora_ga,
    lora_gaussian,
    lora_orthogonal,
    mica,
    olora,
    pissa,
    pissa_randomized,
)
from jinit.initializers.base import Initializer
from jinit.initializers.constant import constant, ones, ones_init, zeros, zeros_init
from jinit.initializers.factories import explain_mistakes
from jinit.initializers.hippo import hippo, hippo_input
from jinit.initializers.orthogonal import (
    delta_orthogonal,
    orthogonal,
    scaled_uniform_orthogonal,
)
from jinit.initializers.other_names import describe_unknown_option
from jinit.initializers.sparse import sparse


@dataclass(frozen=True)
class CatalogEntry:
    """An entry of the catalog: a public name, its family, and the function that builds it.

    >>> import jinit
    >>> entry = jinit.initializers.CATALOG[0]
    >>> entry.name, entry.family, entry.build()
    ('zeros', 'constant', zeros)
    """

    name: str
    family: str
    build: Callable[..., Initializer]
    """The public function, or one that returns the public value."""
    example: Initializer
    """An initializer with typical options."""


def _function_entry(family: str, build: Callable[..., Initializer], **options: Any) -> CatalogEntry:
    return CatalogEntry(build.__name__, family, explain_mistakes(build), build(**options))


def _value_entry(name: str, value: Initializer) -> CatalogEntry:
    return CatalogEntry(name, "constant", lambda: value, value)


CATALOG: tuple[CatalogEntry, ...] = (
    _value_entry("zeros", zeros),
    _value_entry("ones", ones),
    _function_entry("constant", zeros_init),
    _function_entry("constant", ones_init),
    _function_entry("constant", constant, value=0.1),
    _function_entry("random", random.uniform, scale=0.05),
    _function_entry("random", random.normal, stddev=0.05),
    _function_entry("random", random.truncated_normal, stddev=0.05),
    _function_entry("random", random.random_normal, mean=0.5, stddev=0.05),
    _function_entry("random", random.random_uniform, minval=-0.1, maxval=0.2),
    _function_entry(
        "variance", variance.variance_scaling, scale=1.5, mode="fan_geo_avg", distribution="normal"
    ),
    _function_entry("variance", named_scaling.he_normal),
    _function_entry("variance", named_scaling.he_uniform),
    _function_entry("variance", named_scaling.xavier_normal),
    _function_entry("variance", named_scaling.xavier_uniform),
    _function_entry("variance", named_scaling.xavier_fan_in_normal),
    _function_entry("variance", named_scaling.xavier_fan_in_uniform),
    _function_entry("variance", named_scaling.lecun_normal),
    _function_entry("variance", named_scaling.lecun_uniform),
    _function_entry("variance", named_scaling.sigmoid_normal),
    _function_entry("variance", named_scaling.sigmoid_uniform),
    _function_entry("variance", activation.activation_scaled, phi="gelu", mode="average"),
    _function_entry("framework", framework.torch_default),
    _function_entry("framework", framework.torch_default_bias, fan_in=64),
    _function_entry("framework", framework.keras_default),
    _function_entry("framework", framework.haiku_default),
    _function_entry(
        "framework", bounded_normal.timm_trunc_normal, mean=0.0, stddev=0.5, minval=-0.7, maxval=1.0
    ),
    _function_entry("orthogonal", orthogonal),
    _function_entry("orthogonal", delta_orthogonal),
    _function_entry("orthogonal", scaled_uniform_orthogonal),
    _function_entry("orthogonal", convolutional.convolutional_orthogonal),
    _function_entry("structured", structured.identity, gain=0.5),
    _function_entry("structured", structured.idinit),
    _function_entry("structured", structured.dirac),
    _function_entry("structured", structured.zero_hadamard),
    _function_entry("structured", spectral.fourier),
    _function_entry("structured", spectral.stft, part="imag"),
    _function_entry("structured", convolutional.convolution_aware),
    _function_entry("sparse", sparse, sparsity=0.8),
    _function_entry("periodic", periodic.siren_first),
    _function_entry("periodic", periodic.siren),
    _function_entry("periodic", periodic.fourier_features, bandwidth=2.0),
    _function_entry("periodic", periodic.fourier_phases),
    _function_entry("recurrent", recurrent.forget_gate_bias),
    _function_entry("recurrent", recurrent.chrono, max_steps=100),
    _function_entry("recurrent", recurrent.uniform_gate_bias),
    _function_entry("state space", hippo),
    _function_entry("state space", hippo_input, measure="legt"),
    _function_entry("state space", s4d.s4d_log_decay, variant="real"),
    _function_entry("state space", s4d.s4d_frequency, variant="legs"),
    _function_entry("state space", mamba.log_step),
    _function_entry("state space", mamba.step_bias),
    _function_entry("state space", mamba.mamba_log_decay),
    _function_entry("state space", mamba.mamba_step_kernel),
    _function_entry("state space", mamba.mamba2_log_decay),
    _function_entry("state space", lru.lru_log_decay),
    _function_entry("state space", lru.lru_log_phase),
    _function_entry("state space", lru.rg_lru_decay),
    _function_entry("attention", attention.headwise_orthogonal, heads=4),
    _function_entry("embedding", embedding.small_init),
    _function_entry("embedding", embedding.unit_rows, scale=2.0),
    _function_entry("embedding", embedding.sinusoidal),
    _function_entry(
        "combinator", combinators.scaled, initializer=named_scaling.he_normal(), factor=0.5
    ),
    _function_entry("combinator", combinators.cast, initializer=random.normal(0.05)),
    _function_entry(
        "combinator", combinators.truncated, initializer=random.normal(1.0), lower=-1, upper=1
    ),
    _function_entry(
        "combinator", combinators.masked, initializer=named_scaling.he_normal(), mask=[1, 0] * 16
    ),
    _function_entry("combinator", blocks.blockwise, initializer=orthogonal(), blocks=4),
    _function_entry("combinator", blocks.stacked, initializer=named_scaling.he_normal()),
    _function_entry("combinator", blocks.icnr, initializer=named_scaling.he_normal(), factor=2),
)
"""Every initializer of jinit; other spellings (`glorot_*`, `kaiming_*`) are in ALIASES."""

ADAPTERS: tuple[Callable[..., Adapter], ...] = (
    lora,
    lora_gaussian,
    lora_embedding,
    lora_orthogonal,
    pissa,
    pissa_randomized,
    olora,
    mica,
    lora_ga,
    eva,
    corda,
)
"""Initializations of low-rank adapters; they take a kernel instead of a shape."""

ALIASES = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
}
"""Other spellings of names of the catalog."""


# An initializer wraps a few others at most; this bound keeps the recursion short.
_MAX_DEPTH = 32


def from_spec(spec: str | Mapping[str, Any] | Initializer) -> Initializer:
    """Return the initializer that plain data describes.

    This is the inverse of `Initializer.to_spec`. Only names of the catalog are looked up; no code
    of the data is executed.

    Args:
      spec: a name of the catalog, or `{"name": ..., option: value}`; an initializer is returned
        unchanged.

    Raises:
      ValueError: if the name or an option is unknown, if an option is missing or has a wrong
        value, or if more than 32 initializers are nested.
      TypeError: if an option has a wrong type.

    >>> from_spec("he_normal")
    he_normal()
    >>> from_spec({"name": "normal", "stddev": 0.02})
    normal(0.02)
    """
    return _read_spec(spec, depth=1)


def find_entry(name: str) -> CatalogEntry:
    """Return the entry with that name or alias; raise a ValueError that names near misses."""
    if name in {adapter.__name__ for adapter in ADAPTERS}:
        raise ValueError(
            f"{name} initializes a low-rank adapter from a kernel, not from a shape: call "
            f"jinit.adapters.{name}(rank)(key, kernel)"
        )
    entries = {entry.name: entry for entry in CATALOG}
    entries |= {alias: entries[target] for alias, target in ALIASES.items()}
    called, bracket, _ = name.partition("(")
    if bracket and called in entries:
        raise ValueError(
            f"initializer: {name!r} is a call, not a name: give the value jinit.{name}, or plain "
            f'data with its options, {{"name": "{called}", ...}}'
        )
    return entries[check_choice("initializer", name, entries)]


def _read_spec(spec: Any, depth: int) -> Initializer:
    if isinstance(spec, Initializer):
        return spec
    if depth > _MAX_DEPTH:
        raise ValueError(
            f"initializer: more than {_MAX_DEPTH} initializers are nested; write fewer around "
            "each other"
        )
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise ValueError(
            f'initializer: expected a name or {{"name": ..., options}}, got {reprlib.repr(spec)}'
        )
    options = {
        str(option): _read_option(value, depth)
        for option, value in spec.items()
        if option != "name"
    }
    return _build_initializer(spec["name"], options)


def _read_option(value: Any, depth: int) -> Any:
    """Return the value of an option, which can be the plain data of another initializer."""
    is_spec = isinstance(value, Mapping) and "name" in value
    return _read_spec(value, depth + 1) if is_spec else value


def is_factory(value: object) -> bool:
    """Return whether a value is a function that builds an initializer, of jinit, JAX or Flax.

    >>> import jax
    >>> is_factory(jax.nn.initializers.he_normal), is_factory(jax.nn.initializers.he_normal())
    (True, False)
    """
    if not inspect.isfunction(value) or "key" in inspect.signature(value).parameters:
        return False
    return value.__name__ in {entry.name for entry in CATALOG} | set(ALIASES)


def _build_initializer(name: str, options: dict[str, Any]) -> Initializer:
    build = find_entry(name).build
    parameters = inspect.signature(build).parameters
    for option in options:
        if option not in parameters:
            raise ValueError(describe_unknown_option(name, option, parameters))
    required = {option for option, spec in parameters.items() if spec.default is spec.empty}
    if missing := sorted(required - options.keys()):
        example = ", ".join(f'"{option}": ...' for option in missing)
        raise ValueError(
            f"initializer {name!r} also needs {', '.join(missing)}: write "
            f'{{"name": "{name}", {example}}}'
        )
    return build(**options)
