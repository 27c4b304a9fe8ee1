"""What is measured of one layer, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.diagnostics import statistics
from jinit.diagnostics.symmetry import alike, products, repeated, twins

RNG = np.random.default_rng(0)


def test_made():
    h = RNG.normal(0.3, 2.0, (5, 4, 7))
    found = statistics.made(jnp.asarray(h, jnp.float32), (2,))
    rows = h.reshape(20, 7)
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (directions @ directions.T)[~np.eye(20, dtype=bool)]
    spectrum = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
    expected = {
        "mean": h.mean(),
        "second": (h**2).mean(),
        "largest": abs(h).max(),
        "broken": 0.0,
        "identical": 0.0,
        "apart": 1 - cosines.mean(),
        "rank": spectrum.sum() ** 2 / (spectrum**2).sum(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("units", [(0,), (1, 2), (0, 2)])
def test_units_may_lie_along_any_axes(units):
    h = jnp.asarray(RNG.normal(size=(4, 5, 6)), jnp.float32)
    others = [axis for axis in range(3) if axis not in units]
    laid = jnp.transpose(h, (*others, *units)).reshape(*(h.shape[axis] for axis in others), -1)
    plain = statistics.made(laid, (laid.ndim - 1,))
    for one, other in zip(statistics.made(h, units), plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_rows_beyond_a_hundred_are_sampled_evenly():
    drift = np.linspace(0, np.pi, 5000)[:, None]
    h = np.cos(drift + np.linspace(0, 6, 40)[None])
    cosines = h[:: 5000 // 127]
    directions = cosines / np.linalg.norm(cosines, axis=1, keepdims=True)
    apart = ((directions - directions.mean(0)) ** 2).sum() / (len(cosines) - 1)
    found = statistics.made(jnp.asarray(h, jnp.float32), (1,))
    np.testing.assert_allclose(found.apart, apart, rtol=0.02)
    np.testing.assert_allclose(found.second, (h**2).mean(), rtol=1e-5)


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9])
def test_correlations_near_one_keep_their_digits(apart):
    """1 - cos of vectors at an angle √(2·apart), which float32 cannot see in the cosine."""
    angle = np.sqrt(2 * apart)
    rows = np.array([[1.0, 0.0], [1.0, angle]], np.float32)
    found = statistics.made(jnp.asarray(rows), (1,))
    np.testing.assert_allclose(
        found.apart, 1 - 1 / np.sqrt(1 + angle**2) if apart > 1e-7 else apart, rtol=0.02
    )


def test_the_effective_rank_of_gaussian_rows():
    """KNOWN_ANSWERS §7: dN/(d+N+1), 31.75 for 64 × 64."""
    ranks = [
        float(statistics.made(jax.random.normal(jax.random.key(seed), (64, 64)), (1,)).rank)
        for seed in range(20)
    ]
    np.testing.assert_allclose(np.mean(ranks), 31.75, rtol=0.03)


def test_taken_and_its_limits():
    x = np.tanh(RNG.normal(0, 2, (6, 3, 3, 5)))
    x[..., 2] = 0
    found = statistics.taken(jnp.asarray(x, jnp.float32), (3,), (-1.0, 1.0))
    np.testing.assert_allclose(found.second, (x**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.zero, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.dead, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.saturated, (abs(x) > 0.95).mean(), rtol=1e-5)


def test_gradients_are_those_of_one_example():
    gradient = RNG.normal(size=(8, 5)) / 8
    found = statistics.back(jnp.asarray(gradient, jnp.float32), 8)
    np.testing.assert_allclose(found.second, (64 * gradient**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.total, 8 * (gradient**2).sum(), rtol=1e-5)


def test_what_half_precision_loses():
    gradient = jnp.asarray([1e-5, 1e-6, 1e-3, 0.0], jnp.float16)
    assert float(statistics.back(gradient, 1).lost) == 0.75
    assert float(statistics.back(gradient.astype(jnp.float32), 1).lost) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_broken(value):
    array = jnp.ones((3, 3)).at[1, 1].set(value)
    assert float(statistics.made(array, (1,)).broken) == 1
    assert float(statistics.weight(array, jnp.ones((3, 3)), None).broken) == 1
    assert float(statistics.back(array, 3).broken) == 1


WORDS = [("in", "out"), ("spatial", "spatial", "in", "out"), ("batch", "in", "out"), ("out", "in")]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("which", ["outputs", "inputs"])
def test_repeated_weights_are_counted(words, which):
    shape = tuple({"in": 20, "out": 30, "spatial": 3, "batch": 4}[word] for word in words)
    weights = RNG.normal(size=shape).astype(np.float32)
    assert repeated(products(jnp.asarray(weights), words)) == (0, 0)
    axis = words.index("out" if which == "outputs" else "in")
    laid = np.moveaxis(weights, axis, 0)
    laid[3], laid[7] = laid[5], laid[5]
    twice = 2 * np.prod(
        [
            size
            for word, size in zip(words, shape, strict=True)
            if word in (("batch",) if which == "outputs" else ("spatial",))
        ],
        dtype=int,
    )
    counts = repeated(products(jnp.asarray(weights), words))
    assert counts == ((twice, 0) if which == "outputs" else (0, twice))


@pytest.mark.parametrize("shape", [(3, 5000), (5000, 3), (64, 64), (768, 3072)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_random_weights_do_not_repeat(shape, dtype):
    weights = jax.random.normal(jax.random.key(0), shape).astype(dtype)
    found = repeated(products(weights, ("in", "out")))
    # Three numbers of eight bits each do come twice among thousands.
    assert found == (0, 0) or (dtype == jnp.bfloat16 and 3 in shape)


def test_what_repeats_in_several_arrays_at_once():
    """Of three units with equal weights the first and the last have equal gradients, too."""
    weights, gradients = (RNG.normal(size=(20, 30)).astype(np.float32) for _ in range(2))
    weights[:, 3] = weights[:, 7] = weights[:, 11]
    gradients[:, 3] = gradients[:, 11]
    gradients[4] = gradients[9]
    both = [products(jnp.asarray(each), ("in", "out")) for each in (weights, 1e-9 * gradients)]
    assert [repeated(each) for each in both] == [(2, 0), (1, 1)]
    assert repeated(*both) == (1, 0)


def test_zeros_do_not_count_as_repeated():
    assert repeated(products(jnp.zeros((5, 6)), ("in", "out"))) == (0, 0)


def test_equal_parameters_are_found_and_constants_are_not():
    one, other = (RNG.normal(size=(4, 5)).astype(np.float32) for _ in range(2))
    arrays = {"a": one, "b": other, "c": one.copy(), "d": np.zeros((4, 5)), "e": np.zeros((4, 5))}
    arrays |= {"f": one.reshape(5, 4), "g": np.where(one == one[3, 4], 0, one)}
    assert twins(arrays) == {"c": "a"}
    near = alike(
        {path: products(jnp.asarray(each), ("in", "out")) for path, each in arrays.items()}
    )
    assert near["c"] == "a"
    assert {"b", "f"}.isdisjoint(near)
