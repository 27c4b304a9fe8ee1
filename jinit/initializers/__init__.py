"""The catalogue of initializers: `(key, shape, dtype) -> Array`, frozen, compiled, comparable.

A drop-in for `jax.nn.initializers` and Flax's: same names, same parameters, same values.
"""

from jinit.initializers.base import Initializer
from jinit.initializers.catalog import CATALOG, Entry, from_spec
from jinit.initializers.constant import constant, ones, ones_init, zeros, zeros_init
from jinit.initializers.orthogonal import delta_orthogonal, orthogonal
from jinit.initializers.random import (
    normal,
    random_normal,
    random_uniform,
    truncated_normal,
    uniform,
)
from jinit.initializers.scaled import (
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
from jinit.initializers.variance import variance_scaling

__all__ = [
    "CATALOG",
    "Entry",
    "Initializer",
    "constant",
    "delta_orthogonal",
    "from_spec",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "sigmoid_normal",
    "sigmoid_uniform",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_fan_in_normal",
    "xavier_fan_in_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
    "zeros_init",
]
