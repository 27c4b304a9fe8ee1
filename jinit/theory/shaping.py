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
from scipy import optimize

from jinit.theory.moments import Activation, named_mean
from jinit.theory.normals import at_nodes, cut

# Scales and shifts of the input from which solutions are sought, the mildest first.
_SCALES = (1.0, 0.5, 0.2, 0.1, 0.05, 2.0)
_SHIFTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
_SOLVED = 1e-10


@dataclass(frozen=True)
class Shaped:
    """The activation `output_scale · (φ(input_scale · x + input_shift) + output_shift)`."""

    phi: Activation
    input_scale: float
    input_shift: float
    output_scale: float
    output_shift: float

    def __call__(self, x: Array) -> Array:
        """Entry by entry."""
        inside = self.phi(self.input_scale * x + self.input_shift)
        return self.output_scale * (inside + self.output_shift)


def dks(
    phi: Activation, *, depth: int | None = None, slope: float | None = None, zeta: float = 1.5
) -> Shaped:
    r"""Deep kernel shaping: φ made so that `Q(1) = 1, Q'(1) = 1, C(0) = 0, C'(1) = slope`.

    Q maps the variances and C the correlations of a layer with σ_w² = 1 and no biases.

    Args:
      phi: a continuous JAX function of one number that is no straight line.
      depth: layers of a plain network; the slope of each is ζ^(1/depth), that of all ζ.
      slope: C'(1) of each layer, above 1, in place of `depth`.
      zeta: C'(1) of the whole network, above 1.

    Raises:
      ValueError: neither or both of depth and slope, a slope not above 1, or no solution.

    Reference: Martens et al., "Rapid training of deep neural networks without skip connections or
    normalization layers using deep kernel shaping", 2021, section 8.

    >>> import jax.numpy as jnp
    >>> from jinit.theory import moments
    >>> found = moments(dks(jnp.tanh, depth=50))
    >>> round(found.second, 9), round(found.slope2**50, 6), abs(found.mean) < 1e-9
    (1.0, 1.5, True)
    """
    _above("zeta", zeta, 1)
    wanted = _each("slope", slope, depth, lambda layers: zeta ** (1 / layers))
    _above("slope", wanted, 1)

    def outputs(found: _Inside) -> tuple[float, float]:
        return 1 / found.std, -found.mean

    def missing(found: _Inside, scale: float, shift: float) -> tuple[float, float]:
        slope = found.slope2 / found.std**2
        return found.growth(scale, shift) - 1, (slope - wanted) / (wanted - 1)

    return _solved(f"dks with slope {wanted:g}", phi, [outputs], missing)


def tat(
    phi: Activation, *, depth: int | None = None, curvature: float | None = None, tau: float = 0.3
) -> Shaped:
    r"""Tailored activation transformation: `Q(1) = 1, Q'(1) = 1, C'(1) = 1, C''(1) = curvature`.

    Args:
      phi: a smooth JAX function of one number; for leaky relus see `tat_leaky_slope`.
      depth: layers of a plain network; the curvature of each is τ/depth, that of all τ.
      curvature: C''(1) of each layer, above 0, in place of `depth`.
      tau: C''(1) of the whole network.

    Raises:
      ValueError: neither or both of depth and curvature, one not above 0, a `phi` with kinks, or
        no solution.

    Reference: Zhang, Botev & Martens, "Deep learning without shortcuts: shaping the kernel with
    tailored rectifiers", 2022, section 4.

    >>> import jax.numpy as jnp
    >>> from jinit.theory import moments
    >>> found = moments(tat(jnp.tanh, depth=50))
    >>> round(found.second, 9), round(found.slope2, 9)
    (1.0, 1.0)
    """
    _above("tau", tau, 0)
    wanted = _each("curvature", curvature, depth, lambda layers: tau / layers)
    _above("curvature", wanted, 0)
    if len(named_mean(cut, phi, 1.0).kinks):
        raise ValueError(
            "tat: this activation has a kink, its curvature is infinite; for leaky relus the slope "
            "of the negative half is shaped, see tat_leaky_slope"
        )

    def outputs(sign: int) -> Callable[[_Inside], tuple[float, float]]:
        def of(found: _Inside) -> tuple[float, float]:
            shift = sign * math.sqrt(max(found.slope2 - found.std**2, 0.0)) - found.mean
            return 1 / math.sqrt(found.slope2), shift

        return of

    def missing(found: _Inside, scale: float, shift: float) -> tuple[float, float]:
        outside = max(found.std**2 / found.slope2 - 1, 0.0)  # C'(1) = 1 would need more than Q(1)
        curvature = found.bend2 / found.slope2
        return found.growth(scale, shift) - 1 + outside, curvature / wanted - 1

    name = f"tat with curvature {wanted:g}"
    return _solved(name, phi, [outputs(1), outputs(-1)], missing)


