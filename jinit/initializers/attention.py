"""Attention kernels: orthogonal heads, and pairs of kernels drawn for their product."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.initializers.base import (
    DTypeOption,
    check_finite,
    check_non_negative,
    check_positive_integer,
)
from jinit.initializers.blocks import Blockwise, blockwise
from jinit.initializers.factorizations import balanced_factors, map_matrices, svd
from jinit.initializers.orthogonal import orthogonal
from jinit.sampling import check_key, draw_normal, round_to_dtype, sampling_dtypes


def headwise_orthogonal(
    heads: int, scale: float = 1.0, axis: int = -1, dtype: DTypeOption = None
) -> Blockwise:
    """Return an initializer that draws each head of a projection as an orthogonal matrix.

    It equals `blockwise(orthogonal(scale), heads, axis)`. Each head preserves norms if it is at
    least as wide as the input. `orthogonal` of the fused kernel does not do so: its rows are
    orthonormal over all heads together, not within each head. Rotary position embeddings rotate
    pairs of coordinates within a head; they change neither lengths nor the distribution of a head.

    Args:
      heads: number of heads, at least 1.
      scale: factor on every entry, finite.
      axis: the axis of the heads: -1 for fused kernels `(in, heads · head_dim)`, -2 for
        `(in, heads, head_dim)`, 0 for output kernels `(heads · head_dim, out)` and
        `(heads, head_dim, out)`.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `heads` or `axis` is not an integer, or `scale` is not a number.
      ValueError: if `heads` is less than 1 or `scale` is not finite; when called, if the shape
        does not have that axis or its size does not divide into the heads.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013, section 3; Su et al., "RoFormer: enhanced transformer
    with rotary position embedding", 2021, section 3.2.

    >>> import jax, jax.numpy as jnp
    >>> w = headwise_orthogonal(3)(jax.random.key(0), (8, 3 * 8))
    >>> bool(jnp.allclose(w[:, 8:16].T @ w[:, 8:16], jnp.eye(8), atol=1e-5))
    True
    """
    return blockwise(orthogonal(scale), check_positive_integer("heads", heads), axis, dtype)


def mimetic_query_key(
    key: Array,
    features: int,
    heads: int,
    head_dim: int,
    alpha: float = 0.7,
    beta: float = 0.7,
    dtype: DTypeOption = None,
) -> tuple[Array, Array]:
    r"""Draw query and key kernels of a self-attention that initially attends to similar tokens.

    For each head, `W_q W_kᵀ` is the best approximation of rank `head_dim` to `alpha Z + beta I`,
    with Z normal of variance `1 / features`, as in trained transformers. With the singular values
    and vectors of that matrix, `W_q = U √S` and `W_k = V √S`.

    Args:
      key: one random key.
      features: width of the tokens.
      heads: number of heads.
      head_dim: width of a head, at most `features`.
      alpha: standard deviation of the noise times √features, >= 0.
      beta: weight of the identity.
      dtype: a real floating dtype; float32 by default (float64 with x64).

    Returns:
      The query kernel and the key kernel, each `(features, heads, head_dim)`; reshape them to
      `(features, heads · head_dim)` for layers that fuse the heads.

    Raises:
      TypeError: if `key` is not a random key, a size is not an integer, or `dtype` is not real and
        floating.
      ValueError: if `key` is an array of keys, a size is less than 1, `head_dim > features`, or
        `alpha` is negative.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> import jax, jax.numpy as jnp
    >>> query, key = mimetic_query_key(jax.random.key(0), 64, heads=4, head_dim=16)
    >>> products = jnp.einsum("ihk,jhk->hij", query, key)
    >>> bool((jnp.trace(products, axis1=1, axis2=2) > 0).all())
    True
    """
    check_key(key, "mimetic_query_key")
    sizes = _Sizes(
        features=check_positive_integer("features", features),
        heads=check_positive_integer("heads", heads),
        head_dim=check_positive_integer("head_dim", head_dim),
    )
    if sizes.head_dim > sizes.features:
        raise ValueError(
            f"head_dim: expected at most features={sizes.features}, got {sizes.head_dim}: the rank "
            "of the product of a query and a key kernel is at most features; is features the "
            "width of a token?"
        )
    draw_dtype, result_dtype = sampling_dtypes(dtype or float, "mimetic_query_key")
    noise_std = np.asarray(check_non_negative("alpha", alpha) / math.sqrt(features), draw_dtype)
    identity_weight = np.asarray(check_finite("beta", beta), draw_dtype)
    return _draw_query_key(key, noise_std, identity_weight, sizes, result_dtype)


def mimetic_value_output(
    key: Array,
    features: int,
    alpha: float = 0.4,
    beta: float = 0.4,
    dtype: DTypeOption = None,
) -> tuple[Array, Array]:
    r"""Draw value and output kernels of a self-attention that initially subtracts attended values.

    `W_v W_o = alpha Z - beta I`, with Z normal of variance `1 / features`, as in trained vision
    transformers. With the singular values and vectors of that matrix, `W_v = U √S` and
    `W_o = √S Vᵀ`.

    Args:
      key: one random key; not the one given to `mimetic_query_key`.
      features: width of the tokens, and of all heads together.
      alpha: standard deviation of the noise times √features, >= 0.
      beta: weight of the identity; a negative one adds it, as in language models.
      dtype: a real floating dtype; float32 by default (float64 with x64).

    Returns:
      The value kernel and the output kernel, each `(features, features)`; for layers with an axis
      of heads, reshape them to `(features, heads, head_dim)` and `(heads, head_dim, features)`.

    Raises:
      TypeError: if `key` is not a random key, `features` is not an integer, or `dtype` is not real
        and floating.
      ValueError: if `key` is an array of keys, `features` is less than 1, or `alpha` is negative.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> import jax, jax.numpy as jnp
    >>> value, output = mimetic_value_output(jax.random.key(0), 64)
    >>> bool(abs(jnp.trace(value @ output) / 64 + 0.4) < 0.05)
    True
    """
    check_key(key, "mimetic_value_output")
    width = check_positive_integer("features", features)
    draw_dtype, result_dtype = sampling_dtypes(dtype or float, "mimetic_value_output")
    noise_std = np.asarray(check_non_negative("alpha", alpha) / math.sqrt(width), draw_dtype)
    identity_weight = np.asarray(-check_finite("beta", beta), draw_dtype)
    return _draw_value_output(key, noise_std, identity_weight, width, result_dtype)


class _Sizes(NamedTuple):
    features: int
    heads: int
    head_dim: int


@partial(jax.jit, static_argnums=(3, 4))
def _draw_query_key(
    key: Array, noise_std: Array, identity_weight: Array, sizes: _Sizes, dtype: np.dtype
) -> tuple[Array, Array]:
    def draw_head(key: Array) -> tuple[Array, Array]:
        target = _draw_target(key, noise_std, identity_weight, sizes.features)
        return _best_factors(target, sizes.head_dim)

    queries, keys = lax.map(draw_head, jax.random.split(key, sizes.heads))
    return (
        round_to_dtype(jnp.moveaxis(queries, 0, 1), dtype),
        round_to_dtype(jnp.moveaxis(keys, 0, 1), dtype),
    )


@partial(jax.jit, static_argnums=(3, 4))
def _draw_value_output(
    key: Array, noise_std: Array, identity_weight: Array, features: int, dtype: np.dtype
) -> tuple[Array, Array]:
    target = _draw_target(key, noise_std, identity_weight, features)
    value, output = _best_factors(target, features)
    return round_to_dtype(value, dtype), round_to_dtype(output.T, dtype)


def _draw_target(key: Array, noise_std: Array, identity_weight: Array, features: int) -> Array:
    """Draw the matrix that the product of the kernels approximates."""
    noise = draw_normal(key, (features, features), noise_std.dtype, scale=noise_std)
    return noise + identity_weight * jnp.eye(features, dtype=noise_std.dtype)


def _best_factors(matrix: Array, rank: int) -> tuple[Array, Array]:
    """Return L and R, with `rank` columns of equal lengths, whose L Rᵀ is nearest to a matrix."""
    left, right = balanced_factors(rank, 1.0, *map_matrices(svd, matrix))
    return left, right.T
