"""What an activation makes of a normal signal: its moments, and the gain that undoes them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jinit.theory.normals import means
from jinit.theory.quadrature import normal_mean

Activation = Callable[..., Any]
T = TypeVar("T")
# Of the mean square: a variance below this share is that of a constant.
_ROUNDING = 1e-28


@dataclass(frozen=True)
class Moments:
    """Moments of φ(h), h normal with mean 0 and variance q.

    >>> import jax
    >>> m = moments(jax.nn.relu)
    >>> round(m.mean, 6), round(m.second, 6), round(m.gain, 6), round(m.chi, 6)
    (0.398942, 0.5, 1.414214, 1.0)
    """

    mean: float
    """E[φ]."""
    second: float
    """E[φ²]."""
    variance: float
    """E[(φ - E[φ])²]."""
    slope2: float
    """E[φ'²]; of a gated unit the mean over its arguments."""
    q: float

    @property
    def std(self) -> float:
        """Standard deviation of φ."""
        return math.sqrt(self.variance)

    @property
    def gain(self) -> float:
        """√(q / E[φ²]): weights of variance gain²/fan_in keep the second moment q."""
        return math.sqrt(self.q / self.second)

    @property
    def gamma(self) -> float:
        """√q / std(φ): what keeps the variance, if the mean is taken off."""
        if self.variance <= _ROUNDING * self.second:
            raise ValueError("gamma: this activation is constant; no factor gives it a variance")
        return math.sqrt(self.q) / self.std

    @property
    def chi(self) -> float:
        """χ₁ = gain² E[φ'²], the growth of squared gradients per layer under that gain."""
        return self.gain**2 * self.slope2


def moments(phi: Activation, q: float = 1.0) -> Moments:
    """Moments of the activation `phi` under a normal pre-activation of variance `q`.

    Args:
      phi: a JAX function of one scalar, or of two for a gated unit such as
        `lambda a, b: a * jax.nn.silu(b)`; `jax.nn.glu`, which halves its input, is one as well.
      q: variance of each pre-activation, > 0.

    Raises:
      ValueError: `q` not above zero, or a `phi` that is zero, not finite, or grows too fast.
      TypeError: `phi` does not take scalars to a scalar.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, section 3.

    >>> import jax
    >>> round(moments(jax.nn.tanh).gain, 6)
    1.592537
    """
    if not 0 < q < math.inf:
        raise ValueError(f"q: expected a finite variance above 0, got {q!r}")
    return _moments(phi, float(q))


def gain(phi: Activation, q: float = 1.0) -> float:
    """√(q / E[φ(√q z)²]), z standard normal: the factor that keeps the second moment of a signal.

    Args and errors: see `moments`.

    >>> import jax
    >>> round(gain(jax.nn.relu) ** 2, 9)
    2.0
    """
    return moments(phi, q).gain


def named_mean(mean: Callable[..., T], phi: Activation, *numbers: float) -> T:
    """A mean from `jinit.theory.normals` of an activation of one number; errors name it.

    Raises:
      TypeError: `phi` takes no single number to another.
      ValueError: the mean does not exist.
    """
    scalar, arguments = _scalar(phi)
    if arguments != 1:
        raise TypeError(
            f"the activation {_name(phi)} takes two numbers, for which there is no mean-field "
            "theory here: give one that takes one"
        )
    try:
        return mean(scalar, *numbers)
    except ValueError as error:
        raise ValueError(f"the activation {_name(phi)} with q={numbers[0]:g}: {error}") from error


@lru_cache(maxsize=256)
def _moments(phi: Activation, q: float) -> Moments:
    scalar, arguments = _scalar(phi)
    if arguments == 1:
        mean, second, variance, slope2, _ = named_mean(means, phi, q)
    else:
        mean, second, slope2 = _of_gate(phi, scalar, arguments, q)
        variance = max(second - mean**2, 0.0)
    if second == 0:
        raise ValueError(f"the activation {_name(phi)} is zero everywhere: no gain undoes that")
    return Moments(mean, second, variance, slope2, q)


def _of_gate(
    phi: Activation, scalar: Callable[..., Array], arguments: int, q: float
) -> tuple[float, ...]:
    width = math.sqrt(q)

    def integrand(*z: Array) -> Array:
        h = tuple(width * each for each in z)
        value, slopes = jax.value_and_grad(scalar, argnums=tuple(range(arguments)))(*h)
        return jnp.stack([value, value**2, sum(slope**2 for slope in slopes) / arguments])

    try:
        return tuple(float(each) for each in normal_mean(integrand, arguments))
    except ValueError as error:
        raise ValueError(f"the activation {_name(phi)} with q={q:g}: {error}") from error


@lru_cache(maxsize=256)
def _scalar(phi: Activation) -> tuple[Callable[..., Array], int]:
    """φ as a function of scalars, and of how many."""
    if not callable(phi):
        raise TypeError(f"expected an activation such as jax.nn.gelu, got {phi!r}")

    def halving(a: Array, b: Array) -> Array:
        return phi(jnp.stack([a, b])).reshape(())

    reasons = []
    for function, arguments in ((phi, 1), (phi, 2), (halving, 2)):
        reason = _refusal(function, arguments)
        if not reason:
            return function, arguments
        reasons.append(reason)
    raise TypeError(
        f"the activation {_name(phi)} must take one number (two, for a gated unit) to one real "
        f"number; a map of a whole layer, such as a softmax, has no gain. Seen: {reasons[0]}"
    )


def _refusal(function: Callable[..., Array], arguments: int) -> str:
    """Why this is no real function of so many scalars; empty if it is one."""
    number = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        result = jax.eval_shape(function, *[number] * arguments)
    except (TypeError, ValueError, IndexError, AssertionError) as error:
        return str(error).partition("\n")[0] or type(error).__name__
    scalar = isinstance(result, jax.ShapeDtypeStruct) and result.shape == ()
    real = scalar and jnp.issubdtype(result.dtype, jnp.floating)
    return "" if real else f"from a scalar it makes {result}"


def _name(phi: Activation) -> str:
    return getattr(phi, "__name__", repr(phi))
