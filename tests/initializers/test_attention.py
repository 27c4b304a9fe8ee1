"""Attention kernels: norms of heads, and products against NumPy's decompositions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import linen as nn

import jinit
from jinit.initializers.attention import (
    headwise_orthogonal,
    mimetic_query_key,
    mimetic_value_output,
)

KEY = jax.random.key(11)
LEVEL = 1e-9  # false-alarm probability of each test of a distribution


@pytest.mark.parametrize(
    ("shape", "axis", "head"),
    [
        ((12, 4 * 6), -1, lambda kernel, h: kernel[:, 6 * h : 6 * h + 6]),
        ((12, 4, 6), -2, lambda kernel, h: kernel[:, h]),
        ((4, 6, 12), 0, lambda kernel, h: kernel[h].T),
    ],
)
def test_every_head_is_orthogonal(shape, axis, head):
    kernel = np.asarray(headwise_orthogonal(4, 0.5, axis)(KEY, shape))
    frames = [head(kernel, h) for h in range(4)]
    for frame in frames:
        np.testing.assert_allclose(frame.T @ frame, 0.25 * np.eye(6), atol=1e-6)
    assert len({frame.tobytes() for frame in frames}) == 4


def test_heads_are_uniform_and_independent():
    """The inner product of two independent uniform directions is a coordinate of one."""
    keys = jax.random.split(KEY, 1500)
    kernels = np.asarray(jax.vmap(lambda key: headwise_orthogonal(2)(key, (8, 6)))(keys))
    expected = scipy.stats.beta(3.5, 3.5, loc=-1, scale=2)
    products = (kernels[:, :, 0] * kernels[:, :, 4]).sum(1)
    assert scipy.stats.kstest(products, expected.cdf).pvalue > LEVEL
    assert scipy.stats.kstest(kernels[:, 2, 5], expected.cdf).pvalue > LEVEL


def rotary(x: np.ndarray) -> np.ndarray:
    """Rotary embedding of (positions, heads, head_dim): rotate pair i by `p / 100^(2i/d)`."""
    positions, _, size = x.shape
    angle = np.arange(positions)[:, None] / 100 ** (np.arange(0, size, 2) / size)
    rotated = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None, :]
    return np.stack([rotated.real, rotated.imag], axis=-1).reshape(x.shape)


def test_rotated_heads_keep_norms_and_depend_only_on_distances():
    heads, width = 3, 8
    token = np.asarray(jax.random.normal(KEY, (width,)), np.float64)
    kernel = np.asarray(headwise_orthogonal(heads)(KEY, (width, heads * width)), np.float64)
    query = rotary(np.tile(token @ kernel, (20, 1)).reshape(20, heads, width))
    lengths = np.linalg.norm(query, axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(token), rtol=1e-6)
    scores = np.einsum("ihk,jhk->hij", query, query)
    for h in range(heads):
        for distance in range(20):
            diagonal = np.diagonal(scores[h], distance)
            np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-9)
    fused = np.asarray(jinit.orthogonal()(KEY, (width, heads * width)), np.float64)
    norms = np.linalg.norm((token @ fused).reshape(heads, width), axis=-1)
    assert np.ptp(norms) > 0.1 * np.linalg.norm(
        token
    )  # one matrix for all heads does not keep them


def head_products(query, key):
    return np.einsum("ihk,jhk->hij", np.asarray(query, np.float64), np.asarray(key, np.float64))


def noise_is_normal(noise, std):
    return scipy.stats.kstest(np.ravel(noise), scipy.stats.norm(scale=std).cdf).pvalue > LEVEL


@pytest.mark.slow
def test_query_key_products_are_the_best_low_rank_approximation_of_noise_plus_identity():
    features, heads, head_dim, alpha, beta = 40, 3, 7, 0.6, 0.9
    full = head_products(*mimetic_query_key(KEY, features, heads, features, alpha, beta))
    noise = full - beta * np.eye(features)
    assert noise_is_normal(noise, alpha / np.sqrt(features))
    diagonals = np.trace(noise, axis1=1, axis2=2) / features
    assert (np.abs(diagonals) < 6.5 * alpha / features).all()
    # Heads are independent: their noise is uncorrelated (6.5 standard errors, 1e-10).
    correlations = np.corrcoef(noise.reshape(heads, -1))[np.triu_indices(heads, 1)]
    assert (np.abs(correlations) < 6.5 / features).all()

    pair = mimetic_query_key(KEY, features, heads, head_dim, alpha, beta)
    assert [kernel.shape for kernel in pair] == 2 * [(features, heads, head_dim)]
    for h, product in enumerate(head_products(*pair)):
        left, lengths, right = np.linalg.svd(full[h])
        best = left[:, :head_dim] * lengths[:head_dim] @ right[:head_dim]
        np.testing.assert_allclose(product, best, atol=2e-5)
        for kernel in pair:  # the singular values are split evenly
            gram = np.asarray(kernel[:, h].T @ kernel[:, h])
            np.testing.assert_allclose(gram, np.diag(lengths[:head_dim]), atol=2e-5)


def test_value_output_products_are_noise_minus_the_identity():
    features, alpha, beta = 32, 0.5, 0.3
    value, output = (np.asarray(w) for w in mimetic_value_output(KEY, features, alpha, beta))
    noise = value @ output + beta * np.eye(features)
    assert noise_is_normal(noise, alpha / np.sqrt(features))
    assert abs(np.trace(noise)) < 6.5 * alpha
    np.testing.assert_allclose(value.T @ value, output @ output.T, atol=1e-5)


@pytest.mark.slow
def test_the_kernels_have_the_layout_of_flax_attention():
    """Scores are x W_q W_kᵀ xᵀ, and the output for a single token is x W_v W_o."""
    features, heads, head_dim = 32, 4, 8
    query, key = mimetic_query_key(KEY, features, heads, head_dim)
    value, output = mimetic_value_output(KEY, features)
    layer = nn.MultiHeadDotProductAttention(heads, use_bias=False)
    kernels = {
        "query": query,
        "key": key,
        "value": value.reshape(features, heads, head_dim),
        "out": output.reshape(heads, head_dim, features),
    }
    params = {"params": {name: {"kernel": kernel} for name, kernel in kernels.items()}}
    tokens = 3 * jnp.linalg.qr(jax.random.normal(KEY, (features, features)))[0][:6]
    _, state = layer.apply(params, tokens, sow_weights=True, mutable="intermediates")
    (weights,) = state["intermediates"]["attention_weights"]
    x = np.asarray(tokens, np.float64)
    scores = x @ head_products(query, key) @ x.T / np.sqrt(head_dim)
    np.testing.assert_allclose(weights, jax.nn.softmax(scores, axis=-1), atol=1e-5)
    assert np.diagonal(weights, axis1=-2, axis2=-1).mean() > 1.2 / 6
    single = layer.apply(params, tokens[:1])
    np.testing.assert_allclose(single, tokens[:1] @ value @ output, atol=1e-5)
    assert (single * tokens[:1]).sum() < 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "draw",
    [
        lambda key, dtype=None: mimetic_query_key(key, 32, 4, 8, dtype=dtype),
        pytest.param(
            lambda key, dtype=None: mimetic_value_output(key, 32, dtype=dtype),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["query_key", "value_output"],
)
def test_eager_jit_vmap_and_low_precision_agree(draw):
    keys = jax.random.split(KEY, 2)
    full = draw(keys[0])
    single, lanes = jax.jit(lambda keys: (draw(keys[0]), jax.vmap(draw)(keys)))(keys)
    low = draw(keys[0], jnp.bfloat16)
    with jax.enable_x64(True):
        double = draw(keys[0])
    for index, kernel in enumerate(full):
        assert (kernel.dtype, double[index].dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(single[index], kernel)
        np.testing.assert_array_equal(lanes[index][0], kernel)
        np.testing.assert_array_equal(low[index], kernel.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: headwise_orthogonal(0), "heads: expected at least 1, got 0"),
        (lambda: headwise_orthogonal(1.5), "heads: expected an integer, got 1.5"),
        (lambda: headwise_orthogonal(3)(KEY, (4, 8)), r"shape \(4, 8\) does not divide into 3"),
        (lambda: mimetic_query_key(KEY, 8, 2, 16), "head_dim: expected at most features=8, got 16"),
        (lambda: mimetic_query_key(KEY, 8, 0, 4), "heads: expected at least 1, got 0"),
        (lambda: mimetic_query_key(KEY, 8, 2, 4, alpha=-1), "alpha: expected a number >= 0"),
        (lambda: mimetic_query_key(KEY, 8, 2, 4, dtype="complex64"), "real floating-point values"),
        (lambda: mimetic_query_key(None, 8, 2, 4), "mimetic_query_key: expected a random key, got"),
        (
            lambda: mimetic_value_output(jax.random.split(KEY), 8),
            r"mimetic_value_output: expected one random key, got an array of keys of shape \(2,\)",
        ),
        (lambda: mimetic_value_output(KEY, 8.0), "features: expected an integer, got 8.0"),
        (lambda: mimetic_value_output(KEY, 8, beta=float("nan")), "beta: expected a finite number"),
    ],
)
def test_wrong_options_and_shapes_are_refused(build, text):
    with pytest.raises((TypeError, ValueError), match=text):
        build()
