"""Every low-rank adapter at one rank, a kernel with gradient and inputs, and float64 algebra."""

import jax
import jax.numpy as jnp
import numpy as np

from jinit.initializers.adapters import (
    corda,
    eva,
    lora,
    lora_embedding,
    lora_ga,
    lora_gaussian,
    lora_orthogonal,
    mica,
    olora,
    pissa,
    pissa_randomized,
)

KEY = jax.random.key(7)
IN, OUT, RANK = 24, 16, 4
SCALED = {"alpha": 6.0, "scaling": "rank_stabilized"}  # scale 6 / √4 = 3
SCALE = 3.0


def normal_array(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


KERNEL = normal_array(0, IN, OUT)
GRADIENT = normal_array(1, IN, OUT)
INPUTS = 2 + normal_array(2, 200, IN)
ADAPTERS = {
    "lora": (lora(RANK, **SCALED), ()),
    "lora_gaussian": (lora_gaussian(RANK, **SCALED), ()),
    "lora_embedding": (lora_embedding(RANK, **SCALED), ()),
    "lora_orthogonal": (lora_orthogonal(RANK, **SCALED), ()),
    "pissa": (pissa(RANK, **SCALED), ()),
    "pissa_randomized": (pissa_randomized(RANK, 3, **SCALED), ()),
    "olora": (olora(RANK, **SCALED), ()),
    "mica": (mica(RANK, **SCALED), ()),
    "lora_ga": (lora_ga(RANK, direction="random", **SCALED), (GRADIENT,)),
    "eva": (eva(RANK, **SCALED), (INPUTS,)),
    "corda": (corda(RANK, **SCALED), (INPUTS,)),
}
SUBTRACTED = {"pissa", "pissa_randomized", "olora", "lora_ga", "corda"}


def exact(array):
    return np.asarray(array, np.float64)


def close(left, right, tolerance=2e-5):
    np.testing.assert_allclose(exact(left), exact(right), atol=tolerance, rtol=tolerance)


def peaks(rows):
    """Return the entry of largest modulus in every row."""
    return np.take_along_axis(exact(rows), abs(exact(rows)).argmax(axis=1)[:, None], axis=1)


def best_approximation(matrix, rank):
    """Return the best approximation of this rank, by NumPy's decomposition."""
    u, s, v = np.linalg.svd(exact(matrix), full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]
