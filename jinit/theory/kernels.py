"""Kernels of wide networks: what an activation makes of a covariance, and the tangent kernel."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.theory.moments import Activation, named_mean
from jinit.theory.normals import at_normal, cut, means, pair_means, seen


class Dual(NamedTuple):
    """E[φ(u)φ(v)] and its derivative by the covariance, u and v jointly normal."""

    value: float
    """Σ."""
    slope: float
    """Σ̇ = E[φ'(u)φ'(v)]."""


class TangentKernel(NamedTuple):
    """Of two inputs of equal norm, at the output of a wide network."""

    diagonal: float
    """Θ(x, x)."""
    off_diagonal: float
    """Θ(x, y)."""
    ratio: float
    """Θ(x, y) / Θ(x, x)."""


def dual(phi: Activation, k11: float, k12: float, k22: float) -> Dual:
    r"""What φ makes of a covariance, `Σ = E[φ(u)φ(v)]` and `Σ̇ = E[φ'(u)φ'(v)]`.

    u and v are normal with mean 0, variances `k11`, `k22` and covariance `k12`. In closed form for
    jax.nn.relu, jax.numpy.abs, sin and sign and for erf, by quadrature to 1e-12 otherwise.

    Args:
      phi: a JAX function of one number; a jump has no slope, except that of sign.

    Raises:
      ValueError: no covariance (k12² > k11 k22, a variance not above 0), or `phi` has no mean.

    Reference: Daniely, Frostig & Singer, "Toward deeper understanding of neural networks", 2016,
    section 4.2; Cho & Saul, "Kernel methods for deep learning", 2009; Williams, "Computing with
    infinite networks", 1997.

    >>> import jax, math
    >>> found = dual(jax.nn.relu, 1.0, 0.0, 1.0)
    >>> round(found.value * 2 * math.pi, 12), found.slope
    (1.0, 0.25)
    """
    k11, k12, k22 = map(float, (k11, k12, k22))
    if not (0 < k11 < math.inf and 0 < k22 < math.inf):
        raise ValueError(f"dual: expected variances above 0, got k11={k11!r}, k22={k22!r}")
    most = math.sqrt(k11) * math.sqrt(k22)
    c = k12 / most
    if not abs(c) <= 1 + 1e-12:
        raise ValueError(f"dual: k12={k12!r} is no covariance of variances {k11!r} and {k22!r}")
    c = min(max(c, -1.0), 1.0)
    closed = _CLOSED.get(phi)
    if closed:
        return closed(k11, c * most, k22)
    _without_jumps("dual", phi)
    return Dual(*named_mean(pair_means, phi, k11, k22, c))


def ntk(
    phi: Activation,
    depth: int,
    c: float,
    q: float = 1.0,
    *,
    sigma_w2: float | None = None,
    sigma_b2: float = 0.0,
) -> TangentKernel:
    r"""Neural tangent kernel of two inputs after `depth` hidden layers.

    `K' = σ_w² Σ(K) + σ_b²` and `Θ' = K' + σ_w² Σ̇(K) Θ`, beginning with Θ = K.

    Args:
      depth: hidden layers, at least 0. c: correlation of the inputs.
      q: their variance.
      sigma_w2: fan-in times the variance of the weights; None for q / E[φ²], which keeps `q`.

    Raises:
      ValueError: `depth` below zero, a variance out of range, a signal that vanishes or explodes
        on its way, or what `dual` raises.

    Reference: Jacot, Gabriel & Hongler, "Neural tangent kernel", 2018, theorem 1.

    >>> import jax
    >>> round(ntk(jax.nn.relu, 1000, 0.0).ratio, 2)
    0.25
    """
    if depth < 0:
        raise ValueError(f"depth: expected at least 0 hidden layers, got {depth!r}")
    q, gain2 = float(q), sigma_w2
    if not (0 < q < math.inf and -1 <= c <= 1):
        raise ValueError(f"ntk: expected q above 0 and c from -1 to 1, got q={q!r}, c={c!r}")
    if not (0 <= sigma_b2 < math.inf and (gain2 is None or 0 < gain2 < math.inf)):
        raise ValueError(
            f"ntk: expected sigma_w2 above 0, sigma_b2 of at least 0, got {gain2!r}, {sigma_b2!r}"
        )
    gain2 = q / named_mean(means, phi, q).second if gain2 is None else gain2
    here, between = q, c * q
    theta, theta_between = here, between
    for layer in range(depth):
        if not 1e-300 < here < 1e150:
            raise ValueError(f"ntk: after {layer} layers the signal has variance {here:.3g}")
        alone, pair = dual(phi, here, here, here), dual(phi, here, between, here)
        here, between = (gain2 * each.value + sigma_b2 for each in (alone, pair))
        between = min(max(between, -here), here)
        theta = here + gain2 * alone.slope * theta
        theta_between = between + gain2 * pair.slope * theta_between
    return TangentKernel(theta, theta_between, theta_between / theta)


def ntk_condition_number(phi: Activation, points: int, depth: int | None = None) -> float:
    """Condition number of the tangent kernel of so many inputs, of equal norm and uncorrelated.

    With the ratio r of off-diagonal and diagonal it is `(1 + (m - 1) r) / (1 - r)`.

    Args:
      points: inputs m, at least 1.
      depth: hidden layers; None for the limit of depth at criticality, where r is 1/4 for
        activations with a kink and 1/3 for smooth ones.

    Raises:
      ValueError: `points` or `depth` out of range; a `phi` that jumps.

    Reference: Xiao, Pennington & Schoenholz, "Disentangling trainability and generalization in
    deep neural networks", 2020, section 3.3.

    >>> import jax, jax.numpy as jnp
    >>> ntk_condition_number(jax.nn.relu, 9), ntk_condition_number(jnp.tanh, 8)
    (4.0, 5.0)
    """
    if not (points >= 1 and points == int(points)):
        raise ValueError(f"points: expected at least 1 input, got {points!r}")
    if depth is None:
        bends = _without_jumps("ntk_condition_number", phi)
        if points == 1 or _is_linear(phi):
            return 1.0
        return (points + 3) / 3 if bends else (points + 2) / 2
    ratio = ntk(phi, depth, 0.0).ratio
    return (1 + (points - 1) * ratio) / (1 - ratio)


def _is_linear(phi: Activation) -> bool:
    """Whether its slope is the same everywhere: then inputs stay as uncorrelated as they are."""
    _, weights, _, slope = named_mean(at_normal, phi, 1.0)
    return bool(weights @ (slope - weights @ slope) ** 2 <= 1e-20 * (weights @ slope**2))


def _without_jumps(name: str, phi: Activation) -> bool:
    """Whether the slope of an activation jumps, which itself does not."""
    function, kinks = named_mean(seen, phi, 1.0).function, named_mean(cut, phi, 1.0).kinks
    for kink in kinks:
        near = 1e-9 * max(1.0, abs(kink))
        (below, _), (above, _) = function(kink + near * np.array([-1.0, 1.0]))
        if abs(above - below) > 1e-6 * max(abs(above), abs(below)) + 4 * near:
            raise ValueError(
                f"{name}: this activation jumps at {kink:.6g}; its slope, and so its tangent "
                "kernel, is infinite there"
            )
    return len(kinks) > 0


def _piecewise_linear(below: float, above: float) -> Callable[[float, float, float], Dual]:
    """a min(x, 0) + b max(x, 0)."""
    squares, jump = (below**2 + above**2) / 2, (above - below) ** 2 / (2 * math.pi)

    def of(k11: float, k12: float, k22: float) -> Dual:
        left = math.sqrt(max(k11 * k22 - k12**2, 0.0))
        slope = squares - jump * math.atan2(left, k12)
        return Dual(jump * left + slope * k12, slope)

    return of


def _of_erf(k11: float, k12: float, k22: float) -> Dual:
    most = (1 + 2 * k11) * (1 + 2 * k22)
    value = 2 / math.pi * math.asin(2 * k12 / math.sqrt(most))
    return Dual(value, 4 / math.pi / math.sqrt(most - 4 * k12**2))


def _of_sin(k11: float, k12: float, k22: float) -> Dual:
    half = (k11 + k22) / 2
    near, far = math.exp(k12 - half), math.exp(-k12 - half)
    return Dual((near - far) / 2, (near + far) / 2)


def _of_sign(k11: float, k12: float, k22: float) -> Dual:
    left = math.sqrt(max(k11 * k22 - k12**2, 0.0))
    slope = 2 / (math.pi * left) if left else math.inf
    return Dual(1 - 2 * math.atan2(left, k12) / math.pi, slope)


_CLOSED: dict[Activation, Callable[[float, float, float], Dual]] = {
    jax.nn.relu: _piecewise_linear(0, 1),
    jnp.abs: _piecewise_linear(-1, 1),
    jax.scipy.special.erf: _of_erf,
    jax.lax.erf: _of_erf,
    jnp.sin: _of_sin,
    jnp.sign: _of_sign,
}
