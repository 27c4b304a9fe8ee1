"""Isometric convolutions against brute force, and convolution-aware filters against NumPy's FFT."""

import math

import jax
import numpy as np
import pytest
import scipy.stats
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit import convolution_aware, convolutional_orthogonal

KEY = jax.random.key(5)
LINE, PLANE, VOLUME = (5, 3, 6), (4, 2, 4, 8), (3, 3, 2, 3, 5)
GROUPED, GROUPS = (3, 3, 2, 12), 3


def split_groups(kernel, groups):
    return np.split(np.asarray(kernel), groups, axis=-1)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("shape", "groups"), [(LINE, 1), (PLANE, 1), (VOLUME, 1), (GROUPED, GROUPS)]
)
def test_every_frequency_is_an_isometry(shape, groups):
    kernel = convolutional_orthogonal(groups=groups)(KEY, shape)
    taps = shape[:-2]
    for group in split_groups(kernel, groups):
        image = [tap + 3 for tap in taps]
        response = np.fft.fftn(group.astype(np.float64), image, axes=range(len(taps)))
        squares = response @ response.conj().swapaxes(-1, -2)
        identity = np.broadcast_to(np.eye(shape[-2]), squares.shape)
        np.testing.assert_allclose(squares, identity, rtol=0, atol=2e-6)
        mass = (group**2).sum((-1, -2)) / shape[-2]
        assert (mass > 1e-4).all(), "every tap carries some of the norm"


@pytest.mark.slow
def test_complex_and_double_kernels_are_as_exact_as_their_precision():
    with jax.enable_x64(True):
        kernels = [convolutional_orthogonal()(KEY, LINE, d) for d in ("complex64", "float64")]
    for kernel, tolerance in zip(kernels, (2e-6, 1e-14), strict=True):
        response = np.fft.fft(kernel, 8, axis=0)
        squares = response @ response.conj().swapaxes(-1, -2)
        assert np.abs(squares - np.eye(3)).max() < tolerance


def test_brute_force_circular_convolution_keeps_the_norm():
    kernel = np.asarray(convolutional_orthogonal(scale=-1.5)(KEY, PLANE), np.float64)
    # The second image is smaller than the kernel, which then wraps around it.
    for size in ((6, 5), (3, 1)):
        image = np.random.default_rng(0).standard_normal((*size, 4))
        out = np.zeros((*size, 8))
        for tap in np.ndindex(4, 2):
            out += np.roll(image, tap, axis=(0, 1)) @ kernel[tap]
        np.testing.assert_allclose(np.linalg.norm(out), 1.5 * np.linalg.norm(image), rtol=1e-6)


@pytest.mark.slow
def test_a_circular_layer_keeps_the_norm():
    *taps, inputs, outputs = GROUPED
    layer = nn.Conv(
        outputs,
        taps,
        padding="CIRCULAR",
        feature_group_count=GROUPS,
        use_bias=False,
        kernel_init=convolutional_orthogonal(groups=GROUPS),
        precision="highest",
    )
    x = jax.random.normal(KEY, (2, *[6] * len(taps), inputs * GROUPS))
    y, params = layer.init_with_output(KEY, x)
    assert params["params"]["kernel"].shape == GROUPED
    for before, after in zip(x, y, strict=True):
        np.testing.assert_allclose((after**2).sum(), (before**2).sum(), rtol=1e-5)


@pytest.mark.slow
def test_the_taps_share_the_norm_binomially():
    """Two projections on random halves overlap in a quarter, and so on."""
    kernels = jax.vmap(lambda key: convolutional_orthogonal()(key, LINE))(
        jax.random.split(KEY, 400)
    )
    mass = np.asarray((kernels**2).sum((-1, -2)) / LINE[-2], np.float64)
    error = mass.std(0) / math.sqrt(len(mass))
    expected = scipy.stats.binom(4, 0.5).pmf(range(5))
    assert (np.abs(mass.mean(0) - expected) < 6 * error).all()  # false alarm 1e-8


def test_a_depthwise_layer_shifts_its_channels():
    """Each channel is shifted by a binomial number of places, 1 : 2 : 1."""
    channels = 120
    kernel = np.asarray(convolutional_orthogonal(groups=channels)(KEY, (3, 1, channels)))
    ordered = np.sort(np.abs(kernel[:, 0]), axis=0)
    np.testing.assert_allclose(ordered, np.repeat([[0], [0], [1]], channels, axis=1))
    counts = np.bincount(np.abs(kernel[:, 0]).argmax(0), minlength=3)
    share = scipy.stats.binom(2, 0.5).pmf(range(3))
    error = np.sqrt(channels * share * (1 - share))
    assert (np.abs(counts - channels * share) < 7 * error).all()  # false alarm 2e-9
    assert (counts > 0).all()  # false alarm 1e-14


