"""Random words to distributions: JAX's own stream, fused into one pass."""

from jinit.sampling.distributions import float_stream, normal, rounded, truncated_normal, uniform
from jinit.sampling.orthonormal import orthonormal
from jinit.sampling.planar import complex_disk, complex_truncated_normal
from jinit.sampling.threefry import bits, is_fused

__all__ = [
    "bits",
    "complex_disk",
    "complex_truncated_normal",
    "float_stream",
    "is_fused",
    "normal",
    "orthonormal",
    "rounded",
    "truncated_normal",
    "uniform",
]
