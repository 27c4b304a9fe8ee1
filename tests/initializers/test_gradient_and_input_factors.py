"""Adapters from a gradient or from inputs, compared with explicit code in the torch layout."""

import jax
import numpy as np
import pytest
from initializers.adapting import (
    ADAPTERS,
    GRADIENT,
    IN,
    INPUTS,
    KERNEL,
    KEY,
    OUT,
    RANK,
    SCALE,
    SCALED,
    best_approximation,
    close,
    exact,
    normal_array,
    peaks,
)

from jinit.initializers.adapters import LowRank, corda, eva, lora_ga

DIRECTIONS = {  # of a (out, in) gradient, as the authors' code indexes it
    "ArB2r": (range(RANK), range(RANK, 2 * RANK)),
    "A2rBr": (range(RANK, 2 * RANK), range(RANK)),
    "ArBr": (range(1, 2 * RANK, 2), range(0, 2 * RANK, 2)),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lora_ga_equals_the_authors_formula(direction):
    adapter = lora_ga(RANK, direction=direction, gamma=9.0)
    layer, other = (adapter(jax.random.key(seed), KERNEL, GRADIENT) for seed in (0, 1))
    np.testing.assert_array_equal(layer.a, other.a)
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    a_indices, b_indices = map(list, DIRECTIONS[direction])
    lora_A, lora_B = Vh[a_indices] * OUT**0.25 / 3, U[:, b_indices] * OUT**0.25 / 3
    close(abs(layer.a), abs(lora_A.T))
    close(abs(layer.b), abs(lora_B.T))
    sign = np.sign(U[abs(U).argmax(axis=0), range(OUT)])
    close(layer.a, (lora_A * sign[a_indices, None]).T)
    close(layer.b, (lora_B * sign[b_indices]).T)


MEAN_ROOT = np.sqrt(np.linalg.svd(KERNEL, compute_uv=False)[:RANK] / SCALE).mean()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("direction", "magnitude", "squared"),
    [
        ("ArB2r", "stable", np.sqrt(OUT) / 16),
        ("random", "gradient_descent", SCALE**-2),
        ("A2rBr", "unit", 1.0),
        ("ArBr", "weight", MEAN_ROOT**2),
    ],
)
def test_the_first_update_of_lora_ga_approximates_full_training(direction, magnitude, squared):
    """To first order in the rate, the update is the gradient's best approximation of rank 2r."""
    x, y = normal_array(3, 50, IN), normal_array(4, 50, OUT)

    def loss(kernel):
        return ((x @ kernel - y) ** 2).mean()

    gradient = jax.grad(loss)(KERNEL)
    adapter = lora_ga(RANK, direction=direction, magnitude=magnitude, **SCALED)
    layer = adapter(KEY, KERNEL, gradient)

    def merged(a, b):
        return LowRank(a, b, layer.weight, layer.scale).merged_kernel()

    gradients = jax.grad(lambda *factors: loss(merged(*factors)), (0, 1))(layer.a, layer.b)
    change = jax.jvp(merged, (layer.a, layer.b), gradients)[1]
    close(change, squared * SCALE**2 * best_approximation(gradient, 2 * RANK))


def test_the_random_direction_assigns_every_singular_vector_once():
    adapter = ADAPTERS["lora_ga"][0]
    layers = [adapter(key, KERNEL, GRADIENT) for key in jax.random.split(KEY, 2)]
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    orders = []
    for layer in layers:
        a_overlap, b_overlap = abs(Vh @ exact(layer.a)), abs(U.T @ exact(layer.b).T)
        order = a_overlap.argmax(axis=0).tolist() + b_overlap.argmax(axis=0).tolist()
        assert sorted(order) == list(range(2 * RANK))
        orders.append(order)
    assert orders[0] != orders[1]


def test_eva_explains_the_largest_variance():
    layer = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS)
    variances = np.linalg.eigvalsh(np.cov(exact(INPUTS).T))[::-1]
    close(exact(layer.a).T @ exact(layer.a), np.eye(RANK))
    close(np.cov((exact(INPUTS) @ exact(layer.a)).T), np.diag(variances[:RANK]))
    assert (peaks(layer.a.T) > 0).all()
    np.testing.assert_array_equal(layer.b, 0)
    sequences = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS.reshape(20, 10, IN))
    np.testing.assert_array_equal(sequences.a, layer.a)


@pytest.mark.parametrize("mode", ["instruction_previewed", "knowledge_preserved"])
def test_corda_equals_the_published_formula(mode):
    layer = corda(RANK, mode=mode, **SCALED)(KEY, KERNEL, INPUTS)
    X = exact(INPUTS) / abs(exact(INPUTS)).max()
    C = X.T @ X
    C += 0.01 * np.diag(C).mean() * np.eye(IN)
    U, S, Vh = np.linalg.svd(exact(KERNEL).T @ C, full_matrices=False)
    kept = slice(RANK) if mode == "instruction_previewed" else slice(-RANK, None)
    V = (Vh @ np.linalg.inv(C)).T[:, kept]
    lora_A, lora_B = V.T * np.sqrt(S[kept] / SCALE)[:, None], U[:, kept] * np.sqrt(S[kept] / SCALE)
    close(layer.weight, (exact(KERNEL).T - SCALE * lora_B @ lora_A).T, 1e-3)
    # The authors sum over samples divided by the largest entry; jinit uses the mean.
    ratio = np.sqrt(200) / abs(exact(INPUTS)).max()
    close(abs(layer.b), abs(lora_B.T) / ratio, 1e-3)
    close(abs(layer.a), abs(lora_A.T) * ratio, 1e-3)
