"""Diagonal state spaces: S4D and the diagonalized HiPPO-LegS matrix against their definitions."""

import jax
import numpy as np
import pytest
import scipy.linalg

from jinit.initializers.hippo import hippo
from jinit.initializers.s4d import hippo_diagonal, s4d_frequency, s4d_log_decay

KEY = jax.random.key(6)


def double(initializer, *shape):
    """Return the values in double precision."""
    with jax.enable_x64(True):
        return np.asarray(initializer(KEY, shape))


def normal_part(size):
    """Return the HiPPO-LegS matrix plus its rank-one correction."""
    root = np.sqrt(np.arange(size) + 0.5)
    return double(hippo("legs"), size, size) + np.outer(root, root)


@pytest.mark.parametrize("size", [1, 2, 5, 64, 65])
def test_hippo_diagonal_diagonalizes_the_normal_part(size):
    eigenvalues, V, inputs = hippo_diagonal(size, "complex128")
    scale = size**2
    np.testing.assert_array_equal(eigenvalues.real, -0.5)
    np.testing.assert_array_equal(eigenvalues, eigenvalues[::-1].conj())
    expected = np.linalg.eigvalsh(-1j * (normal_part(size) + 0.5 * np.eye(size)))
    np.testing.assert_allclose(eigenvalues.imag, expected, atol=1e-14 * scale)
    np.testing.assert_allclose(V.conj().T @ V, np.eye(size), atol=1e-13)
    product = V @ np.diag(eigenvalues) @ V.conj().T
    np.testing.assert_allclose(product, normal_part(size), atol=1e-14 * scale)
    np.testing.assert_allclose(V @ inputs, np.sqrt(2 * np.arange(size) + 1), atol=1e-12)
    assert (V[0].real > 0).all()
    assert all(array.dtype == np.complex64 for array in hippo_diagonal(size))


def test_half_of_the_eigenvalues_give_the_same_convolution_kernel():
    """`C exp(t S) B` of the normal part S is twice the real part over one half of the pairs."""
    size, t = 16, 0.3
    eigenvalues, V, inputs = (
        array[..., size // 2 :] for array in hippo_diagonal(size, "complex128")
    )
    C = np.cos(np.arange(size))
    expected = C @ scipy.linalg.expm(t * normal_part(size)) @ np.sqrt(2 * np.arange(size) + 1)
    kernel = 2 * ((C @ V) * np.exp(t * eigenvalues) * inputs).sum().real
    assert abs(kernel - expected) < 1e-12 * size**2


FREQUENCIES = {
    "lin": lambda n, N: np.pi * n,
    "inv": lambda n, N: N / np.pi * (N / (2 * n + 1) - 1),
    "quad": lambda n, N: (1 + 2 * n) ** 2 / np.pi,
    "real": lambda n, N: 0,
}


@pytest.mark.parametrize("variant", FREQUENCIES)
def test_variants_equal_the_published_formulas(variant):
    expected = [FREQUENCIES[variant](n, 48) for n in range(24)]
    frequencies = double(s4d_frequency(variant), 3, 24)
    np.testing.assert_allclose(frequencies, np.tile(expected, (3, 1)), rtol=1e-15)
    rate = np.exp(double(s4d_log_decay(variant), 3, 24))
    expected = np.arange(1, 25) if variant == "real" else np.full(24, 0.5)
    np.testing.assert_allclose(rate, np.tile(expected, (3, 1)), rtol=1e-14)
    single = np.asarray(s4d_frequency(variant)(KEY, (3, 24)))
    np.testing.assert_array_equal(single, frequencies.astype(np.float32))


def test_legs_frequencies_are_the_spectrum_of_hippo():
    pairs = 40
    spectrum = np.linalg.eigvals(normal_part(2 * pairs))
    expected = np.sort(spectrum.imag[spectrum.imag > 0])[::-1]
    np.testing.assert_allclose(double(s4d_frequency("legs"), pairs), expected, rtol=1e-11)
    np.testing.assert_allclose(np.exp(double(s4d_log_decay("legs"), pairs)), 0.5, rtol=1e-15)
    largest = double(s4d_frequency("legs"), 512)[0] / double(s4d_frequency("inv"), 512)[0]
    assert abs(largest - 1) < 2e-3


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: s4d_frequency("linear"), ValueError, "unknown variant 'linear'; did you mean 'l"),
        (
            lambda: s4d_frequency("legs")(KEY, (2, 5000)),
            ValueError,
            r"at most 1024 conjugate pairs .* got shape \(2, 5000\); use variant='inv'",
        ),
        (lambda: hippo_diagonal(0), ValueError, "size: expected at least 1, got 0"),
        (lambda: hippo_diagonal(10**5), ValueError, "size: expected at most 2048 states, got 1000"),
        (lambda: hippo_diagonal(8, "float32"), TypeError, "expected a complex dtype, got float32"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
