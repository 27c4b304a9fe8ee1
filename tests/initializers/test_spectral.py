"""Fourier bases and spectrogram kernels, against SciPy's transforms and windows."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from jinit.initializers.spectral import fourier, product_modulo, stft

KEY = jax.random.key(0)
FRAME, BINS = 12, 9


def expected_kernel(window, scaling, periodic, frame=FRAME, bins=BINS):
    """Return the spectra of unit impulses, windowed and scaled by SciPy."""
    values = scipy.signal.get_window(window, frame, fftbins=periodic)
    scale = {None: 1, "density": np.sqrt(np.sum(values**2)), "spectrum": np.sum(values)}[scaling]
    return np.fft.rfft(np.diag(values / scale), 2 * (bins - 1), axis=1)


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "rectangular"])
def test_stft_is_a_windowed_transform(window):
    for scaling, periodic in itertools.product((None, "density", "spectrum"), (False, True)):
        expected = expected_kernel(window, scaling, periodic)
        for part, values in (("real", expected.real), ("imag", expected.imag)):
            kernel = stft(part, window, scaling, periodic)(KEY, (FRAME, 1, BINS))
            np.testing.assert_allclose(kernel[:, 0], values, rtol=0, atol=2e-7)


def test_stft_without_a_window_is_not_scaled():
    expected = np.fft.rfft(np.eye(FRAME), 2 * (BINS - 1), axis=1)
    for scaling in (None, "density", "spectrum"):
        kernel = stft("imag", None, scaling)(KEY, (FRAME, BINS))
        np.testing.assert_allclose(kernel, expected.imag, rtol=0, atol=2e-7)


def test_a_frame_or_a_transform_of_one_sample():
    np.testing.assert_array_equal(stft("real")(KEY, (1, 2, 5)), 1)
    kernel = stft("real", "hamming", None, True)(KEY, (5, 1, 1))
    window = scipy.signal.get_window("hamming", 5)
    np.testing.assert_allclose(kernel[:, 0, 0], window, rtol=1e-6)


@pytest.mark.parametrize(("scaling", "name"), [("density", "psd"), ("spectrum", "spectrum")])
def test_a_convolution_with_it_is_the_spectrogram(scaling, name):
    """Two channels are summed; the hop is 5, and a frame of 12 is padded to 16 samples."""
    signal = np.asarray(jax.random.normal(KEY, (2, 100)))
    _, _, expected = scipy.signal.stft(
        signal.sum(0),
        window="hann",
        nperseg=FRAME,
        noverlap=FRAME - 5,
        nfft=2 * (BINS - 1),
        boundary=None,
        padded=False,
        scaling=name,
        detrend=False,
    )
    computed = []
    for part in ("real", "imag"):
        kernel = stft(part, scaling=scaling, periodic=True)(KEY, (FRAME, 2, BINS))
        layout = ("NCW", "WIO", "NCW")
        frames = jax.lax.conv_general_dilated(
            signal[None], kernel, (5,), "VALID", dimension_numbers=layout, precision="highest"
        )
        computed.append(np.asarray(frames[0]))
    np.testing.assert_allclose(computed[0] + 1j * computed[1], expected, rtol=0, atol=2e-6)


def real_basis(n):
    """Return the documented columns in double precision."""
    rows, columns = np.arange(n), [np.full(n, 1 / np.sqrt(n))]
    for m in range(1, (n + 1) // 2):
        columns.append(np.sqrt(2 / n) * np.cos(2 * np.pi * m * rows / n))
        columns.append(np.sqrt(2 / n) * np.sin(2 * np.pi * m * rows / n))
    if n % 2 == 0:
        columns.append((-1.0) ** rows / np.sqrt(n))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 5), (8, 8), (7, 3), (3, 8), (2, 3, 4, 6)])
def test_fourier_bases_equal_their_definition(shape):
    n, (rows, columns) = max(shape[-2:]), shape[-2:]
    for dtype, square in (("float32", real_basis(n)), ("complex64", scipy.linalg.dft(n, "sqrtn"))):
        expected = np.broadcast_to(square[:rows, :columns], shape)
        kernel = fourier()(KEY, shape, dtype)
        np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-7)


def waves(turns, n):
    """Return `exp(-2πi turns / n)` for exact integers, with angles reduced below π."""
    turns = (turns + n // 2) % n - n // 2
    return np.exp(-2j * np.pi * turns / n)


@pytest.mark.parametrize("shape", [(500, 499), (2**17 + 29, 3)])
def test_entries_of_large_bases_are_accurate(shape):
    """Real and imaginary parts have errors below four units in the last place, also tiny ones."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    expected = waves(rows * columns, shape[0]) / np.sqrt(shape[0])
    kernel = np.asarray(fourier()(KEY, shape, "complex64"))
    for values, exact in ((kernel.real, expected.real), (kernel.imag, expected.imag)):
        # The error of NumPy near a zero of the wave is 1e-16.
        tolerance = 4 * np.spacing(np.abs(exact).astype(np.float32)) + 1e-15
        assert (np.abs(values - exact) <= tolerance).all()


def test_double_precision_values_are_accurate():
    with jax.enable_x64(True):
        basis = np.asarray(fourier()(KEY, (60, 60), "float64"))
        kernel = np.asarray(stft("real")(KEY, (FRAME, BINS), "float64"))
    np.testing.assert_allclose(basis, real_basis(60), rtol=0, atol=1e-14)
    np.testing.assert_allclose(basis.T @ basis, np.eye(60), rtol=0, atol=1e-14)
    expected = expected_kernel("hann", "density", False).real
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("modulus", [3, 2**16, 2**16 + 1, 2**20 + 7, 2**28 - 57])
def test_products_of_large_indices_do_not_overflow(modulus):
    left, right = np.random.default_rng(0).integers(0, 2**28, (2, 1000))
    computed = product_modulo(jnp.asarray(left, np.uint32), jnp.asarray(right, np.uint32), modulus)
    np.testing.assert_array_equal(computed, left * right % modulus)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: stft("image"), ValueError, "unknown part 'image'; did you mean 'imag'"),
        (lambda: stft(window="han"), ValueError, "unknown window 'han'; did you mean 'hann'"),
        (lambda: stft(scaling="psd"), ValueError, "unknown scaling 'psd'"),
        (
            lambda: stft(window=np.ones(3)),
            TypeError,
            "for another window use window=None and multiply",
        ),
        (lambda: stft(periodic=1), TypeError, "periodic: expected True or False, got 1"),
        (lambda: stft()(KEY, (16,)), ValueError, r"at least 2 axes, got shape \(16,\)"),
        (lambda: stft()(KEY, (2, 1, 5)), ValueError, r"2 samples \(shape \(2, 1, 5\)\) is zero"),
        (lambda: stft()(KEY, (8, 1, 5), "complex64"), TypeError, "got dtype complex64"),
        (lambda: fourier()(KEY, (16,)), ValueError, r"at least 2 axes, got shape \(16,\)"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
