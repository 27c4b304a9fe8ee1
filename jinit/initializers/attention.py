"""Starts for attention: frames head by head, and pairs of kernels drawn for their product."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import finite, non_negative, positive_integer
from jinit.initializers.low_rank import for_each, svd
from jinit.initializers.orthogonal import orthogonal
from jinit.initializers.parts import Blockwise, blockwise
from jinit.sampling import float_stream, normal, rounded


def headwise_orthogonal(
    heads: int, scale: float = 1.0, axis: int = -1, dtype: DTypeLike | None = None
) -> Blockwise:
    """Independent Haar frames, one per head of a projection: `blockwise(orthogonal(scale), heads)`.

    Each head keeps the length of what it projects, also where all heads together have more
    features than the input; one frame over all of them then does not. Rotary position embeddings
    turn pairs of coordinates within a head: lengths and the law of the head stay as they are.

    Args:
      heads: how many heads, at least 1. scale: factor on every entry, finite.
      axis: the axis of the heads: -1 for fused kernels `(in, heads · head_dim)`, -2 for
        `(in, heads, head_dim)`, 0 for output kernels `(heads · head_dim, out)` and
        `(heads, head_dim, out)`.
      dtype: default dtype of the result.

    Raises:
      TypeError: `heads` or `axis` is not an integer. ValueError: `heads` below 1; when called, an
        axis that is missing or does not divide into the heads.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013, section 3; Su et al., "RoFormer: enhanced transformer
    with rotary position embedding", 2021, section 3.2.

    >>> import jax, jax.numpy as jnp
    >>> w = headwise_orthogonal(3)(jax.random.key(0), (8, 3 * 8))
    >>> bool(jnp.allclose(w[:, 8:16].T @ w[:, 8:16], jnp.eye(8), atol=1e-5))
    True
    """
    return blockwise(orthogonal(scale), positive_integer("heads", heads), axis, dtype)


def mimetic_query_key(
    key: Array,
    features: int,
    heads: int,
    head_dim: int,
    alpha: float = 0.7,
    beta: float = 0.7,
    dtype: DTypeLike | None = None,
) -> tuple[Array, Array]:
    r"""Query and key kernels of a self-attention whose tokens at first attend to their like.

    Per head `W_q W_kᵀ` is the best approximation of rank `head_dim` to `alpha Z + beta I`, with Z
    normal of variance `1 / features`, as in trained transformers. With the singular values and
    vectors of that matrix, `W_q = U √S` and `W_k = V √S`.

    Args:
      key: one key.
      features: width of the tokens. heads: number of heads. head_dim: width of a head, at most
        `features`.
      alpha: standard deviation of the noise times √features, >= 0. beta: weight of the identity.
      dtype: a real floating dtype; float32 by default (float64 with x64).

    Returns:
      The query kernel and the key kernel, each `(features, heads, head_dim)`; reshape them to
      `(features, heads · head_dim)` for layers that fuse the heads.

    Raises:
      TypeError: a size is not an integer, or `dtype` not real and floating.
      ValueError: a size below 1, `head_dim > features`, or a negative alpha.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> import jax, jax.numpy as jnp
    >>> query, key = mimetic_query_key(jax.random.key(0), 64, heads=4, head_dim=16)
    >>> products = jnp.einsum("ihk,jhk->hij", query, key)
    >>> bool((jnp.trace(products, axis1=1, axis2=2) > 0).all())
    True
    """
    sizes = {"features": features, "heads": heads, "head_dim": head_dim}
    width, count, rank = (positive_integer(name, size) for name, size in sizes.items())
    if rank > width:
        raise ValueError(
            f"head_dim: expected at most features={width}, got {rank}: the product of a query and "
            "a key kernel has no more than features directions; is features the width of a token?"
        )
    stream, result = float_stream(dtype or float, "mimetic_query_key")
    noise = np.asarray(non_negative("alpha", alpha) / math.sqrt(width), stream)
    identity = np.asarray(finite("beta", beta), stream)
    return _query_key(key, noise, identity, (width, count, rank), result)


def mimetic_value_output(
    key: Array,
    features: int,
    alpha: float = 0.4,
    beta: float = 0.4,
    dtype: DTypeLike | None = None,
) -> tuple[Array, Array]:
    r"""Value and output kernels of a self-attention that at first takes away what it attends to.

    `W_v W_o = alpha Z - beta I`, with Z normal of variance `1 / features`, as in trained vision
    transformers. With the singular values and vectors of that matrix, `W_v = U √S` and
    `W_o = √S Vᵀ`.

    Args:
      key: one key; not the one given to `mimetic_query_key`.
      features: width of the tokens, and of all heads together.
      alpha: standard deviation of the noise times √features, >= 0. beta: weight of the identity;
        a negative one adds it, as in language models.
      dtype: a real floating dtype; float32 by default (float64 with x64).

    Returns:
      The value kernel and the output kernel, each `(features, features)`; with heads that have an
      axis of their own, reshape them to `(features, heads, head_dim)` and
      `(heads, head_dim, features)`.

    Raises:
      TypeError: `features` is not an integer, or `dtype` not real and floating.
      ValueError: `features` below 1, or a negative alpha.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> import jax, jax.numpy as jnp
    >>> value, output = mimetic_value_output(jax.random.key(0), 64)
    >>> bool(abs(jnp.trace(value @ output) / 64 + 0.4) < 0.05)
    True
    """
    width = positive_integer("features", features)
    stream, result = float_stream(dtype or float, "mimetic_value_output")
    noise = np.asarray(non_negative("alpha", alpha) / math.sqrt(width), stream)
    identity = np.asarray(-finite("beta", beta), stream)
    return _value_output(key, noise, identity, width, result)


@partial(jax.jit, static_argnums=(3, 4))
def _query_key(
    key: Array, noise: Array, identity: Array, sizes: tuple[int, int, int], dtype: np.dtype
) -> tuple[Array, Array]:
    features, heads, head_dim = sizes

    def head(key: Array) -> tuple[Array, Array]:
        return _factors(_target(key, noise, identity, features), head_dim)

    query, keys = lax.map(head, jax.random.split(key, heads))
    return rounded(jnp.moveaxis(query, 0, 1), dtype), rounded(jnp.moveaxis(keys, 0, 1), dtype)


@partial(jax.jit, static_argnums=(3, 4))
def _value_output(
    key: Array, noise: Array, identity: Array, features: int, dtype: np.dtype
) -> tuple[Array, Array]:
    value, output = _factors(_target(key, noise, identity, features), features)
    return rounded(value, dtype), rounded(output.T, dtype)


def _target(key: Array, noise: Array, identity: Array, features: int) -> Array:
    draw = normal(key, (features, features), noise.dtype, scale=noise)
    return draw + identity * jnp.eye(features, dtype=noise.dtype)


def _factors(matrix: Array, rank: int) -> tuple[Array, Array]:
    """The matrices L, R of `rank` columns, equally long, with L Rᵀ nearest to the matrix."""
    left, lengths, right = for_each(svd, matrix)
    roots = lax.sqrt(lengths[:rank])[None, :]
    return left[:, :rank] * roots, right[:rank].T * roots
