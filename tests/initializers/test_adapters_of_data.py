"""Adapters made of a gradient or of inputs, re-written naively in the torch layout."""

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
    best,
    close,
    drawn,
    exact,
    peaks,
)

from jinit.initializers.adapters import LowRank, corda, eva, lora_ga

DIRECTIONS = {  # of a (out, in) gradient, as the authors' code indexes it
    "ArB2r": (range(RANK), range(RANK, 2 * RANK)),
    "A2rBr": (range(RANK, 2 * RANK), range(RANK)),
    "ArBr": (range(1, 2 * RANK, 2), range(0, 2 * RANK, 2)),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lora_ga_is_the_authors_formula(direction):
    adapter = lora_ga(RANK, direction=direction, gamma=9.0)
    start, other = (adapter(jax.random.key(seed), KERNEL, GRADIENT) for seed in (0, 1))
    np.testing.assert_array_equal(start.a, other.a)
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    of_a, of_b = map(list, DIRECTIONS[direction])
    lora_A, lora_B = Vh[of_a] * OUT**0.25 / 3, U[:, of_b] * OUT**0.25 / 3
    close(abs(start.a), abs(lora_A.T))
    close(abs(start.b), abs(lora_B.T))
    sign = np.sign(U[abs(U).argmax(axis=0), range(OUT)])
    close(start.a, (lora_A * sign[of_a, None]).T)
    close(start.b, (lora_B * sign[of_b]).T)


MEAN_ROOT = np.sqrt(np.linalg.svd(KERNEL, compute_uv=False)[:RANK] / SCALE).mean()


@pytest.mark.parametrize(
    ("direction", "magnitude", "squared"),
    [
        ("ArB2r", "stable", np.sqrt(OUT) / 16),
        ("random", "gradient_descent", SCALE**-2),
        ("A2rBr", "unit", 1.0),
        ("ArBr", "weight", MEAN_ROOT**2),
    ],
)
def test_lora_ga_takes_the_first_step_of_full_training(direction, magnitude, squared):
    """To first order in the rate, a step on the factors is the gradient's best rank-2r part."""
    x, y = drawn(3, 50, IN), drawn(4, 50, OUT)

    def loss(kernel):
        return ((x @ kernel - y) ** 2).mean()

    gradient = jax.grad(loss)(KERNEL)
    adapter = lora_ga(RANK, direction=direction, magnitude=magnitude, **SCALED)
    start = adapter(KEY, KERNEL, gradient)

    def merged(a, b):
        return LowRank(a, b, start.weight, start.scale).merged()

    slopes = jax.grad(lambda *factors: loss(merged(*factors)), (0, 1))(start.a, start.b)
    moved = jax.jvp(merged, (start.a, start.b), slopes)[1]
    close(moved, squared * SCALE**2 * best(gradient, 2 * RANK))


def test_the_random_direction_deals_the_singular_vectors_out():
    adapter = ADAPTERS["lora_ga"][0]
    starts = [adapter(key, KERNEL, GRADIENT) for key in jax.random.split(KEY, 2)]
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    hands = []
    for start in starts:
        of_a, of_b = abs(Vh @ exact(start.a)), abs(U.T @ exact(start.b).T)
        hands.append(of_a.argmax(axis=0).tolist() + of_b.argmax(axis=0).tolist())
        assert sorted(hands[-1]) == list(range(2 * RANK))
    assert hands[0] != hands[1]


def test_eva_explains_most_variance():
    start = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS)
    variances = np.linalg.eigvalsh(np.cov(exact(INPUTS).T))[::-1]
    close(exact(start.a).T @ exact(start.a), np.eye(RANK))
    close(np.cov((exact(INPUTS) @ exact(start.a)).T), np.diag(variances[:RANK]))
    assert (peaks(start.a.T) > 0).all()
    np.testing.assert_array_equal(start.b, 0)
    sequences = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS.reshape(20, 10, IN))
    np.testing.assert_array_equal(sequences.a, start.a)


@pytest.mark.parametrize("mode", ["instruction_previewed", "knowledge_preserved"])
def test_corda_is_the_published_formula(mode):
    start = corda(RANK, mode=mode, **SCALED)(KEY, KERNEL, INPUTS)
    X = exact(INPUTS) / abs(exact(INPUTS)).max()
    C = X.T @ X
    C += 0.01 * np.diag(C).mean() * np.eye(IN)
    U, S, Vh = np.linalg.svd(exact(KERNEL).T @ C, full_matrices=False)
    kept = slice(RANK) if mode == "instruction_previewed" else slice(-RANK, None)
    V = (Vh @ np.linalg.inv(C)).T[:, kept]
    lora_A, lora_B = V.T * np.sqrt(S[kept] / SCALE)[:, None], U[:, kept] * np.sqrt(S[kept] / SCALE)
    close(start.weight, (exact(KERNEL).T - SCALE * lora_B @ lora_A).T, 1e-3)
    # The authors sum over samples that are divided by the largest entry; jinit takes the mean.
    shift = np.sqrt(200) / abs(exact(INPUTS)).max()
    close(abs(start.b), abs(lora_B.T) / shift, 1e-3)
    close(abs(start.a), abs(lora_A.T) * shift, 1e-3)
