"""The catalog of initializers: frozen, comparable values called as `(key, shape, dtype)`.

A drop-in for `jax.nn.initializers` and Flax's names: same names, same parameters, same values.
"""

from typing import TYPE_CHECKING, Any

from jinit.initializers import adapters
from jinit.initializers.activation import activation_scaled
from jinit.initializers.attention import (
    headwise_orthogonal,
    mimetic_query_key,
    mimetic_value_output,
)
from jinit.initializers.base import Initializer
from jinit.initializers.blocks import blockwise, icnr, stacked
from jinit.initializers.bounded_normal import timm_trunc_normal
from jinit.initializers.catalog import ALIASES, CATALOG, CatalogEntry, from_spec
from jinit.initializers.combinators import cast, masked, scaled, truncated
from jinit.initializers.constant import constant, ones, ones_init, zeros, zeros_init
from jinit.initializers.convolutional import convolution_aware, convolutional_orthogonal
from jinit.initializers.embedding import sinusoidal, small_init, unit_rows
from jinit.initializers.factories import explain_mistakes
from jinit.initializers.framework import (
    haiku_default,
    keras_default,
    torch_default,
    torch_default_bias,
)
from jinit.initializers.hippo import hippo, hippo_input
from jinit.initializers.lru import lru_log_decay, lru_log_gain, lru_log_phase, rg_lru_decay
from jinit.initializers.mamba import (
    log_step,
    mamba2_log_decay,
    mamba_log_decay,
    mamba_step_kernel,
    step_bias,
)
from jinit.initializers.named_scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    sigmoid_normal,
    sigmoid_uniform,
    xavier_fan_in_normal,
    xavier_fan_in_uniform,
    xavier_normal,
    xavier_uniform,
)
from jinit.initializers.orthogonal import delta_orthogonal, orthogonal, scaled_uniform_orthogonal
from jinit.initializers.other_names import missing_attribute
from jinit.initializers.periodic import fourier_features, fourier_phases, siren, siren_first
from jinit.initializers.random import (
    normal,
    random_normal,
    random_uniform,
    truncated_normal,
    uniform,
)
from jinit.initializers.recurrent import chrono, forget_gate_bias, uniform_gate_bias
from jinit.initializers.s4d import HippoDiagonal, hippo_diagonal, s4d_frequency, s4d_log_decay
from jinit.initializers.sparse import sparse
from jinit.initializers.spectral import fourier, stft
from jinit.initializers.structured import dirac, identity, idinit, zero_hadamard
from jinit.initializers.variance import variance_scaling

__all__ = [
    "CATALOG",
    "CatalogEntry",
    "HippoDiagonal",
    "Initializer",
    "activation_scaled",
    "adapters",
    "blockwise",
    "cast",
    "chrono",
    "constant",
    "convolution_aware",
    "convolutional_orthogonal",
    "delta_orthogonal",
    "dirac",
    "forget_gate_bias",
    "fourier",
    "fourier_features",
    "fourier_phases",
    "from_spec",
    "glorot_normal",
    "glorot_uniform",
    "haiku_default",
    "he_normal",
    "he_uniform",
    "headwise_orthogonal",
    "hippo",
    "hippo_diagonal",
    "hippo_input",
    "icnr",
    "identity",
    "idinit",
    "kaiming_normal",
    "kaiming_uniform",
    "keras_default",
    "lecun_normal",
    "lecun_uniform",
    "log_step",
    "lru_log_decay",
    "lru_log_gain",
    "lru_log_phase",
    "mamba2_log_decay",
    "mamba_log_decay",
    "mamba_step_kernel",
    "masked",
    "mimetic_query_key",
    "mimetic_value_output",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "rg_lru_decay",
    "s4d_frequency",
    "s4d_log_decay",
    "scaled",
    "scaled_uniform_orthogonal",
    "sigmoid_normal",
    "sigmoid_uniform",
    "sinusoidal",
    "siren",
    "siren_first",
    "small_init",
    "sparse",
    "stacked",
    "step_bias",
    "stft",
    "timm_trunc_normal",
    "torch_default",
    "torch_default_bias",
    "truncated",
    "truncated_normal",
    "uniform",
    "uniform_gate_bias",
    "unit_rows",
    "variance_scaling",
    "xavier_fan_in_normal",
    "xavier_fan_in_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zero_hadamard",
    "zeros",
    "zeros_init",
]

# A wrong call of a function that builds an initializer raises an error that says what to write.
_FACTORIES = {entry.name for entry in CATALOG if entry.name not in ("zeros", "ones")} | set(ALIASES)
globals().update({name: explain_mistakes(globals()[name]) for name in _FACTORIES})


if not TYPE_CHECKING:  # type checkers should report unknown names

    def __getattr__(name: str) -> Any:
        """Raise an AttributeError that gives jinit's spelling of PyTorch's and Keras's names."""
        raise missing_attribute(__name__, name, __all__)
