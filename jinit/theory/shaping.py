"""Activations shaped so that deep plain networks train: DKS and TAT."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jinit.theory.checks import check_above, check_depth
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import ActivationFunction, activation_pieces, shifted_quadrature
from jinit.theory.roots import find_root

# Scales and shifts of the input from which solutions are sought, the mildest first.
_SCALES = (1.0, 0.5, 0.2, 0.1, 0.05, 2.0)
_SHIFTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
# Range of the logarithm of the input scale.
_MIN_LOG_SCALE, _MAX_LOG_SCALE = -12.0, 4.0
_RESIDUAL_TOLERANCE = 1e-10


@dataclass(frozen=True)
class ShapedActivation:
    """The activation `output_scale · (φ(input_scale · x + input_shift) + output_shift)`."""

    phi: ActivationFunction
    input_scale: float
    input_shift: float
    output_scale: float
    output_shift: float

    def __call__(self, x: Array) -> Array:
        """Apply the activation to every entry."""
        inner = self.phi(self.input_scale * x + self.input_shift)
        return self.output_scale * (inner + self.output_shift)


def dks(
    phi: ActivationFunction,
    *,
    depth: int | None = None,
    slope: float | None = None,
    zeta: float = 1.5,
) -> ShapedActivation:
    r"""Return φ shaped by deep kernel shaping: `Q(1) = 1, Q'(1) = 1, C(0) = 0, C'(1) = slope`.

    Q maps the variances and C the correlations of a layer with σ_w² = 1 and no biases.

    Args:
      phi: a continuous JAX function of one number that is not affine.
      depth: layers of a plain network; the slope of each is ζ^(1/depth), ζ in total.
      slope: C'(1) of each layer, above 1, in place of `depth`.
      zeta: C'(1) of the whole network, above 1.

    Raises:
      ValueError: if neither or both of `depth` and `slope` are given, a slope is not above 1, or
        there is no solution.
      TypeError: if `phi` does not map one number to one number.

    Reference: Martens et al., "Rapid training of deep neural networks without skip connections or
    normalization layers using deep kernel shaping", 2021, section 8.

    >>> import jax.numpy as jnp
    >>> from jinit.theory import moments
    >>> found = moments(dks(jnp.tanh, depth=50))
    >>> round(found.second, 9), round(found.slope2**50, 6), abs(found.mean) < 1e-9
    (1.0, 1.5, True)
    """
    check_above("zeta", zeta, 1)
    target = _layer_value("slope", slope, depth, lambda layers: zeta ** (1 / layers))
    check_above("slope", target, 1)

    def output_transform(inner: _ShiftedActivation) -> _OutputTransform:
        return _OutputTransform(1 / inner.std, -inner.mean)

    def errors(inner: _ShiftedActivation, output: _OutputTransform) -> tuple[float, float]:
        slope = inner.slope2 / inner.std**2
        return inner.q_derivative(output) - 1, (slope - target) / (target - 1)

    equations = _ShapingEquations(f"dks with slope {target:g}", (output_transform,), errors)
    return _solve(equations, phi)


def tat(
    phi: ActivationFunction,
    *,
    depth: int | None = None,
    curvature: float | None = None,
    tau: float = 0.3,
) -> ShapedActivation:
    r"""Return φ under the tailored activation transformation.

    `Q(1) = 1, Q'(1) = 1, C'(1) = 1, C''(1) = curvature`, with Q and C as in `dks`.

    Args:
      phi: a smooth JAX function of one number; for leaky relus use `tat_leaky_slope`.
      depth: layers of a plain network; the curvature of each is τ/depth, τ in total.
      curvature: C''(1) of each layer, above 0, in place of `depth`.
      tau: C''(1) of the whole network, above 0.

    Raises:
      ValueError: if neither or both of `depth` and `curvature` are given, one is not above 0,
        `phi` has kinks, or there is no solution.
      TypeError: if `phi` does not map one number to one number.

    Reference: Zhang, Botev & Martens, "Deep learning without shortcuts: shaping the kernel with
    tailored rectifiers", 2022, section 4.

    >>> import jax.numpy as jnp
    >>> from jinit.theory import moments
    >>> found = moments(tat(jnp.tanh, depth=50))
    >>> round(found.second, 9), round(found.slope2, 9)
    (1.0, 1.0)
    """
    check_above("tau", tau, 0)
    target = _layer_value("curvature", curvature, depth, lambda layers: tau / layers)
    check_above("curvature", target, 0)
    if len(apply_to_activation(activation_pieces, phi, 1.0).kinks):
        raise ValueError(
            "tat: this activation has a kink, where its curvature is infinite: pass a smooth one; "
            "for leaky relus the negative slope is shaped, see tat_leaky_slope"
        )

    def output_transform(sign: int) -> Callable[[_ShiftedActivation], _OutputTransform]:
        def transform(inner: _ShiftedActivation) -> _OutputTransform:
            shift = sign * math.sqrt(max(inner.slope2 - inner.std**2, 0.0)) - inner.mean
            return _OutputTransform(1 / math.sqrt(inner.slope2), shift)

        return transform

    def errors(inner: _ShiftedActivation, output: _OutputTransform) -> tuple[float, float]:
        # Positive if no shift gives Q(1) = 1 together with C'(1) = 1.
        excess_variance = max(inner.std**2 / inner.slope2 - 1, 0.0)
        curvature = inner.curvature2 / inner.slope2
        return inner.q_derivative(output) - 1 + excess_variance, curvature / target - 1

    transforms = output_transform(1), output_transform(-1)
    return _solve(_ShapingEquations(f"tat with curvature {target:g}", transforms, errors), phi)


def tat_leaky_slope(depth: int, eta: float = 0.9) -> float:
    r"""Return the negative slope α of leaky relus for a plain network of this depth.

    `C_α(c) = c + (1-α)²/(π(1+α²)) (√(1-c²) - c arccos c)`, applied `depth` times to 0, yields η.
    The layer is `√(2/(1+α²)) · leaky_relu(x, α)`.

    Args:
      depth: number of layers, at least 1.
      eta: correlation of the outputs for orthogonal inputs, between 0 and 1.

    Raises:
      ValueError: if an argument is out of range, or no slope in [0, 1] reaches η because the
        network is too shallow.

    Reference: Zhang, Botev & Martens, "Deep learning without shortcuts: shaping the kernel with
    tailored rectifiers", 2022, section 3.

    >>> round(tat_leaky_slope(20), 8)
    0.18138028
    """
    check_depth(depth)
    if not 0 < eta < 1:
        raise ValueError(f"eta: expected a correlation between 0 and 1, got {eta!r}")

    def final_correlation(alpha: float) -> float:
        angle = math.pi / 2
        factor = (1 - alpha) ** 2 / (math.pi * (1 + alpha**2))
        for _ in range(depth):
            c = math.cos(angle)
            angle = math.acos(min(c + factor * (math.sin(angle) - c * angle), 1.0))
        return math.cos(angle)

    largest = final_correlation(0.0)
    if largest < eta:
        layers = "layer of relu brings" if depth == 1 else "layers of relu bring"
        raise ValueError(
            f"tat_leaky_slope: {depth} {layers} orthogonal inputs to a correlation "
            f"of {largest:.3f}, and leaky relus to less: pass a smaller eta, or more layers"
        )
    return find_root(lambda alpha: final_correlation(alpha) - eta, 0.0, 1.0)


class _OutputTransform(NamedTuple):
    """The map g ↦ `scale · (g + shift)`."""

    scale: float
    shift: float


class _ShiftedActivation(NamedTuple):
    """g(z) = φ(input_scale · z + input_shift) for a standard normal z, before the output map."""

    z: np.ndarray
    weights: np.ndarray
    value: np.ndarray
    slope2: float
    """E[g'²]."""
    curvature2: float
    """E[g''²]."""

    @property
    def mean(self) -> float:
        return float(self.weights @ self.value)

    @property
    def std(self) -> float:
        return math.sqrt(float(self.weights @ (self.value - self.mean) ** 2))

    def q_derivative(self, output: _OutputTransform) -> float:
        """Return ∂Q/∂q at q = 1 of the transformed activation, by partial integration."""
        values = output.scale * (self.value + output.shift)
        return float(self.weights @ (values**2 * (self.z**2 - 1))) / 2


@dataclass(frozen=True)
class _ShapingEquations:
    """The conditions on the scales and shifts of a shaped activation."""

    name: str
    """Name of the method and its target, for the error message."""
    output_transforms: tuple[Callable[[_ShiftedActivation], _OutputTransform], ...]
    """Output maps that satisfy the first conditions exactly."""
    errors: Callable[[_ShiftedActivation, _OutputTransform], tuple[float, float]]
    """Errors of the two remaining conditions."""


def _shifted_activation(phi: ActivationFunction, scale: float, shift: float) -> _ShiftedActivation:
    edges = (activation_pieces(phi, 1.0).edges - shift) / scale
    nodes = shifted_quadrature(phi, edges, scale, shift)
    curvature = shifted_quadrature(_derivative(phi), edges, scale, shift).slope
    return _ShiftedActivation(
        z=nodes.z,
        weights=nodes.weights,
        value=nodes.value,
        slope2=float(nodes.weights @ (scale * nodes.slope) ** 2),
        curvature2=float(nodes.weights @ (scale**2 * curvature) ** 2),
    )


@lru_cache(maxsize=64)
def _derivative(phi: ActivationFunction) -> ActivationFunction:
    return jax.grad(phi)


def _solve(equations: _ShapingEquations, phi: ActivationFunction) -> ShapedActivation:
    """Return the first solution found from a grid of initial guesses."""
    from scipy import optimize  # heavy: it would double the time of `import jinit`

    apply_to_activation(activation_pieces, phi, 1.0)  # raises if `phi` has no moments
    guesses = itertools.product(equations.output_transforms, _initial_guesses())
    for output_transform, guess in guesses:

        def residual(
            parameters: np.ndarray, output_transform: Callable = output_transform
        ) -> tuple[float, float]:
            log_scale = min(max(parameters[0], _MIN_LOG_SCALE), _MAX_LOG_SCALE)
            inner = _shifted_activation(phi, math.exp(log_scale), parameters[1])
            if not (inner.slope2 > 0 and inner.std > 0):
                return 1e3, 1e3
            return equations.errors(inner, output_transform(inner))

        solution = optimize.root(residual, guess, method="hybr", tol=1e-13)
        converged = np.abs(solution.fun).max() < _RESIDUAL_TOLERANCE
        if converged and solution.x[0] < _MAX_LOG_SCALE:
            scale, shift = math.exp(solution.x[0]), float(solution.x[1])
            output = output_transform(_shifted_activation(phi, scale, shift))
            return ShapedActivation(
                phi=phi,
                input_scale=scale,
                input_shift=shift,
                output_scale=output.scale,
                output_shift=output.shift,
            )
    raise ValueError(
        f"{equations.name}: no input and output scale and shift of this activation satisfy the "
        "conditions; relu and affine activations never do, others may for another depth"
    )


def _initial_guesses() -> Iterator[np.ndarray]:
    for scale, shift in itertools.product(_SCALES, _SHIFTS):
        yield np.array([math.log(scale), shift])


def _layer_value(
    name: str, value: float | None, depth: int | None, depth_formula: Callable[[int], float]
) -> float:
    """Return the value of each layer, given directly or derived from the depth."""
    if value is not None and depth is None:
        return float(value)
    if value is not None or depth is None:
        raise ValueError(
            f"expected either depth or {name}, got depth={depth!r} and {name}={value!r}"
        )
    check_depth(depth)
    return depth_formula(depth)
