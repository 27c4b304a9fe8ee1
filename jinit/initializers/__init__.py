"""The catalogue of initializers: `(key, shape, dtype) -> Array`, frozen, compiled, comparable.

A drop-in for `jax.nn.initializers` and Flax's: same names, same parameters, same values.
"""

from jinit.initializers.base import Initializer
from jinit.initializers.catalog import CATALOG, Entry, from_spec
from jinit.initializers.combinators import cast, masked, scaled, truncated
from jinit.initializers.constant import constant, ones, ones_init, zeros, zeros_init
from jinit.initializers.orthogonal import delta_orthogonal, orthogonal
from jinit.initializers.parts import blockwise, icnr, stacked
from jinit.initializers.periodic import (
    fourier_features,
    fourier_phases,
    siren,
    siren_first,
)
from jinit.initializers.published import (
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
from jinit.initializers.random import (
    normal,
    random_normal,
    random_uniform,
    truncated_normal,
    uniform,
)
from jinit.initializers.recurrent import (
    chrono,
    forget_gate_bias,
    uniform_gate_bias,
)
from jinit.initializers.sparse import (
    sparse,
)
from jinit.initializers.structured import (
    dirac,
    identity,
    idinit,
    zero_hadamard,
)
from jinit.initializers.variance import variance_scaling

__all__ = [
    "CATALOG",
    "Entry",
    "Initializer",
    "blockwise",
    "cast",
    "chrono",
    "constant",
    "delta_orthogonal",
    "dirac",
    "forget_gate_bias",
    "fourier_features",
    "fourier_phases",
    "from_spec",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "icnr",
    "identity",
    "idinit",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "masked",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "scaled",
    "sigmoid_normal",
    "sigmoid_uniform",
    "siren",
    "siren_first",
    "sparse",
    "stacked",
    "truncated",
    "truncated_normal",
    "uniform",
    "uniform_gate_bias",
    "variance_scaling",
    "xavier_fan_in_normal",
    "xavier_fan_in_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zero_hadamard",
    "zeros",
    "zeros_init",
]
