"""Random words to distributions: JAX's own stream, fused into one pass."""

from jinit.sampling.distributed import orthonormal_over
from jinit.sampling.distributions import (
    fence,
    float_stream,
    normal,
    rounded,
    truncated_normal,
    uniform,
)
from jinit.sampling.exact import exact_product
from jinit.sampling.host import fold_in_data, split_data
from jinit.sampling.orthonormal import orthonormal
from jinit.sampling.planar import complex_disk, complex_truncated_normal
from jinit.sampling.reflectors import product
from jinit.sampling.threefry import WORDS, bits, is_fused, random_words, words_from

__all__ = [
    "WORDS",
    "bits",
    "complex_disk",
    "complex_truncated_normal",
    "exact_product",
    "fence",
    "float_stream",
    "fold_in_data",
    "is_fused",
    "normal",
    "orthonormal",
    "orthonormal_over",
    "product",
    "random_words",
    "rounded",
    "split_data",
    "truncated_normal",
    "uniform",
    "words_from",
]
