"""Adapters from random draws or the kernel, compared with explicit code in the torch layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from initializers.adapting import (
    ADAPTERS,
    IN,
    KERNEL,
    KEY,
    OUT,
    RANK,
    SCALE,
    SCALED,
    best_approximation,
    close,
    exact,
    peaks,
)

from jinit.initializers.adapters import (
    lora,
    lora_embedding,
    lora_gaussian,
    lora_orthogonal,
    mica,
    olora,
    pissa,
    pissa_randomized,
)

LEVEL = 1e-8  # false-alarm probability of each distribution test


def test_random_factors_have_the_stated_distributions():
    kernel = jnp.zeros((400, 300))
    uniform, normal, table = (
        build(50)(KEY, kernel) for build in (lora, lora_gaussian, lora_embedding)
    )
    bound = scipy.stats.uniform(-1 / 20, 2 / 20)
    assert scipy.stats.kstest(np.ravel(uniform.a), bound.cdf).pvalue > LEVEL
    assert abs(uniform.a).max() <= 1 / 20
    assert scipy.stats.kstest(np.ravel(normal.a), scipy.stats.norm(0, 1 / 50).cdf).pvalue > LEVEL
    assert scipy.stats.kstest(np.ravel(table.b), scipy.stats.norm(0, 1).cdf).pvalue > LEVEL
    for zero in (uniform.b, normal.b, table.a):
        np.testing.assert_array_equal(zero, 0)


def test_orthogonal_factors_use_half_of_the_rank_each():
    layer = lora_orthogonal(20)(KEY, jnp.zeros((400, 300)))
    close(exact(layer.a) @ exact(layer.b), 0, 1e-7)
    for factor, side in ((layer.a, 400), (layer.b, 300)):
        assert np.linalg.matrix_rank(exact(factor), tol=1e-4) == 10
        # Coordinates in each half are independent normals with standard deviation 1/10.
        total = 100 * (exact(factor) ** 2).sum()
        distribution = scipy.stats.chi2(10 * side)
        assert min(distribution.cdf(total), distribution.sf(total)) > LEVEL / 2


def test_pissa_equals_the_published_formula():
    layer = pissa(RANK, **SCALED)(KEY, KERNEL)
    V, S, Uh = np.linalg.svd(exact(KERNEL).T, full_matrices=False)  # (out, in), as in torch
    S = S[:RANK] / SCALE
    lora_A, lora_B = np.diag(np.sqrt(S)) @ Uh[:RANK], V[:, :RANK] @ np.diag(np.sqrt(S))
    sign = np.sign(lora_B[abs(lora_B).argmax(axis=0), range(RANK)])
    close(layer.a, (sign[:, None] * lora_A).T)
    close(layer.b, (lora_B * sign).T)
    close(layer.weight, (exact(KERNEL).T - SCALE * lora_B @ lora_A).T)
    values = np.linalg.svd(exact(KERNEL), compute_uv=False)
    remainder = np.linalg.svd(exact(layer.weight), compute_uv=False)
    close(remainder[: OUT - RANK], values[RANK:])  # the minimum, by the Eckart-Young theorem


def test_randomized_pissa_converges_to_pissa():
    u, _, v = np.linalg.svd(exact(KERNEL), full_matrices=False)
    kernel = jnp.asarray(u * 0.6 ** np.arange(OUT) @ v, jnp.float32)
    reference, rough, converged = (
        adapter(KEY, kernel)
        for adapter in (
            ADAPTERS["pissa"][0],
            ADAPTERS["pissa_randomized"][0],
            pissa_randomized(RANK, 20, **SCALED),
        )
    )
    error = np.linalg.norm(exact(rough.weight) - exact(reference.weight))
    assert 1e-4 < error < 0.6**RANK  # three iterations are not enough to converge
    close(converged.a, reference.a)
    close(converged.b, reference.b)


@pytest.mark.parametrize("shape", [(IN, OUT), (OUT, IN)])
def test_olora_equals_the_published_formula(shape):
    kernel = KERNEL.reshape(shape)
    layer = olora(RANK, **SCALED)(KEY, kernel)
    Q, R = np.linalg.qr(exact(kernel).T)
    sign = np.sign(np.diag(R))[:RANK]
    close(layer.b, (Q[:, :RANK] * sign).T)
    close(layer.a, (sign[:, None] * R[:RANK]).T)
    close(layer.weight, (exact(kernel).T - SCALE * Q[:, :RANK] @ R[:RANK]).T)
    remainder = olora(RANK)(KEY, kernel).weight
    close(exact(remainder) @ exact(layer.b).T, 0)


def test_mica_equals_the_published_formula():
    layer = mica(RANK, **SCALED)(KEY, KERNEL)
    U, S, _ = np.linalg.svd(exact(KERNEL).T, full_matrices=False)
    minor = U[:, -RANK:]
    close(minor @ minor.T, exact(layer.b).T @ exact(layer.b))
    close(abs(minor.T), abs(layer.b))
    assert (peaks(layer.b) > 0).all()
    close(np.linalg.norm(exact(KERNEL) @ exact(layer.b).T, axis=0), S[-RANK:])
    np.testing.assert_array_equal(layer.a, 0)


def test_double_precision_is_preserved():
    with jax.enable_x64(True):
        kernel = jnp.asarray(exact(KERNEL))
        layer = pissa(RANK)(KEY, kernel)
        assert layer.a.dtype == np.float64
        close(layer.a @ layer.b, best_approximation(kernel, RANK), 1e-12)
        close(layer.merged_kernel(), kernel, 1e-14)
        mixed = pissa(RANK, dtype="float32")(KEY, kernel)
        assert (mixed.a.dtype, mixed.weight.dtype) == (np.float32, np.float64)
        close(mixed.merged_kernel(), kernel, 1e-14)
