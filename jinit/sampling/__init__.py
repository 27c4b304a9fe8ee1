"""Random words to distributions: JAX's own stream, fused into one pass."""

from jinit.sampling.distributions import normal, truncated_normal, uniform
from jinit.sampling.orthonormal import orthonormal
from jinit.sampling.planar import complex_disk, complex_truncated_normal
from jinit.sampling.threefry import bits

__all__ = [
    "bits",
    "complex_disk",
    "complex_truncated_normal",
    "normal",
    "orthonormal",
    "truncated_normal",
    "uniform",
]
