"""Patches of the inputs of layers, and kernels that are made from them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.calibrate.patch_filters import draw_filters, find_centers
from jinit.calibrate.patch_layout import PatchLayout
from jinit.calibrate.unit_operands import AppliedOperands
from jinit.calibrate.units import read_kernels
from tests.calibrate.unit_networks import check_trees, draw


@pytest.fixture(autouse=True)
def allow_rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


CONVOLUTIONS = {
    "plain": ((5, 5), {}),
    "strided": ((5, 6), {"window_strides": (2, 1)}),
    "padded": ((4, 5), {"padding": ((1, 2), (0, 1))}),
    "dilated": ((7, 7), {"rhs_dilation": (2, 3)}),
    "transposed": ((4, 4), {"lhs_dilation": (2, 2), "padding": ((1, 1), (2, 2))}),
    "grouped": ((5, 5), {"feature_group_count": 2}),
}


class TestVectors:
    @pytest.mark.few(2)
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

    @pytest.mark.slow
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