@pytest.mark.slow
def test_outputs_split_over_a_mesh_draw_the_same_bits():
    """In this layout a partitioned sum over outputs would be rounded on each device."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, PartitionSpec(None, None, None, "x"))
    draw = convolutional_orthogonal()
    np.testing.assert_array_equal(draw(KEY, PLANE, None, sharding), draw(KEY, PLANE))


def inverse_transform(taps):
    """Real filters of the unit spectra as the rows of a matrix, computed by NumPy."""
    bins = (*taps[:-1], taps[-1] // 2 + 1)
    units = np.eye(math.prod(bins)).reshape(-1, *bins)
    axes = tuple(range(1, len(bins) + 1))
    return np.fft.irfftn(units, taps, axes=axes).reshape(len(units), -1)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("taps", "bases"), [((4,), 2), ((2, 3, 3), 1), pytest.param((3, 4), 1, marks=pytest.mark.slow)]
)
def test_complete_spectra_are_orthonormal_bases(taps, bases):
    """With as many channels as bins, the second moments are those of the transform."""
    transform = inverse_transform(taps)
    bins, size = transform.shape
    inputs = bases * bins
    kernel = convolution_aware(noise=0.0)(KEY, (*taps, inputs, 2))
    energy = transform.T @ transform
    for output in np.moveaxis(np.asarray(kernel), -1, 0):
        filters = output.reshape(size, inputs)
        expected = 2 * energy / np.trace(energy)
        np.testing.assert_allclose(filters @ filters.T, expected, rtol=0, atol=2e-6)


def test_noise_free_filters_are_orthogonal_in_fourier_space():
    inputs, outputs = 4, 3
    kernel = np.asarray(convolution_aware(noise=0.0)(KEY, (9, inputs, outputs)), np.float64)
    spectra = np.fft.rfft(kernel, axis=0)
    assert np.abs(spectra.imag).max() < 1e-6
    grams = np.einsum("fio,fjo->oij", spectra.real, spectra.real)
    length = grams[0, 0, 0]
    identity = np.broadcast_to(length * np.eye(inputs), grams.shape)
    np.testing.assert_allclose(grams, identity, rtol=0, atol=1e-5 * length)
    assert np.abs(kernel[..., 0] - kernel[..., 1]).max() > 0.1, "the bases of two outputs differ"


@pytest.mark.slow
def test_the_noise_is_normal_with_the_given_standard_deviation():
    shape = (3, 3, 4, 300)
    smooth, rough = (
        np.asarray(convolution_aware(noise)(KEY, shape), np.float64) for noise in (0.0, 0.1)
    )
    transform = inverse_transform((3, 3))
    filter_square = (transform**2).sum() / transform.size
    std = math.sqrt(2 / 36 / (filter_square + 0.1**2))
    noise = rough / std - smooth / math.sqrt(2 / 36 / filter_square)
    assert scipy.stats.kstest(noise.ravel(), scipy.stats.norm(0, 0.1).cdf).pvalue > 1e-8
    for kernel in (smooth, rough):
        squares = (kernel**2).mean((0, 1, 2))
        error = squares.std() / math.sqrt(len(squares))
        assert abs(squares.mean() - 2 / 36) < 6 * error + 1e-7  # false alarm 1e-8


def test_a_single_tap_is_normal():
    kernel = np.asarray(convolution_aware()(KEY, (1, 1, 50, 80)))
    expected = scipy.stats.norm(0, math.sqrt(2 / 50))
    assert scipy.stats.kstest(kernel.ravel(), expected.cdf).pvalue > 1e-8


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (
            lambda: convolutional_orthogonal()(KEY, (4, 8)),
            ValueError,
            r"3 to 5 axes, got shape \(4, 8\); for a dense kernel use orthogonal\(\)",
        ),
        (
            lambda: convolutional_orthogonal()(KEY, (3, 8, 4)),
            ValueError,
            r"8 inputs cannot map isometrically into 4 outputs \(shape \(3, 8, 4\)\)",
        ),
        (
            lambda: convolutional_orthogonal(groups=3)(KEY, (3, 2, 8)),
            ValueError,
            r"8 outputs \(shape \(3, 2, 8\)\) do not divide into 3 groups",
        ),
        (lambda: convolutional_orthogonal(groups=0), ValueError, "groups: expected at least 1"),
        (lambda: convolutional_orthogonal(float("inf")), ValueError, "scale: expected a finite"),
        (lambda: convolution_aware(-0.1), ValueError, r"noise: .* did you mean 0\.1\?"),
        (
            lambda: convolution_aware()(KEY, (4, 8)),
            ValueError,
            r"3 to 5 axes, got shape \(4, 8\); for a dense kernel use he_normal\(\)",
        ),
        (lambda: convolution_aware()(KEY, (3, 4, 8), "complex64"), TypeError, "dtype complex64"),
    ],
)
def test_wrong_options_and_shapes_are_refused(build, error, text):
    with pytest.raises(error, match=text):
        build()
