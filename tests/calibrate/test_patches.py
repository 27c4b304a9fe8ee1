"""Kernels from the inputs of their layers, and layers balanced by gradients."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.calibrate import DataBatches, patches
from tests.calibrate.unit_networks import check_trees, convolve, dense, draw, mlp

X = 0.5 + 2 * draw(1, 256, 8)
KEY = jax.random.key(5)
IMAGES = draw(2, 16, 6, 6, 3) + 0.2


@pytest.fixture(autouse=True)
def allow_rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def fit(apply, params, data, **options):
    inputs = data if hasattr(data, "shape") else data[0]
    model = jinit.trace(apply, params, inputs)
    return patches(model, params, data, KEY, **options)


def relu_network(params, x):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


class TestKernels:
    @pytest.mark.parametrize("filters", ["pca", *map(slow, ["normal", "zca", "kmeans", "patches"])])
    def test_units_have_unit_variance_and_the_given_mean(self, filters):
        params = [dense(i, 8 if i == 0 else 12, 12) for i in range(3)]
        found, report = fit(
            lambda p, x: mlp(p, x)[-1], params, X, filters=filters, beta=0.2, balance=False
        )
        for values in mlp(found, X):
            np.testing.assert_allclose(values.mean(0), 0.2, atol=2e-5)
            np.testing.assert_allclose(values.std(0), 1, rtol=2e-5)
        assert report.skipped == {}

    @pytest.mark.slow
    @pytest.mark.parametrize("filters", ["kmeans", *map(slow, ["normal", "pca", "zca", "patches"])])
    def test_channels_of_convolutions(self, filters):
        def apply(params, x):
            y = convolve(x, params["w"]) + params["b"]
            return SimpleNamespace(y=y, z=convolve(jax.nn.relu(y), params["u"]))

        params = {"w": draw(0, 3, 3, 3, 7), "b": draw(1, 7), "u": draw(2, 3, 3, 7, 4)}
        data = [IMAGES[:8], IMAGES[8:]]
        found, report = fit(
            lambda p, x: apply(p, x).z, params, data, filters=filters, balance=False, samples=300
        )
        seen = apply(found, IMAGES)
        np.testing.assert_allclose(seen.y.mean((0, 1, 2)), 0.1, atol=2e-5)
        np.testing.assert_allclose(seen.y.std((0, 1, 2)), 1, rtol=2e-5)
        np.testing.assert_allclose(seen.z.std((0, 1, 2)), 1, rtol=2e-5)
        assert report.skipped == {"u": "it has no bias, so that its units keep their means"}


def gradient_ratios(apply, params, x, top):
    """Return the ratio of gradient to kernel, of every kernel, for a gradient of the outputs."""
    gradients = jax.grad(lambda p: jnp.vdot(top, apply(p, x)))(params)
    return [
        float(jnp.sqrt(jnp.mean(gradient["w"] ** 2) / jnp.mean(layer["w"] ** 2)))
        for gradient, layer in zip(gradients, params, strict=True)
    ]


class TestBalance:
    @pytest.mark.slow
    def test_ratios_of_a_relu_network_are_equal(self):
        sizes = [8, 30, 12, 5]
        params = [dense(i, *pair) for i, pair in enumerate(itertools.pairwise(sizes))]
        found, report = fit(relu_network, params, X)
        after = report.statistics["gradient ratio after"]
        before = report.statistics["gradient ratio before"]
        assert max(after) / min(after) < 1.02
        assert max(before) / min(before) > 1.5
        top = jax.random.normal(jax.random.fold_in(jax.random.split(KEY)[1], 0), (256, 5))
        ratios = gradient_ratios(relu_network, found, X, top)
        np.testing.assert_allclose(ratios, after, rtol=1e-3)
        assert report.skipped == {}
        np.testing.assert_allclose(report.history["output std"], 1, rtol=0.02)

    @pytest.mark.slow
    def test_the_function_changes_by_a_factor(self):
        def apply(params, x):
            for w in params[:-1]:
                x = jax.nn.relu(x @ w)
            return x @ params[-1]

        params = [draw(i, *pair) for i, pair in enumerate([(8, 30), (30, 12), (12, 5)])]
        plain, _ = fit(apply, params, X, balance=False)
        balanced, report = fit(apply, params, X)
        ratio = np.asarray(apply(balanced, X) / apply(plain, X))
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)
        after = report.statistics["gradient ratio after"]
        assert max(after) / min(after) < 1.02

    @pytest.mark.slow
    def test_biases_keep_their_part_of_the_function(self):
        params = [dense(i, *pair) for i, pair in enumerate([(8, 30), (30, 12), (12, 5)])]
        plain, _ = fit(relu_network, params, X, balance=False)
        balanced, _ = fit(relu_network, params, X)
        before, after = relu_network(plain, X), relu_network(balanced, X)
        ratio = float(jnp.vdot(before, after) / jnp.vdot(before, before))
        np.testing.assert_allclose(after, ratio * before, atol=1e-4)

    @pytest.mark.slow
    def test_stacked_layers_and_ensembles(self):
        def apply(params, x):
            def step(h, layer):
                return jax.nn.relu(h @ layer["w"] + layer["b"]), None

            return jax.lax.scan(step, x, params)[0]

        found, report = fit(apply, dense(3, 4, 8, 8), X, filters="pca")
        after = report.statistics["gradient ratio after"]
        assert len(after) == 4
        assert max(after) / min(after) < 1.02
        assert found["w"].shape == (4, 8, 8)

        ensemble = jax.vmap(relu_network, in_axes=(0, None))
        params = [dense(0, 3, 8, 20), dense(1, 3, 20, 5)]
        found, report = fit(ensemble, params, X, filters="pca")
        after = report.statistics["gradient ratio after"]
        assert max(after) / min(after) < 1.02
        assert report.skipped == {}

    def test_a_network_that_is_not_homogeneous_is_named(self):
        def apply(params, x):
            return jnp.sin(4 * jnp.tanh(x @ params["w"])) / 4

        _, report = fit(apply, {"w": draw(0, 8, 5)}, X)
        after = report.history["output std"][1]
        assert abs(np.log(after)) > 0.25
        assert report.skipped["outputs"] == (
            f"their standard deviation is {after:.3g} after layers were balanced, and not 1: the "
            "network is not homogeneous; use balance=False"
        )


class TestWhatIsLeftAlone:
    @pytest.mark.slow
    def test_fewer_inputs_than_units(self):
        params = [dense(0, 8, 40), dense(1, 40, 5)]
        _, report = fit(relu_network, params, X[:20], filters="kmeans", balance=False)
        reason = "it has fewer inputs than units, so that its kernel is normal"
        assert report.skipped == {"0/w": reason}

    def test_shared_and_normalized_kernels(self):
        def apply(params, x):
            x = jnp.tanh(jnp.tanh(x @ params["r"]) @ params["r"])
            return x @ (params["v"] / jnp.linalg.norm(params["v"], axis=0))

        params = {"r": draw(0, 8, 8), "v": draw(1, 8, 3)}
        found, report = fit(apply, params, X)
        check_trees(found, params, 0)
        assert report.skipped["r"] == "it is applied in several places"
        assert report.skipped["v"] == "weight normalization removes its scale"


class TestPurity:
    @pytest.mark.slow
    @pytest.mark.parametrize("filters", ["kmeans", "pca"])
    def test_jit_vmap_and_a_loop_agree(self, filters):
        params = [dense(0, 8, 12), dense(1, 12, 5)]
        model = jinit.trace(relu_network, params, X)
        batches = DataBatches((X[None],), ())
        method = patches(filters=filters, samples=100)

        def find(key):
            return method.find(model, params, batches, key)[0]

        keys = jax.random.split(jax.random.key(0), 2)
        together = jax.jit(jax.vmap(find))(keys)
        for i in range(2):
            alone = jax.jit(find)(keys[i])
            check_trees(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone, 1e-3)

    @pytest.mark.slow
    def test_batches_are_pooled(self):
        params = [dense(0, 8, 12), dense(1, 12, 5)]
        options = {"filters": "normal", "balance": False}
        whole, _ = fit(relu_network, params, X, **options)
        parts, _ = fit(relu_network, params, list(X.reshape(4, 64, 8)), **options)
        check_trees(parts, whole, 1e-4)

    @pytest.mark.slow
    def test_bfloat16(self):
        def apply(params, x):
            params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
            return relu_network(params, x.astype(jnp.bfloat16))

        params = [dense(0, 8, 12), dense(1, 12, 5)]
        found, _ = fit(apply, params, X, filters="pca", balance=False)
        np.testing.assert_allclose(apply(found, X).astype(float).std(0), 1, rtol=0.03)


REFUSED = [
    ({"filters": "ica"}, "filters='ica', expected one of normal, pca, zca, kmeans, patches"),
    ({"beta": float("inf")}, "beta=inf, expected a number above"),
    ({"balance": 1}, "balance=1, expected True or False"),
    ({"rounds": 0}, "rounds=0, expected an integer of at least 1"),
    ({"samples": 1.5}, "samples=1.5, expected an integer of at least 1"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda each: str(each)[:12])
def test_options_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=f"patches: {message}"):
        patches(**options)
