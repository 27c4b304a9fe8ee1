"""HiPPO: the matrices against published entries, projection integrals and integrated states."""

import jax
import numpy as np
import pytest
import scipy.integrate
from numpy.polynomial import laguerre, legendre

from jinit.initializers.hippo import hippo, hippo_input

KEY = jax.random.key(6)
MEASURES = ["legs", "legt", "lagt", "fourier"]


def double(initializer, *shape):
    """Return the values in double precision."""
    with jax.enable_x64(True):
        return np.asarray(initializer(KEY, shape))


def system(measure, size):
    return double(hippo(measure), size, size), double(hippo_input(measure), size)


def matrix_of_entries(entry, size):
    return np.array([[entry(n, k) for k in range(size)] for n in range(size)], float)


def legs_entry(n, k):
    if n == k:
        return -(n + 1)
    return -(((2 * n + 1) * (2 * k + 1)) ** 0.5) if n > k else 0


def legt_entry(n, k):
    sign = (-1) ** (n - k) if n < k else 1
    return -sign * ((2 * n + 1) * (2 * k + 1)) ** 0.5


def lagt_entry(n, k):
    if n == k:
        return -0.5
    return -1 if n > k else 0


@pytest.mark.parametrize(
    ("measure", "entry"), [("legs", legs_entry), ("legt", legt_entry), ("lagt", lagt_entry)]
)
def test_entries_equal_the_published_formulas(measure, entry):
    expected = matrix_of_entries(entry, 33)
    np.testing.assert_allclose(double(hippo(measure), 33, 33), expected, rtol=1e-15)
    single = np.asarray(hippo(measure)(KEY, (2, 3, 33, 33)))
    np.testing.assert_allclose(single, np.broadcast_to(expected, (2, 3, 33, 33)), rtol=2e-7)
    np.testing.assert_array_equal(single[1, 2].diagonal(), expected.diagonal())


# A basis is stated by quadrature nodes s, weights ds, and the values of the functions g_n(s).
NODES, WEIGHTS = legendre.leggauss(60)


UNIT, UNIT_WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


def legendre_basis(x, size):
    return legendre.legvander(x, size - 1) * np.sqrt(2 * np.arange(size) + 1)


def fourier_basis(lag, size):
    waves = 2 * np.pi * np.arange(size // 2) * lag[:, None]
    basis = np.stack([np.cos(waves), np.sin(waves)], axis=-1).reshape(len(lag), size)
    return basis * np.where(np.arange(size) > 1, np.sqrt(2), 1)


def quadrature_basis(measure, size):
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
    # The periodic continuation of a ramp has a jump, where its series converges to the mean of both
    # sides. This explains the factor two of the input vector.
    "fourier": (
        lambda x: 0.7 * x + np.cos(2 * np.pi * x) - np.sin(6 * np.pi * x),
        lambda x: 0.7 - 2 * np.pi * np.sin(2 * np.pi * x) - 6 * np.pi * np.cos(6 * np.pi * x),
    ),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_the_state_follows_the_projection_of_the_past(measure):
    """`c = ∫ u(t - s) g(s) ds` has the derivative `∫ u'(t - s) g(s) ds = A c + B u(t)`."""
    A, B = system(measure, 8)
    lags, weights, basis = quadrature_basis(measure, 8)
    signal, slope = INPUTS[measure]
    for t in (-0.4, 0.0, 0.9):
        state = (weights * signal(t - lags)) @ basis
        derivative = (weights * slope(t - lags)) @ basis
        scale = np.abs(A).max() * np.abs(state).max()
        np.testing.assert_allclose(A @ state + B * signal(t), derivative, atol=1e-12 * scale)


def smooth_signal(x):
    return np.sin(3 * x) + np.cos(x) ** 2


def projection(begin, end, size):
    """Return the Legendre coefficients of the smooth signal on a window, by quadrature."""
    window = begin + (end - begin) * UNIT
    return (UNIT_WEIGHTS * smooth_signal(window)) @ legendre_basis(2 * UNIT - 1, size)


def integrate(field, begin, end, state):
    """Return the final state of an ordinary differential equation."""
    solution = scipy.integrate.solve_ivp(
        field, (begin, end), state, "DOP853", rtol=1e-10, atol=1e-12
    )
    return solution.y[:, -1]


def test_scaled_legendre_projects_the_whole_past_uniformly():
    A, B = system("legs", 10)

    def field(t, state):
        return (A @ state + B * smooth_signal(t)) / t

    final = integrate(field, 0.1, 2.0, projection(0.0, 0.1, 10))
    np.testing.assert_allclose(final, projection(0.0, 2.0, 10), atol=1e-8)


def test_translated_legendre_projects_the_last_unit_of_time():
    A, B = system("legt", 12)

    def field(t, state):
        return A @ state + B * smooth_signal(t)

    final = integrate(field, 0.0, 2.5, projection(-1.0, 0.0, 12))
    np.testing.assert_allclose(final, projection(1.5, 2.5, 12), atol=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_matrix_is_normal_minus_low_rank(measure):
    """Adding a known matrix of rank one or two gives a multiple of 1 plus a skew matrix."""
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


def test_every_leading_index_has_the_same_vector():
    vector = np.asarray(hippo_input("legt")(KEY, (4, 2, 6)))
    np.testing.assert_allclose(vector, np.broadcast_to(np.sqrt([1, 3, 5, 7, 9, 11]), (4, 2, 6)))
    assert (np.asarray(hippo_input("lagt")(KEY, (2, 6))) == 1).all()


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: hippo("leg"), ValueError, "unknown measure 'leg'; did you mean 'legt' or 'legs'"),
        (
            lambda: hippo()(KEY, (64,)),
            ValueError,
            r"hippo: .* last two axes are equal, got shape \(64,\); one matrix is broadcast",
        ),
        (lambda: hippo()(KEY, (3, 64, 32)), ValueError, r"got shape \(3, 64, 32\)"),
        (
            lambda: hippo("fourier")(KEY, (5, 5)),
            ValueError,
            r"hippo: .* needs an even number of states, .* got 5 \(shape \(5, 5\)\)",
        ),
        (
            lambda: hippo_input("fourier")(KEY, (7,)),
            ValueError,
            "hippo_input: .* even number of states",
        ),
        (
            lambda: hippo_input()(KEY, ()),
            ValueError,
            r"hippo_input: expected one or more axes, .* got shape \(\)",
        ),
        (lambda: hippo()(KEY, (4, 4), "complex64"), TypeError, "real floating-point values"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
