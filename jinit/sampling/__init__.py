"""Random bits and the distributions drawn from them: JAX's own values, fused into one pass.

`draw_…` functions take `(key, …, shape, dtype)` and return arrays. The other names are the
building blocks from which initializers and compiled programs are made.
"""

from jinit.sampling.complex_values import draw_complex_disk, draw_complex_truncated_normal
from jinit.sampling.distributions import draw_normal, draw_truncated_normal, draw_uniform
from jinit.sampling.key_derivation import fold_in_key_data, split_key_data
from jinit.sampling.normal_tail import draw_normal_tail
from jinit.sampling.orthonormal import draw_orthonormal
from jinit.sampling.orthonormal_over_mesh import draw_orthonormal_over_mesh
from jinit.sampling.products import exact_product, full_precision_product
from jinit.sampling.rounding import (
    SamplingDtypes,
    check_dtype,
    check_range,
    check_signed,
    factorization_dtype,
    pin_rounding,
    real_dtype,
    round_to_dtype,
    sampling_dtypes,
)
from jinit.sampling.threefry import (
    FUSED_BITS_CALL,
    check_key,
    draw_bits,
    fused_bits,
    fused_bits_range,
    has_fused_bits,
)

# Draws.
__all__ = [
    "draw_bits",
    "draw_complex_disk",
    "draw_complex_truncated_normal",
    "draw_normal",
    "draw_normal_tail",
    "draw_orthonormal",
    "draw_orthonormal_over_mesh",
    "draw_truncated_normal",
    "draw_uniform",
]
# Building blocks of initializers and programs.
__all__ += [
    "FUSED_BITS_CALL",
    "SamplingDtypes",
    "check_dtype",
    "check_key",
    "check_range",
    "check_signed",
    "exact_product",
    "factorization_dtype",
    "fold_in_key_data",
    "full_precision_product",
    "fused_bits",
    "fused_bits_range",
    "has_fused_bits",
    "pin_rounding",
    "real_dtype",
    "round_to_dtype",
    "sampling_dtypes",
    "split_key_data",
]