def tat_leaky_slope(depth: int, eta: float = 0.9) -> float:
    r"""Slope α of a leaky relu's negative half for a plain network of this depth.

    `C_α(c) = c + (1-α)²/(π(1+α²)) (√(1-c²) - c arccos c)`, applied `depth` times to 0, makes η.
    The layer is `√(2/(1+α²)) · leaky_relu(x, α)`.

    Args:
      depth: layers, at least 1. eta: between 0 and 1, the correlation that orthogonal inputs get.

    Raises:
      ValueError: out of range, or a network so shallow that no slope in [0, 1] reaches η.

    Reference: Zhang, Botev & Martens 2022, section 3.

    >>> round(tat_leaky_slope(20), 8)
    0.18138028
    """
    if not (depth >= 1 and 0 < eta < 1):
        raise ValueError(f"expected depth >= 1 and 0 < eta < 1, got {depth!r} and {eta!r}")

    def reached(alpha: float) -> float:
        angle = math.pi / 2
        share = (1 - alpha) ** 2 / (math.pi * (1 + alpha**2))
        for _ in range(depth):
            c = math.cos(angle)
            angle = math.acos(min(c + share * (math.sin(angle) - c * angle), 1.0))
        return math.cos(angle)

    if reached(0.0) < eta:
        raise ValueError(
            f"tat_leaky_slope: {depth} layers of relu bring orthogonal inputs to a correlation of "
            f"{reached(0.0):.3f}, leaky ones to less; ask for eta at most that, or for more layers"
        )
    return optimize.root_scalar(
        lambda alpha: reached(alpha) - eta, bracket=[0.0, 1.0], xtol=1e-14, rtol=1e-13
    ).root


class _Inside(NamedTuple):
    """g(z) = φ(input_scale · z + input_shift) of a standard normal z, before it is scaled."""

    z: np.ndarray
    weights: np.ndarray
    value: np.ndarray
    slope2: float
    """E[g'²]."""
    bend2: float
    """E[g''²]."""

    @property
    def mean(self) -> float:
        return float(self.weights @ self.value)

    @property
    def std(self) -> float:
        return math.sqrt(float(self.weights @ (self.value - self.mean) ** 2))

    def growth(self, scale: float, shift: float) -> float:
        """∂Q/∂q at q = 1 of `scale · (g + shift)`, by parts."""
        output = scale * (self.value + shift)
        return float(self.weights @ (output**2 * (self.z**2 - 1))) / 2


def _inside(phi: Activation, scale: float, shift: float) -> _Inside:
    edges = (cut(phi, 1.0).edges - shift) / scale
    z, weights, (value, slope) = at_nodes(phi, edges, scale, shift)
    _, _, (_, bend) = at_nodes(_slope_of(phi), edges, scale, shift)
    return _Inside(
        *(z, weights, value, float(weights @ (scale * slope) ** 2)),
        float(weights @ (scale**2 * bend) ** 2),
    )


@lru_cache(maxsize=64)
def _slope_of(phi: Activation) -> Activation:
    return jax.grad(phi)


def _solved(
    name: str,
    phi: Activation,
    outputs: list[Callable[[_Inside], tuple[float, float]]],
    missing: Callable[[_Inside, float, float], tuple[float, float]],
) -> Shaped:
    """The first solution that is found from a grid of starts."""
    named_mean(cut, phi, 1.0)  # errors of an activation that has no means
    for output, start in itertools.product(outputs, _starts()):

        def residual(place: np.ndarray, output: Callable = output) -> tuple[float, float]:
            found = _inside(phi, math.exp(min(max(place[0], -12.0), 4.0)), place[1])
            if not (found.slope2 > 0 and found.std > 0):
                return 1e3, 1e3
            return missing(found, *output(found))

        found = optimize.root(residual, start, method="hybr", tol=1e-13)
        if np.abs(found.fun).max() < _SOLVED and found.x[0] < 4:
            scale, shift = math.exp(found.x[0]), float(found.x[1])
            return Shaped(phi, scale, shift, *output(_inside(phi, scale, shift)))
    raise ValueError(
        f"{name}: no scales and shifts of this activation do that; relu and straight lines cannot, "
        "others may for another depth"
    )


def _starts() -> Iterator[np.ndarray]:
    for scale, shift in itertools.product(_SCALES, _SHIFTS):
        yield np.array([math.log(scale), shift])


def _each(name: str, given: float | None, depth: int | None, of: Callable[[int], float]) -> float:
    """What each layer needs: as given, or of the depth."""
    if given is not None and depth is None:
        return float(given)
    if given is not None or depth is None:
        raise ValueError(f"expected either depth or {name}, got {depth!r} and {given!r}")
    if depth < 1:
        raise ValueError(f"depth: expected at least 1 layer, got {depth!r}")
    return of(depth)


def _above(name: str, value: float, bound: float) -> None:
    if not bound < value < math.inf:
        raise ValueError(f"{name}: expected more than {bound}, got {value!r}")
