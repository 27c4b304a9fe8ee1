"""Every initializer by its public name, and back from plain data."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinit.initializers import (
    activation,
    attention,
    combinators,
    convolutional,
    diagonal_state_space,
    embedding,
    framework,
    gated_linear,
    linear_recurrence,
    parts,
    periodic,
    published,
    random,
    recurrent,
    spectral,
    state_space,
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
from jinit.initializers.choice import one_of
from jinit.initializers.constant import constant, ones, ones_init, zeros, zeros_init
from jinit.initializers.orthogonal import (
    delta_orthogonal,
    orthogonal,
    scaled_uniform_orthogonal,
)
from jinit.initializers.sparse import sparse


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: a public name, its family, and what builds it.

    >>> import jinit
    >>> entry = jinit.initializers.CATALOG[0]
    >>> entry.name, entry.family, entry.build()
    ('zeros', 'constant', zeros)
    """

    name: str
    family: str
    build: Callable[..., Initializer]
    example: Initializer
    """One member with typical options, as the contracts test draws it."""


def _entry(family: str, build: Callable[..., Initializer], *options: Any) -> Entry:
    return Entry(build.__name__, family, build, build(*options))


def _value(name: str, value: Initializer) -> Entry:
    return Entry(name, "constant", lambda: value, value)


CATALOG: tuple[Entry, ...] = (
    _value("zeros", zeros),
    _value("ones", ones),
    _entry("constant", zeros_init),
    _entry("constant", ones_init),
    _entry("constant", constant, 0.1),
    _entry("random", random.uniform, 0.05),
    _entry("random", random.normal, 0.05),
    _entry("random", random.truncated_normal, 0.05),
    _entry("random", random.random_normal, 0.5, 0.05),
    _entry("random", random.random_uniform, -0.1, 0.2),
    _entry("variance", variance.variance_scaling, 1.5, "fan_geo_avg", "normal"),
    _entry("variance", published.he_normal),
    _entry("variance", published.he_uniform),
    _entry("variance", published.xavier_normal),
    _entry("variance", published.xavier_uniform),
    _entry("variance", published.xavier_fan_in_normal),
    _entry("variance", published.xavier_fan_in_uniform),
    _entry("variance", published.lecun_normal),
    _entry("variance", published.lecun_uniform),
    _entry("variance", published.sigmoid_normal),
    _entry("variance", published.sigmoid_uniform),
    _entry("variance", activation.activation_scaled, "gelu", "average"),
    _entry("framework", framework.torch_default),
    _entry("framework", framework.torch_default_bias, 64),
    _entry("framework", framework.keras_default),
    _entry("framework", framework.haiku_default),
    _entry("framework", random.timm_trunc_normal, 0.0, 0.5, -0.7, 1.0),
    _entry("orthogonal", orthogonal),
    _entry("orthogonal", delta_orthogonal),
    _entry("orthogonal", scaled_uniform_orthogonal),
    _entry("orthogonal", convolutional.convolutional_orthogonal),
    _entry("structured", structured.identity, 0.5),
    _entry("structured", structured.idinit),
    _entry("structured", structured.dirac),
    _entry("structured", structured.zero_hadamard),
    _entry("structured", spectral.fourier),
    _entry("structured", spectral.stft, "imag"),
    _entry("structured", convolutional.convolution_aware),
    _entry("sparse", sparse, 0.8),
    _entry("periodic", periodic.siren_first),
    _entry("periodic", periodic.siren),
    _entry("periodic", periodic.fourier_features, 2.0),
    _entry("periodic", periodic.fourier_phases),
    _entry("recurrent", recurrent.forget_gate_bias),
    _entry("recurrent", recurrent.chrono, 100),
    _entry("recurrent", recurrent.uniform_gate_bias),
    _entry("state space", state_space.hippo),
    _entry("state space", state_space.hippo_input, "legt"),
    _entry("state space", diagonal_state_space.s4d_log_decay, "real"),
    _entry("state space", diagonal_state_space.s4d_frequency, "legs"),
    _entry("state space", gated_linear.log_step),
    _entry("state space", gated_linear.step_bias),
    _entry("state space", gated_linear.mamba_log_decay),
    _entry("state space", gated_linear.mamba_step_kernel),
    _entry("state space", gated_linear.mamba2_log_decay),
    _entry("state space", linear_recurrence.lru_log_decay),
    _entry("state space", linear_recurrence.lru_log_phase),
    _entry("state space", linear_recurrence.rg_lru_decay),
    _entry("attention", attention.headwise_orthogonal, 4),
    _entry("embedding", embedding.small_init),
    _entry("embedding", embedding.unit_rows, 2.0),
    _entry("embedding", embedding.sinusoidal),
    _entry("combinator", combinators.scaled, published.he_normal(), 0.5),
    _entry("combinator", combinators.cast, random.normal(0.05)),
    _entry("combinator", combinators.truncated, random.normal(1.0), -1, 1),
    _entry("combinator", combinators.masked, published.he_normal(), [1, 0] * 16),
    _entry("combinator", parts.blockwise, orthogonal(), 4),
    _entry("combinator", parts.stacked, published.he_normal()),
    _entry("combinator", parts.icnr, published.he_normal(), 2),
)
"""Every initializer of jinit; other spellings (`glorot_*`, `kaiming_*`) are in ALIASES."""

ADAPTERS: tuple[Callable[..., Adapter], ...] = (
    *(lora, lora_gaussian, lora_embedding, lora_orthogonal),
    *(pissa, pissa_randomized, olora, mica),
    *(lora_ga, eva, corda),
)
"""Starts of low-rank adapters, which need the kernel beside which the adapter stands."""

ALIASES = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
}
"""Other spellings of catalogue names."""


def from_spec(spec: str | Mapping[str, Any] | Initializer) -> Initializer:
    """The initializer that plain data describes: a name, or `{"name": ..., option: value}`.

    The inverse of `Initializer.to_spec`. Only catalogue names are looked up; nothing is executed.

    Raises:
      ValueError: an unknown name or option (near misses are named), or an option's own error.

    >>> from_spec("he_normal")
    he_normal()
    >>> from_spec({"name": "normal", "stddev": 0.02})
    normal(0.02)
    """
    if isinstance(spec, Initializer):
        return spec
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ValueError(f'initializer: expected a name or {{"name": ..., options}}, got {spec!r}')
    options = {str(option): _nested(value) for option, value in spec.items() if option != "name"}
    return _build(str(spec["name"]), options)


def _nested(value: Any) -> Any:
    """An option that is itself an initializer, as plain data."""
    return from_spec(value) if isinstance(value, Mapping) and "name" in value else value


def entry_of(name: str) -> Entry:
    """The entry of that name or alias; a ValueError that names near misses otherwise."""
    if name in {adapter.__name__ for adapter in ADAPTERS}:
        raise ValueError(
            f"{name} starts a low-rank adapter from the kernel beside which it stands, so it has "
            f"no shape to be drawn in: call jinit.initializers.{name}(rank)(key, kernel)"
        )
    entries = {entry.name: entry for entry in CATALOG}
    entries |= {alias: entries[target] for alias, target in ALIASES.items()}
    return entries[one_of("initializer", name, entries)]


def _build(name: str, options: dict[str, Any]) -> Initializer:
    build = entry_of(name).build
    parameters = inspect.signature(build).parameters
    for option in options:
        one_of(f"option of {name}", option, parameters)
    required = {option for option, spec in parameters.items() if spec.default is spec.empty}
    if missing := sorted(required - options.keys()):
        raise ValueError(f"initializer {name!r} needs {', '.join(missing)} as well")
    return build(**options)
