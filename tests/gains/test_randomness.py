"""Equal tables that were computed are no sign of a key that was used twice; equal draws are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.gains import find_equal_arrays
from jinit.gains.randomness import looks_random

N = np.arange
RNG = np.random.default_rng(0)
TABLES = {
    "logarithms": np.log(np.tile(N(1.0, 17.0), (32, 1))),
    "sinusoids": np.sin(N(64)[:, None] / 1e4 ** (N(16) / 16)),
    "Toeplitz": RNG.normal(size=31)[N(16)[:, None] - N(16) + 15],
    "cosines": np.cos(np.pi / 32 * (N(32)[:, None] + 0.5) * N(32)),
    "frequencies": 1e4 ** (-N(32) / 32),
    "slopes": 2.0 ** (-N(1.0, 17.0) / 2),
    "distances": -abs(N(32)[:, None] - N(32)) * np.geomspace(0.1, 1, 8)[:, None, None],
    "lower triangle": np.tril(np.sqrt(np.outer(2 * N(32) + 1, 2 * N(32) + 1))),
    "tiles": np.tile(RNG.normal(size=(4, 4)), (4, 4)),
    "Gabor": np.cos(N(-3, 4)[:, None] * np.cos(N(8))[:, None, None] + N(-3, 4) / 2),
    "identity": np.eye(20),
    "constant": np.ones((8, 8)),
    "NaN": np.full((8, 8), np.nan),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", TABLES)
def test_tables_do_not_look_random(name, dtype):
    assert not looks_random(np.asarray(TABLES[name], dtype).astype(np.float32))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(20,), (5, 4), (64, 64), (3, 3, 8, 16)])
def test_draws_look_random(shape, dtype):
    for seed in range(20):
        draw = np.random.default_rng(seed)
        for numbers in (draw.normal(size=shape), draw.uniform(size=shape)):
            assert looks_random(np.asarray(numbers, dtype).astype(np.float32))


def test_orthogonal_and_sparse_matrices_look_random():
    orthogonal = np.asarray(jinit.orthogonal()(jax.random.key(0), (24, 24)))
    assert looks_random(orthogonal)
    assert looks_random(orthogonal * (RNG.uniform(size=(24, 24)) < 0.2))
    arrays = {"a": orthogonal, "b": orthogonal.copy(), "c": TABLES["sinusoids"]}
    assert find_equal_arrays(arrays | {"d": TABLES["sinusoids"].copy()}) == {"b": "a"}
