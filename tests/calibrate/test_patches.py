"""Kernels from the inputs of their layers, and layers balanced by gradients."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.calibrate import DataBatches, patches
from jinit.calibrate.patch_filters import draw_filters, find_centers
from jinit.calibrate.patch_layout import PatchLayout
from jinit.calibrate.unit_operands import AppliedOperands
from jinit.calibrate.units import read_kernels
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


CONVOLUTIONS = {
    "plain": ((5, 5), {}),
    "strided": ((5, 6), {"window_strides": (2, 1)}),
    "padded": ((4, 5), {"padding": ((1, 2), (0, 1))}),
    "dilated": ((7, 7), {"rhs_dilation": (2, 3)}),
    "transposed": ((4, 4), {"lhs_dilation": (2, 2), "padding": ((1, 1), (2, 2))}),
    "grouped": ((5, 5), {"feature_group_count": 2}),
}


class TestVectors:
    @pytest.mark.parametrize("kind", CONVOLUTIONS)
    def test_patches_of_a_convolution(self, kind):
        """A product of rows and patches is the convolution, and patches are those of loops."""
        size, options = CONVOLUTIONS[kind]
        options = {"window_strides": (1, 1), "padding": ((0, 0), (0, 0))} | options
        groups = options.get("feature_group_count", 1)
        x, w = draw(0, 2, *size, 4), draw(1, 3, 2, 4 // groups, 6)

        def apply(w, x):
            numbers = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x, w, dimension_numbers=numbers, precision="highest", **options
            )

        (site,) = read_kernels(jinit.trace(apply, w, x))
        layout = PatchLayout(site.factor.operation, site.factor.operand)
        vectors = np.asarray(layout.vectors(x))
        expected = loop_patches(np.asarray(x), w.shape[:2], options)
        by_group = expected.reshape(-1, 4, 6).reshape(len(expected), groups, -1)
        np.testing.assert_allclose(vectors, by_group.transpose(1, 0, 2), atol=1e-6)
        rows = draw(3, groups, layout.unit_count, vectors.shape[-1])
        product = jnp.einsum("gsd,gud->sgu", vectors, rows, precision="highest")
        result = apply(layout.kernel_of(rows), x)
        np.testing.assert_allclose(product.reshape(result.shape), result, atol=1e-5)

    def test_features_of_an_ensemble_with_several_axes(self):
        def apply(w, x):
            return jnp.einsum("mabuv,bnma->vnmu", w, x, precision="highest")

        w, x = draw(0, 3, 2, 4, 5, 6), draw(1, 4, 7, 3, 2)
        model = jinit.trace(apply, w, x)
        (site,) = read_kernels(model)
        layout = PatchLayout(site.factor.operation, site.factor.operand)
        (contraction,) = model.contractions
        assert (layout.group_count, layout.unit_count) == (3, 30)
        applied = AppliedOperands(model, w, [site.factor])
        signal = jnp.einsum("bnma->mnab", x).reshape(3, 7, 8)
        shape = site.factor.operation.operand_shapes[contraction.signal_operand]
        given = next(
            moved
            for order in itertools.permutations(range(4))
            if (moved := x.transpose(order)).shape == shape
        )
        vectors = layout.vectors(given)
        check_trees(jnp.sort(vectors, -1), jnp.sort(signal, -1), 0)
        rows = draw(2, 3, 30, 8)
        found = applied.update({}, {contraction.place: layout.kernel_of(rows)})
        expected = jnp.einsum("gsd,gud->gsu", vectors, rows, precision="highest")
        result = jnp.einsum("vnmu->mnuv", apply(found, x)).reshape(3, 7, 30)
        check_trees(jnp.sort(result, -1), jnp.sort(expected, -1), 1e-4)


def loop_patches(x, window, options):
    """Return patches by loops, `(positions, channels * window)`."""
    dilation = options.get("lhs_dilation", (1, 1))
    spread = np.zeros(
        (len(x), *((n - 1) * d + 1 for n, d in zip(x.shape[1:3], dilation, strict=True)), 4)
    )
    spread[:, :: dilation[0], :: dilation[1]] = x
    padded = np.pad(spread, ((0, 0), *options["padding"], (0, 0)))
    steps, strides = options.get("rhs_dilation", (1, 1)), options["window_strides"]
    spans = [(k - 1) * s + 1 for k, s in zip(window, steps, strict=True)]
    found = []
    for image in padded:
        for i in range(0, image.shape[0] - spans[0] + 1, strides[0]):
            for j in range(0, image.shape[1] - spans[1] + 1, strides[1]):
                part = image[i : i + spans[0] : steps[0], j : j + spans[1] : steps[1]]
                found.append(part.transpose(2, 0, 1).reshape(-1))
    return np.array(found)


MIXED = draw(7, 500, 6) @ draw(8, 6, 6) + 3


class TestFilters:
    def test_pca_returns_the_principal_directions(self):
        rows = np.asarray(draw_filters("pca", jax.random.key(0), MIXED, 4))
        _, columns = np.linalg.eigh(np.cov(np.asarray(MIXED, float).T))
        overlap = abs(rows @ columns[:, ::-1][:, :4])
        np.testing.assert_allclose(overlap, np.eye(4), atol=2e-3)

    def test_zca_returns_rows_of_the_inverse_root(self):
        rows = np.asarray(draw_filters("zca", jax.random.key(0), MIXED, 6))
        centered = np.asarray(MIXED - MIXED.mean(0), float)
        values, columns = np.linalg.eigh(centered.T @ centered / (centered**2).mean() / 500)
        root = columns @ np.diag((values + 1e-3) ** -0.5) @ columns.T
        order = [np.argmin(abs(root - row).sum(1)) for row in rows]
        assert sorted(order) == list(range(6))
        np.testing.assert_allclose(rows, root[order], rtol=1e-2, atol=1e-2)

    @pytest.mark.parametrize("filters", ["pca", "zca"])
    def test_more_units_than_directions(self, filters):
        rows = draw_filters(filters, jax.random.key(0), MIXED, 20)
        assert rows.shape == (20, 6)
        assert np.linalg.matrix_rank(rows) == 6

    def test_directions_without_variance_are_left_out(self):
        flat = MIXED.at[:, 2].set(1.0)
        for filters in ("pca", "zca", "kmeans"):
            rows = draw_filters(filters, jax.random.key(0), flat, 6)
            np.testing.assert_allclose(rows[:, 2], 0, atol=1e-4)
            assert (jnp.linalg.norm(rows, axis=1) > 1e-3).all()

    def test_centers_reduce_the_error_of_quantization(self):
        centers = jnp.repeat(jnp.eye(4) * 5, 50, 0)
        points = jax.random.permutation(jax.random.key(0), centers + draw(1, 200, 4))
        errors = [
            float(jnp.min(jnp.sum((points[:, None] - found[None]) ** 2, -1), 1).mean())
            for found in (find_centers(points, points[:8], steps) for steps in range(6))
        ]
        assert all(after <= before + 1e-5 for before, after in itertools.pairwise(errors))
        assert errors[-1] < 0.7 * errors[0]

    def test_patches_are_inputs(self):
        rows = draw_filters("patches", jax.random.key(0), MIXED, 9)
        centered = np.asarray(MIXED - MIXED.mean(0))
        distances = abs(np.asarray(rows)[:, None] - centered[None]).max(-1)
        assert distances.min(1).max() < 1e-5
        assert len(set(distances.argmin(1))) == 9

    def test_fewer_vectors_than_units(self):
        few = [draw_filters(name, jax.random.key(0), MIXED[:5], 9) for name in ("kmeans", "normal")]
        assert (few[0] == few[1]).all()


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
