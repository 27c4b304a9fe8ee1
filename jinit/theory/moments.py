"""Moments of an activation of normal inputs, and the gain that keeps the second moment."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.theory.checks import check_variance
from jinit.theory.normal_means import ActivationFunction, activation_means
from jinit.theory.quadrature import normal_mean

_T = TypeVar("_T")
# A variance below this fraction of E[φ²] is rounding error.
_ROUNDING_SHARE = 1e-28


@dataclass(frozen=True)
class Moments:
    """Moments of φ(h), where h is normal with mean 0 and variance q.

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
    """E[φ'²] of JAX's derivative, which is zero across a jump; infinite if it has no mean.

    For a gated unit, the mean over its two arguments.
    """
    q: float
    """Variance of the pre-activation h."""

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
        """√q / std(φ): the factor that keeps the variance if the mean is subtracted."""
        if self.variance <= _ROUNDING_SHARE * self.second:
            raise ValueError(
                "gamma: this activation is constant, so that no factor gives it a variance"
            )
        return math.sqrt(self.q) / self.std

    @property
    def chi(self) -> float:
        """χ₁ = gain² E[φ'²], the growth of squared gradients per layer under that gain."""
        return self.gain**2 * self.slope2


def moments(phi: ActivationFunction, q: float = 1.0) -> Moments:
    """Return the moments of the activation `phi` of normal pre-activations of variance `q`.

    Args:
      phi: a JAX function of one number, or of two for a gated unit such as
        `lambda a, b: a * jax.nn.silu(b)`; `jax.nn.glu` is also accepted as a gated unit.
      q: variance of each pre-activation, above 0.

    Raises:
      ValueError: if `q` is not above 0, or `phi` is zero, is not finite, or grows too fast.
      TypeError: if `phi` does not map numbers to a number.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, section 3.

    >>> import jax
    >>> round(moments(jax.nn.tanh).gain, 6)
    1.592537
    """
    return _moments(phi, check_variance("q", q))


def gain(phi: ActivationFunction, q: float = 1.0) -> float:
    """Return the factor that keeps the second moment of a signal, √(q / E[φ(√q z)²]).

    z is standard normal.

    Args:
      phi: a JAX function of one number, or of two for a gated unit; see `moments`.
      q: variance of each pre-activation, above 0.

    Raises:
      ValueError: if `q` is not above 0, or `phi` is zero, is not finite, or grows too fast.
      TypeError: if `phi` does not map numbers to a number.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, section 3.

    >>> import jax
    >>> round(gain(jax.nn.relu) ** 2, 9)
    2.0
    """
    return moments(phi, q).gain


def apply_to_activation(
    function: Callable[..., _T], phi: ActivationFunction, *numbers: float
) -> _T:
    """Return `function(phi, *numbers)` for an activation of one number; errors name `phi`.

    Raises:
      TypeError: if `phi` does not map one number to one number.
      ValueError: if `function` raises it.
    """
    scalar, arguments = _scalar_form(phi)
    if arguments != 1:
        raise TypeError(
            f"the activation {_activation_name(phi)} takes two numbers, and mean-field theory is "
            "for activations of one: pass one such as jax.nn.gelu"
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # steep functions have infinite means
            return function(scalar, *numbers)
    except ValueError as error:
        raise ValueError(
            f"the activation {_activation_name(phi)} with q={numbers[0]:g}: {error}"
        ) from error


@lru_cache(maxsize=256)
def _moments(phi: ActivationFunction, q: float) -> Moments:
    scalar, arguments = _scalar_form(phi)
    if arguments == 1:
        means = apply_to_activation(activation_means, phi, q)
        result = Moments(
            mean=means.mean,
            second=means.second,
            variance=means.variance,
            slope2=means.slope2,
            q=q,
        )
    else:
        result = _gate_moments(phi, scalar, arguments, q)
    if result.second == 0:
        raise ValueError(
            f"the activation {_activation_name(phi)} with q={q:g} is zero everywhere, so that no "
            "gain keeps a signal: check the function, or pass a larger q if it has a dead zone"
        )
    return result


def _gate_moments(
    phi: ActivationFunction, scalar: Callable[..., Array], arguments: int, q: float
) -> Moments:
    std = math.sqrt(q)

    def integrand(*z: Array) -> Array:
        h = tuple(std * number for number in z)
        value, slopes = jax.value_and_grad(scalar, argnums=tuple(range(arguments)))(*h)
        return jnp.stack([value, value**2, sum(slope**2 for slope in slopes) / arguments])

    try:
        mean, second, slope2 = map(float, normal_mean(integrand, arguments))
    except ValueError as error:
        raise ValueError(f"the activation {_activation_name(phi)} with q={q:g}: {error}") from error
    return Moments(
        mean=mean, second=second, variance=max(second - mean**2, 0.0), slope2=slope2, q=q
    )


@lru_cache(maxsize=256)
def _scalar_form(phi: ActivationFunction) -> tuple[Callable[..., Array], int]:
    """Return φ as a function of scalars, and the number of its arguments."""
    if not callable(phi):
        raise TypeError(f"expected an activation such as jax.nn.gelu, got {phi!r}")
    if isinstance(phi, np.ufunc):
        raise TypeError(_numpy_error(phi))

    def gate_function(a: Array, b: Array) -> Array:
        return phi(jnp.stack([a, b])).reshape(())

    reasons = []
    for function, arguments in ((phi, 1), (phi, 2), (gate_function, 2)):
        reason = _signature_error(function, arguments)
        if not reason:
            return function, arguments
        reasons.append(reason)
    raise TypeError(
        f"the activation {_activation_name(phi)} must take one number (two, for a gated unit) to "
        "one real number; a map of a whole layer, such as a softmax, has no gain. "
        f"Called with one number: {reasons[0]}"
    )


def _signature_error(function: Callable[..., Array], arguments: int) -> str:
    """Return why `function` is not a real function of `arguments` scalars, or an empty string."""
    number = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        # The lambda is needed: jaxlib 0.10.2 crashes on the second trace of one NumPy ufunc.
        result = jax.eval_shape(lambda *numbers: function(*numbers), *[number] * arguments)
    except jax.errors.TracerArrayConversionError:
        raise TypeError(_numpy_error(function)) from None
    except (TypeError, ValueError, IndexError, AssertionError) as error:
        return str(error).partition("\n")[0] or type(error).__name__
    is_scalar = isinstance(result, jax.ShapeDtypeStruct) and result.shape == ()
    is_real = is_scalar and jnp.issubdtype(result.dtype, jnp.floating)
    return "" if is_real else f"it returns {result}"


def _numpy_error(phi: ActivationFunction) -> str:
    name = _activation_name(phi)
    replacement = (
        f"jax.numpy.{name}" if hasattr(jnp, name) else "functions of jax.numpy, jax.nn or jax.scipy"
    )
    return (
        f"the activation {name} calls NumPy, which JAX cannot trace or differentiate: use "
        f"{replacement} instead"
    )


def _activation_name(phi: ActivationFunction) -> str:
    return getattr(phi, "__name__", repr(phi))
