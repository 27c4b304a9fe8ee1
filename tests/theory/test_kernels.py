"""Dual activations and tangent kernels: closed forms against quadrature and wide networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jinit.theory import critical_point, dual, ntk, ntk_condition_number
from jinit.theory.kernels import _CLOSED_FORMS

ERF = jax.scipy.special.erf
COVARIANCES = [(1.0, 0.0, 1.0), (1.0, 0.9, 1.0), (0.3, -0.4, 2.0), (1e-6, 5e-4, 1.0), (50, 49, 50)]


def without_closed_form(phi):
    return lambda x: phi(x)


@pytest.mark.parametrize("phi", _CLOSED_FORMS)
def test_closed_forms_against_quadrature(phi):
    integrated = without_closed_form(phi)
    for covariance in COVARIANCES:
        found = dual(integrated, *covariance)
        np.testing.assert_allclose(dual(phi, *covariance), found, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("phi", [jax.nn.relu, jnp.abs, ERF, jnp.sin, jnp.sign])
@pytest.mark.parametrize("c", [1.0, 1 - 1e-12, -1.0])
def test_duals_keep_their_digits_next_to_the_diagonal(phi, c):
    """With the angle of k11 = k22 = 3 from 3 - k12, which has no rounding error."""
    k12 = 3.0 * c
    angle = 2 * math.asin(math.sqrt((3 - k12) / 6))
    expected = EXACT_DUALS[phi](3.0, k12, angle)
    for variant in (phi, without_closed_form(phi)):
        np.testing.assert_allclose(dual(variant, 3.0, k12, 3.0), expected, rtol=1e-9, atol=1e-15)
    if c == 1:
        np.testing.assert_allclose(dual(phi, 3.0, k12, 3.0), expected, rtol=1e-15)


def exact_piecewise(negative, q, k, angle):
    """Value and slope of min(x, 0) · negative + max(x, 0)."""
    jump = (1 - negative) ** 2 / (2 * math.pi)
    slope = (1 + negative**2) / 2 - jump * angle
    return jump * q * math.sin(angle) + slope * k, slope


def exact_erf(q, k, angle):
    slope = 4 / math.pi / math.sqrt((1 + 2 * q) ** 2 - 4 * k**2)
    return 2 / math.pi * math.asin(2 * k / (1 + 2 * q)), slope


def exact_sin(q, k, angle):
    return math.exp(-q) * math.sinh(k), math.exp(-q) * math.cosh(k)


def exact_sign(q, k, angle):
    slope = math.inf if abs(k) == q else 2 / math.pi / math.sqrt((q - k) * (q + k))
    return 1 - 2 * angle / math.pi, slope


EXACT_DUALS = {
    jax.nn.relu: lambda *numbers: exact_piecewise(0, *numbers),
    jnp.abs: lambda *numbers: exact_piecewise(-1, *numbers),
    ERF: exact_erf,
    jnp.sin: exact_sin,
    jnp.sign: exact_sign,
}


def test_the_tangent_kernel_of_relu_is_exact_on_its_diagonal():
    for depth, q in ((1000, 3.0), (7, 0.3)):
        found = ntk(jax.nn.relu, depth, 1.0, q)
        assert found == pytest.approx((q * (depth + 1), q * (depth + 1), 1.0), rel=1e-14)


@pytest.mark.slow
def test_deep_tangent_kernels_are_interpolated_between_angles():
    deep = ntk(without_closed_form(jax.nn.relu), 150, 0.2)
    assert deep == pytest.approx(ntk(jax.nn.relu, 150, 0.2), rel=1e-9)


@pytest.mark.parametrize("c", [-0.8, 0.3, 0.99])
def test_duals_of_steps_against_the_bivariate_normal_distribution(c):
    """E[1(u > a) 1(v > a)] is a probability, and its derivative a density (Plackett, 1954)."""
    a, k = 0.7, 1.3
    normal = stats.multivariate_normal(cov=[[k, c * k], [c * k, k]])
    found = dual(lambda x: jnp.where(x > a, 1.0, 0.0), k, c * k, k)
    assert found.value == pytest.approx(normal.cdf([-a, -a]), rel=1e-6)
    assert found.slope == pytest.approx(normal.pdf([a, a]), rel=1e-10)


def test_slopes_at_the_ends_of_the_correlation():
    step = without_closed_form(jnp.sign)
    assert dual(step, 1.0, -1.0, 1.0).slope == math.inf

    def threshold(x):
        return jnp.where(x > 1, x, 0.0)

    assert dual(threshold, 1.0, 1.0, 1.0).slope == math.inf
    assert dual(threshold, 1.0, -1.0, 1.0) == (0.0, 0.0)
    near = dual(threshold, 1.0, 2.0 - 1e-7, 4.0).slope  # jumps at 1 and at 1/2 do not meet
    assert dual(threshold, 1.0, 2.0, 4.0).slope == pytest.approx(near, rel=1e-6)


@pytest.mark.slow
def test_piecewise_linear_and_gelu_have_their_published_duals():
    for a in (0.0, 0.01, 0.3, -1.0):
        for k11, k12, k22 in COVARIANCES:
            theta = math.acos(k12 / math.sqrt(k11 * k22))
            slope = (a * a + 1) / 2 - (1 - a) ** 2 * theta / (2 * math.pi)
            value = (1 - a) ** 2 / (2 * math.pi) * math.sqrt(k11 * k22 - k12**2) + slope * k12
            found = dual(lambda x, a=a: jnp.where(x < 0, a * x, x), k11, k12, k22)
            np.testing.assert_allclose(found, (value, slope), rtol=1e-10, atol=1e-14)
    for q in (0.01, 1.0, 1.7, 30.0):
        part = q / ((q + 1) * math.sqrt(1 + 2 * q)) + math.atan(q / math.sqrt(1 + 2 * q)) / 2
        value = dual(lambda x: jax.nn.gelu(x, approximate=False), q, q, q).value
        assert value == pytest.approx(q * (0.25 + part / math.pi), rel=1e-12)


def test_the_dual_of_sign():
    found = dual(jnp.sign, 2.0, 1.0, 2.0)
    assert found.value == pytest.approx(1 - 2 * math.acos(0.5) / math.pi)
    step = 1e-6
    lower, upper = (dual(jnp.sign, 2.0, 1 + change, 2.0).value for change in (-step, step))
    assert found.slope == pytest.approx((upper - lower) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("phi", [jax.nn.relu, jnp.abs, ERF, jnp.sin, jnp.sign, jax.nn.silu])
def test_duals_against_wide_random_layers(phi):
    """A layer of 400,000 units on two inputs; five standard errors."""
    units = 400_000
    x = np.array([[1.0, 0.5, -0.2], [0.3, 1.2, 0.8]])
    covariance = x @ x.T
    kernel = np.random.default_rng(3).normal(size=(3, units))
    products = np.prod(np.asarray(phi(jnp.asarray(x @ kernel)), np.float64), axis=0)
    value = dual(phi, covariance[0, 0], covariance[0, 1], covariance[1, 1]).value
    assert abs(products.mean() - value) < 5 * products.std() / math.sqrt(units)


def test_the_ratio_of_relu_at_depth():
    ratios = [ntk(jax.nn.relu, depth, 0.0).ratio for depth in (100, 1000)]
    assert 1 / 4 < ratios[1] < ratios[0]
    # The ratio converges as 1 / depth, up to a logarithm.
    assert ratios[1] - 1 / 4 < (ratios[0] - 1 / 4) / 5


def test_the_ratio_at_depth_of_a_smooth_activation_at_criticality():
    sigma_w2, sigma_b2 = critical_point(ERF, 0.5)
    found = ntk(ERF, 3000, 0.3, 0.5, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    assert found.ratio == pytest.approx(1 / 3, abs=0.01)


def test_condition_numbers_are_those_of_the_kernel_matrix():
    assert ntk_condition_number(jax.nn.relu, 9) == 4
    assert ntk_condition_number(jax.nn.leaky_relu, 9) == 4
    assert ntk_condition_number(jax.nn.elu, 8) == 5
    ratio = ntk(jax.nn.relu, 20, 0.0).ratio
    matrix = np.full((9, 9), ratio) + (1 - ratio) * np.eye(9)
    found = ntk_condition_number(jax.nn.relu, 9, 20)
    assert found == pytest.approx(np.linalg.cond(matrix), rel=1e-10)


def test_the_tangent_kernel_of_a_wide_network():
    """A thousand networks of three relu layers of 100 units, parametrized by √(2/n).

    The mean on the diagonal is that of infinite width at any width of a relu network; off the
    diagonal, finite width changes it by 3 %.
    """
    width, networks = 100, 1000
    inputs = jnp.asarray([[1.0, 0.0], [0.6, 0.8]]) * math.sqrt(2)
    shapes = [(2, width), (width, width), (width, width), (width, 1)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])

    def kernel(numbers):
        parts = jnp.split(numbers, ends[:-1])
        kernels = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

        def apply(kernels, x):
            for gain, weights in zip((1, 2, 2, 2), kernels, strict=True):
                h = x @ weights * math.sqrt(gain / weights.shape[0])
                x = jax.nn.relu(h)
            return h[0]

        gradients = [jax.tree.leaves(jax.grad(apply)(kernels, x)) for x in inputs]
        rows = [jnp.concatenate([leaf.ravel() for leaf in leaves]) for leaves in gradients]
        return jnp.stack(rows) @ jnp.stack(rows).T

    numbers = np.random.default_rng(0).normal(size=(networks, ends[-1])).astype(np.float32)
    found = np.asarray(jax.jit(jax.vmap(kernel))(numbers))
    expected, diagonal = ntk(jax.nn.relu, 3, 0.6), found[:, [0, 1], [0, 1]].mean(1)
    error = diagonal.std() / math.sqrt(networks)
    assert error < 0.02 * expected.diagonal
    assert abs(diagonal.mean() - expected.diagonal) < 4.5 * error
    assert found[:, 0, 1].mean() / diagonal.mean() == pytest.approx(expected.ratio, rel=0.03)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: dual(jax.nn.relu, 1.0, 2.0, 1.0), "k12=2.0 is not a covariance .* at most 1"),
        (lambda: dual(jax.nn.relu, 0.0, 0.0, 1.0), "expected finite variances above 0"),
        (lambda: ntk(lambda x: jnp.floor(x), 2, 0.0), "jumps at .* with itself is infinite"),
        (lambda: ntk(jax.nn.relu, -1, 0.0), "depth: expected"),
        (lambda: ntk_condition_number(jnp.sign, 3), "jumps at 0"),
        (lambda: ntk(jnp.cbrt, 2, 0.0), "square of its slope has no mean"),
        (lambda: ntk_condition_number(lambda x: jnp.sign(x - 0.7), 3), "jumps at 0.7"),
        (lambda: ntk(lambda x: x + (x > -2.3), 1, 0.0), "jumps at -2.3"),
        (lambda: ntk_condition_number(jnp.tanh, 0), "points: expected"),
        (lambda: ntk_condition_number(jnp.tanh, 2.5), "points: expected"),
        (lambda: ntk(jax.nn.relu, 3, 0.5, 0), "q: expected a finite variance above 0"),
        (
            lambda: ntk(jax.nn.relu, 3, 0.5, sigma_w2=-1.0),
            "sigma_w2: expected a finite variance above 0",
        ),
        (lambda: ntk(jax.nn.relu, 1000, 0.5, sigma_w2=100.0), "after 89 layers the signal has"),
        (
            lambda: ntk(jax.nn.relu, 1000, 0.5, sigma_w2=0.01),
            "after 131 layers the signal has .* None keeps",
        ),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_kernels_of_one_input_and_of_a_linear_network_are_well_conditioned():
    assert ntk_condition_number(jax.nn.relu, 1) == 1
    assert ntk_condition_number(lambda x: 2 * x, 10) == 1


@pytest.mark.parametrize("phi", [jax.nn.glu, jax.nn.softmax, lambda a, b: a * b])
def test_activations_of_several_numbers_are_refused(phi):
    with pytest.raises(TypeError, match=r"takes two numbers|must take one number"):
        dual(phi, 1, 0.5, 1)


def test_numpy_and_jax_numbers_are_accepted():
    expected = dual(jnp.tanh, 1.0, 0.5, 1.0)
    assert dual(jnp.tanh, jnp.float32(1), np.float32(0.5), 1) == expected


@pytest.mark.parametrize("depth", [60, 400])
@pytest.mark.parametrize("phi", [jnp.tanh, lambda x: jnp.tanh(x) ** 2, jnp.sin])
def test_equal_and_opposite_inputs_stay_so_in_the_chaotic_phase(phi, depth):
    same, opposite = ntk(phi, depth, 1.0), ntk(phi, depth, -1.0)
    assert same.ratio == 1.0
    assert abs(opposite.ratio) == pytest.approx(1.0, abs=1e-11)
