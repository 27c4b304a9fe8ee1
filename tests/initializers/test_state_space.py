"""HiPPO and its diagonal relatives: against the integrals, loops and spectra they stand for."""

import jax
import numpy as np
import pytest
import scipy.integrate
from numpy.polynomial import laguerre, legendre

from jinit.initializers.diagonal_state_space import hippo_diagonal, s4d_frequency, s4d_log_decay
from jinit.initializers.state_space import hippo, hippo_input

KEY = jax.random.key(6)
MEASURES = ["legs", "legt", "lagt", "fourier"]


def double(initializer, *shape):
    with jax.enable_x64(True):
        return np.asarray(initializer(KEY, shape))


def system(measure, size):
    return double(hippo(measure), size, size), double(hippo_input(measure), size)


def looped(entry, size):
    return np.array([[entry(n, k) for k in range(size)] for n in range(size)], float)


def legs_entry(n, k):
    if n == k:
        return -(n + 1)
    return -(((2 * n + 1) * (2 * k + 1)) ** 0.5) if n > k else 0


def legt_entry(n, k):
    sign = (-1) ** (n - k) if n < k else 1
    return -sign * ((2 * n + 1) * (2 * k + 1)) ** 0.5


def lagt_entry(n, k):
    return {True: -1, False: 0}[n > k] if n != k else -0.5


@pytest.mark.parametrize(
    ("measure", "entry"), [("legs", legs_entry), ("legt", legt_entry), ("lagt", lagt_entry)]
)
def test_the_published_entries_one_by_one(measure, entry):
    expected = looped(entry, 33)
    np.testing.assert_allclose(double(hippo(measure), 33, 33), expected, rtol=1e-15)
    single = np.asarray(hippo(measure)(KEY, (2, 3, 33, 33)))
    np.testing.assert_allclose(single, np.broadcast_to(expected, (2, 3, 33, 33)), rtol=2e-7)
    np.testing.assert_array_equal(single[1, 2].diagonal(), expected.diagonal())


# Every basis as quadrature nodes: lags s, weights ds, and the functions g_n(s).
NODES, WEIGHTS = legendre.leggauss(60)
UNIT, UNIT_WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


def legendre_basis(x, size):
    return legendre.legvander(x, size - 1) * np.sqrt(2 * np.arange(size) + 1)


