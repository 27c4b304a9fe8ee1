"""Scales of weights: constants, the published forms for sigmoid, and a table of activations."""

from jinit.gains import deep_variances
from jinit.initializers import Initializer, he_normal, he_uniform, variance_scaling, xavier_uniform
from jinit.initializers.marginals import Marginal, truncated_normal_marginal
from jinit.initializers.variance import FanMode
from jinit.report.learn.numbers import ActivationRow, PageConstants, PublishedForm, SigmoidForm
from jinit.theory import ACTIVATIONS, fixed_point, initial_loss, moments, q_map

_DEEP = 8
"""Number of hidden layers of the deep network in the table of activations."""
PUBLISHED_SHAPE = (100, 50)
"""n_in and n_out of the layer for which published forms are compared."""
_INITIALIZERS = {
    "identity": "lecun_normal()",
    "tanh": "lecun_normal()",
    "relu": "he_normal()",
    "leaky_relu": "he_normal()",
    "selu": "lecun_normal()",
    "gelu": 'activation_scaled("gelu")',
    "silu": 'activation_scaled("silu")',
    "sigmoid": "sigmoid_normal()",
}
"""The initializer of jinit for the weights before each activation, in few layers."""


def published_forms() -> tuple[PublishedForm, ...]:
    """Return the published scales, with their numbers for a layer of `PUBLISHED_SHAPE`.

    >>> [round(form.std, 4) for form in published_forms()[:2]]
    [0.0577, 0.1]
    """
    glorot, he = "Glorot & Bengio 2010", "He et al. 2015"
    forms: list[tuple[str, str, str, str, float, FanMode]] = [
        ("before 2010; PyTorch", "1/(3 n_in)", "1/√n_in", f"{glorot}, equation 1", 1 / 3, "fan_in"),
        ("LeCun", "1/n_in", "√(3/n_in)", "LeCun et al. 1998, section 4.6", 1.0, "fan_in"),
        ("Xavier, forward", "1/n_in", "√(3/n_in)", f"{glorot}, equation 10", 1.0, "fan_in"),
        ("Xavier, backward", "1/n_out", "√(3/n_out)", f"{glorot}, equation 11", 1.0, "fan_out"),
        (
            "Xavier",
            "2/(n_in + n_out)",
            "√(6/(n_in + n_out))",
            f"{glorot}, equations 12 and 16",
            1.0,
            "fan_avg",
        ),
        ("He, forward", "2/n_in", "√(6/n_in)", f"{he}, equation 10", 2.0, "fan_in"),
        ("He, backward", "2/n_out", "√(6/n_out)", f"{he}, equation 14", 2.0, "fan_out"),
    ]
    return tuple(
        PublishedForm(name, variance, bound, source, *_std_and_bound(scale, mode))
        for name, variance, bound, source, scale, mode in forms
    )


def _std_and_bound(scale: float, mode: FanMode) -> tuple[float, float]:
    marginal = _marginal(variance_scaling(scale, mode, "uniform"), *PUBLISHED_SHAPE)
    return marginal.std, marginal.high


def sigmoid_forms() -> tuple[SigmoidForm, ...]:
    """Return the scales that are in use before sigmoid, for square layers, with their χ₁.

    >>> [round(form.sigma_w2, 4) for form in sigmoid_forms()]
    [1.0, 3.4086, 4.0, 16.0]
    """
    sigmoid = ACTIVATIONS["sigmoid"]
    slope = 0.25  # the derivative of 1 / (1 + e^-x) at 0
    forms = [
        (
            "1/n_in",
            "LeCun et al. 1998; Xavier's forward form",
            "made for units of slope 1; PyTorch's gain of sigmoid is 1 as well",
            1.0,
        ),
        (
            "1/(E[φ²] n_in)",
            "second moment (theory.gain)",
            "keeps the mean square of pre-activations at 1",
            moments(sigmoid).gain ** 2,
        ),
        (
            "4/n_in",
            "tanh's rule, carried over (sigmoid_normal)",
            "sigmoid(x) = (1 + tanh(x/2))/2 halves its argument, and 2² = 4 undoes it",
            1 / 0.5**2,
        ),
        (
            "16 · 2/(n_in + n_out)",
            "Bengio 2012: bound 4 √(6/(n_in + n_out))",
            "sigmoid has the slope 1/4 at 0, and 4² = 16 undoes it",
            1 / slope**2,
        ),
    ]
    return tuple(
        SigmoidForm(rule, source, reason, variance, fixed_point(sigmoid, variance).chi_1)
        for rule, source, reason, variance in forms
    )


def activation_rows(names: tuple[str, ...] = tuple(_INITIALIZERS)) -> tuple[ActivationRow, ...]:
    """Return gain, χ₁, initializer and critical variances of activations.

    Args:
      names: names of activations, in the order of the rows.

    >>> [(row.initializer, round(row.gain, 4)) for row in activation_rows(("relu", "tanh"))]
    [('he_normal()', 1.4142), ('lecun_normal()', 1.5925)]
    """
    return tuple(map(_activation_row, names))


def _activation_row(name: str) -> ActivationRow:
    found = moments(ACTIVATIONS[name])
    deep = deep_variances(ACTIVATIONS[name], _DEEP, has_biases=True)
    if deep is None:
        raise ValueError(f"activation_rows: {name} has no best variance; leave it out")
    return ActivationRow(
        name=name,
        mean=found.mean,
        second=found.second,
        gain=found.gain,
        chi=found.chi,
        initializer=_INITIALIZERS[name],
        deep_first=deep.first,
        deep_weights=deep.weights,
        deep_biases=deep.biases,
        is_critical=deep.is_critical,
    )


def page_constants() -> PageConstants:
    """Return the single numbers of the page.

    >>> numbers = page_constants()
    >>> round(numbers.bound_4_6, 4), round(numbers.bound_4_2, 4), round(numbers.truncated_std, 4)
    (0.7746, 1.0, 0.8796)
    """
    relu, tanh = ACTIVATIONS["relu"], ACTIVATIONS["tanh"]
    return PageConstants(
        truncated_std=truncated_normal_marginal(1.0, -2.0, 2.0).std,
        relu_gain=moments(relu).gain,
        relu_second=moments(relu).second,
        bound_4_6=_marginal(xavier_uniform(), 4, 6).high,
        bound_4_2=_marginal(xavier_uniform(), 4, 2).high,
        he_std_50=_marginal(he_normal(), 50, 50).std,
        he_bound_6=_marginal(he_uniform(), 6, 6).high,
        lecun_growth=q_map(relu, 1.0, 1.0) ** 20,
        tanh_chi=fixed_point(tanh, (5 / 3) ** 2).chi_1,
        loss_of_chance=initial_loss(10),
    )


def _marginal(initializer: Initializer, fan_in: int, fan_out: int) -> Marginal:
    """Return the distribution of a weight of a dense layer."""
    marginal = initializer.marginal((fan_in, fan_out))
    if marginal is None:
        raise ValueError(f"page_constants: the distribution of {initializer!r} is not known")
    return marginal