def fourier_basis(lag, size):
    waves = 2 * np.pi * np.arange(size // 2) * lag[:, None]
    basis = np.stack([np.cos(waves), np.sin(waves)], axis=-1).reshape(len(lag), size)
    return basis * np.where(np.arange(size) > 1, np.sqrt(2), 1)


def basis_of(measure, size):
    if measure == "legs":  # in z = exp(-s), exp(-s) ds = dz
        return -np.log(UNIT), UNIT_WEIGHTS, legendre_basis(2 * UNIT - 1, size)
    if measure == "legt":
        return UNIT, UNIT_WEIGHTS, legendre_basis(1 - 2 * UNIT, size)
    if measure == "lagt":  # in r = s / 2, exp(-s / 2) ds = 2 exp(-r) dr
        half, weights = laguerre.laggauss(40)
        return 2 * half, 2 * weights, laguerre.lagvander(2 * half, size - 1)
    return UNIT, UNIT_WEIGHTS, fourier_basis(UNIT, size)


# Inputs in the span of eight functions on any window, with their derivatives.
INPUTS = {
    "legs": (lambda x: np.exp(x) - 2 * np.exp(4 * x), lambda x: np.exp(x) - 8 * np.exp(4 * x)),
    "legt": (lambda x: 1 + x**3 - x**6, lambda x: 3 * x**2 - 6 * x**5),
    "lagt": (lambda x: 1 + x - 0.1 * x**3, lambda x: 1 - 0.3 * x**2),
    # A ramp jumps where its window is closed to a circle; its series there is the mean of both
    # ends, which is what doubles the input vector.
    "fourier": (
        lambda x: 0.7 * x + np.cos(2 * np.pi * x) - np.sin(6 * np.pi * x),
        lambda x: 0.7 - 2 * np.pi * np.sin(2 * np.pi * x) - 6 * np.pi * np.cos(6 * np.pi * x),
    ),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_the_state_follows_the_projection_of_the_past(measure):
    """`c = ∫ u(t - s) g(s) ds` has the derivative `∫ u'(t - s) g(s) ds = A c + B u(t)`."""
    A, B = system(measure, 8)
    lags, weights, basis = basis_of(measure, 8)
    signal, slope = INPUTS[measure]
    for t in (-0.4, 0.0, 0.9):
        state = (weights * signal(t - lags)) @ basis
        moved = (weights * slope(t - lags)) @ basis
        scale = np.abs(A).max() * np.abs(state).max()
        np.testing.assert_allclose(A @ state + B * signal(t), moved, atol=1e-12 * scale)


def smooth(x):
    return np.sin(3 * x) + np.cos(x) ** 2


def projected(begin, end, size):
    """Coefficients of the smooth signal on a window, by quadrature."""
    window = begin + (end - begin) * UNIT
    return (UNIT_WEIGHTS * smooth(window)) @ legendre_basis(2 * UNIT - 1, size)


def run(field, begin, end, state):
    solved = scipy.integrate.solve_ivp(field, (begin, end), state, "DOP853", rtol=1e-10, atol=1e-12)
    return solved.y[:, -1]


def test_scaled_legendre_remembers_all_of_the_past_evenly():
    A, B = system("legs", 10)

    def field(t, state):
        return (A @ state + B * smooth(t)) / t

    final = run(field, 0.1, 2.0, projected(0.0, 0.1, 10))
    np.testing.assert_allclose(final, projected(0.0, 2.0, 10), atol=1e-8)


def test_translated_legendre_remembers_the_last_unit_of_time():
    A, B = system("legt", 12)

    def field(t, state):
        return A @ state + B * smooth(t)

    final = run(field, 0.0, 2.5, projected(-1.0, 0.0, 12))
    np.testing.assert_allclose(final, projected(1.5, 2.5, 12), atol=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_normal_plus_low_rank(measure):
    """Adding a known matrix of rank one or two leaves a multiple of 1 plus a skew matrix."""
    n = 12
    A, B = system(measure, n)
    odd, even = np.arange(n) % 2, 1 - np.arange(n) % 2
    root = np.sqrt(2 * np.arange(n) + 1)
    corrections = {
        "legs": ([root / np.sqrt(2)], -0.5),
        "legt": ([root * even, root * odd], 0),
        "lagt": ([np.full(n, np.sqrt(0.5))], 0),
        "fourier": ([B / np.sqrt(2)], 0),
    }
    vectors, real = corrections[measure]
    normal = A + sum(np.outer(vector, vector) for vector in vectors)
    np.testing.assert_allclose(normal + normal.T, 2 * real * np.eye(n), atol=1e-13)


def normal_part(size):
    root = np.sqrt(np.arange(size) + 0.5)
    return looped(legs_entry, size) + np.outer(root, root)


@pytest.mark.parametrize("size", [1, 2, 5, 64, 65])
def test_the_diagonal_is_the_normal_part(size):
    eigenvalues, V, inputs = hippo_diagonal(size, "complex128")
    scale = size**2
    np.testing.assert_array_equal(eigenvalues.real, -0.5)
    np.testing.assert_array_equal(eigenvalues, eigenvalues[::-1].conj())
    solved = np.linalg.eigvalsh(-1j * (normal_part(size) + 0.5 * np.eye(size)))
    np.testing.assert_allclose(eigenvalues.imag, solved, atol=1e-14 * scale)
    np.testing.assert_allclose(V.conj().T @ V, np.eye(size), atol=1e-13)
    rebuilt = V @ np.diag(eigenvalues) @ V.conj().T
    np.testing.assert_allclose(rebuilt, normal_part(size), atol=1e-14 * scale)
    np.testing.assert_allclose(V @ inputs, np.sqrt(2 * np.arange(size) + 1), atol=1e-12)
    assert (V[0].real > 0).all()
    assert all(part.dtype == np.complex64 for part in hippo_diagonal(size))


def test_half_of_the_diagonal_makes_the_same_kernel():
    """`C exp(t S) B` of the normal part S is twice the real part over one half of the pairs."""
    size, t = 16, 0.3
    eigenvalues, V, inputs = (part[..., size // 2 :] for part in hippo_diagonal(size, "complex128"))
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
def test_diagonal_variants_one_by_one(variant):
    expected = [FREQUENCIES[variant](n, 48) for n in range(24)]
    drawn = double(s4d_frequency(variant), 3, 24)
    np.testing.assert_allclose(drawn, np.tile(expected, (3, 1)), rtol=1e-15)
    rate = np.exp(double(s4d_log_decay(variant), 3, 24))
    expected = np.arange(1, 25) if variant == "real" else np.full(24, 0.5)
    np.testing.assert_allclose(rate, np.tile(expected, (3, 1)), rtol=1e-14)
    single = np.asarray(s4d_frequency(variant)(KEY, (3, 24)))
    np.testing.assert_array_equal(single, drawn.astype(np.float32))


def test_legs_frequencies_are_the_spectrum_of_hippo():
    pairs = 40
    spectrum = np.linalg.eigvals(normal_part(2 * pairs))
    expected = np.sort(spectrum.imag[spectrum.imag > 0])[::-1]
    np.testing.assert_allclose(double(s4d_frequency("legs"), pairs), expected, rtol=1e-11)
    np.testing.assert_allclose(np.exp(double(s4d_log_decay("legs"), pairs)), 0.5, rtol=1e-15)
    largest = double(s4d_frequency("legs"), 512)[0] / double(s4d_frequency("inv"), 512)[0]
    assert abs(largest - 1) < 2e-3


def test_every_leading_index_has_the_same_vector():
    vector = np.asarray(hippo_input("legt")(KEY, (4, 2, 6)))
    np.testing.assert_allclose(vector, np.broadcast_to(np.sqrt([1, 3, 5, 7, 9, 11]), (4, 2, 6)))
    assert (np.asarray(hippo_input("lagt")(KEY, (2, 6))) == 1).all()


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: hippo("leg"), ValueError, "unknown measure 'leg'; did you mean 'legt' or 'legs'"),
        (lambda: s4d_frequency("linear"), ValueError, "unknown variant 'linear'; did you mean 'l"),
        (
            lambda: hippo()(KEY, (64,)),
            ValueError,
            r"hippo: .* last two axes are equal, got shape \(64,\); one matrix is broadcast",
        ),
        (lambda: hippo()(KEY, (3, 64, 32)), ValueError, r"got shape \(3, 64, 32\)"),
        (
            lambda: hippo("fourier")(KEY, (5, 5)),
            ValueError,
            r"hippo: .* pairs, but 5 states \(shape \(5, 5\)\) do not divide by 2",
        ),
        (lambda: hippo_input("fourier")(KEY, (7,)), ValueError, "hippo_input: .* do not divide"),
        (
            lambda: hippo_input()(KEY, ()),
            ValueError,
            r"hippo_input: expected one or more axes, .* got shape \(\)",
        ),
        (
            lambda: s4d_frequency("legs")(KEY, (2, 5000)),
            ValueError,
            r"at most 1024 pairs .* got shape \(2, 5000\); 'inv' is its limit",
        ),
        (lambda: hippo()(KEY, (4, 4), "complex64"), TypeError, "real floating-point values"),
        (lambda: hippo_diagonal(0), ValueError, "size: expected at least 1, got 0"),
        (lambda: hippo_diagonal(10**5), ValueError, "size: expected at most 2048 states, got 1000"),
        (lambda: hippo_diagonal(8, "float32"), TypeError, "expected a complex dtype, got float32"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
