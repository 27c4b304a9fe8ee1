"""Embedding tables and sinusoidal positional encodings."""

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.choice import check_choice
from jinit.initializers.base import (
    DTypeOption,
    Initializer,
    check_finite,
    check_integer,
    check_positive,
    check_rank,
    dtype_name,
)
from jinit.initializers.fans import axis_index
from jinit.initializers.marginals import Marginal, normal_marginal, sphere_marginal
from jinit.sampling import draw_normal, pin_rounding, round_to_dtype, sampling_dtypes

PositionLayout = Literal["interleaved", "concatenated"]

_LAYOUTS: tuple[PositionLayout, ...] = ("interleaved", "concatenated")
# 1 / 2π. With 60 digits the angles of 10⁵ positions are far more accurate than float64.
_TURNS_PER_RADIAN = Decimal("0.159154943091895335768883763372514362034459645740456448747667")


@dataclass(frozen=True, repr=False)
class SmallInit(Initializer):
    """Normal with Xavier's standard deviation for a layer from d to 4 d features."""

    name = "small_init"
    variance_formula = "2 / (5 features)"
    axis: int = -1

    def std(self, shape: tuple[int, ...]) -> float:
        """Return the standard deviation of an entry."""
        features = shape[axis_index(self.name, "axis", self.axis, shape)]
        return math.sqrt(2 / (5 * max(features, 1)))

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the normal distribution with the standard deviation of this shape."""
        return normal_marginal(0.0, self.std(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw normal entries with the standard deviation of this shape."""
        return draw_normal(key, shape, dtype, scale=self.std(shape))


@dataclass(frozen=True, repr=False)
class UnitRows(Initializer):
    """Vectors along the last axis, each uniformly distributed on a sphere."""

    name = "unit_rows"
    variance_formula = "scale² / features"
    scale: float = 1.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the distribution of a coordinate of a random direction."""
        check_rank(self.name, shape, 1, "a table (..., features)")
        return sphere_marginal(shape[-1], self.scale) if shape[-1] >= 2 else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw normal vectors, divide them by their lengths, and multiply by the radius."""
        check_rank(self.name, shape, 1, "a table (..., features)")
        draw_dtype, _ = sampling_dtypes(dtype, self.name)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return _draw_unit_rows(key, np.asarray(self.scale, draw_dtype), shape, dtype)


@dataclass(frozen=True, repr=False)
class Sinusoidal(Initializer):
    """Sines and cosines of the position, at frequencies in a decreasing geometric sequence."""

    name = "sinusoidal"
    max_period: float = 10_000.0
    layout: PositionLayout = "interleaved"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the table, broadcast over the leading axes; the key is not used."""
        del key
        check_rank(self.name, shape, 2, "a table (..., positions, features)")
        positions, features = shape[-2:]
        if features % 2:
            raise ValueError(
                f"sinusoidal: {features} features (shape {shape}) do not divide into pairs of a "
                "sine and a cosine: use an even number, and drop a column if you need an odd one"
            )
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        draw_dtype = np.dtype(np.float64 if dtype in (np.float64, np.complex128) else np.float32)
        # Waves at position `width · i + j` follow from those at `width · i` and at `j`.
        width = math.isqrt(positions - 1) + 1
        turns = _turns_per_position(self.max_period, features // 2)
        fine = _split_waves(np.arange(width), turns, draw_dtype)
        coarse = _split_waves(width * np.arange(-(-positions // width)), turns, draw_dtype)
        return _position_table(coarse, fine, shape, self.layout, dtype)


def small_init(axis: int = -1, dtype: DTypeOption = None) -> SmallInit:
    """Return an initializer of normal entries with standard deviation `√(2 / (5 d))`.

    d is the number of features. That is Xavier's rule `√(2 / (d + 4 d))` for the widest layer of a
    transformer, used for all of its matrices.

    Args:
      axis: the axis of the features.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `axis` is not an integer.
      ValueError: when called, if the shape does not have that axis.

    Reference: Nguyen & Salazar, "Transformers without tears: improving the normalization of
    self-attention", 2019, section 2.2.

    >>> import jax
    >>> table = small_init()(jax.random.key(0), (1000, 40))
    >>> bool(abs(table.std() - 0.1) < 0.002)
    True
    """
    return SmallInit(check_integer("axis", axis), dtype=dtype_name(dtype))


def unit_rows(scale: float = 1.0, dtype: DTypeOption = None) -> UnitRows:
    """Return an initializer of independent vectors, uniform on the sphere of radius `scale`.

    The vectors along the last axis are `scale · z / ‖z‖` with z standard normal: all of equal
    length, and isotropically distributed. If the last axis has size 1, the entries are `±scale`.

    Args:
      scale: length of every vector, > 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number; when called, if the dtype is not real.
      ValueError: if `scale` is not positive; when called, if the shape has no axes.

    Reference: Muller, "A note on a method for generating points uniformly on n-dimensional
    spheres", 1959.

    >>> import jax, jax.numpy as jnp
    >>> table = unit_rows(3.0)(jax.random.key(0), (100, 16))
    >>> bool(jnp.allclose(jnp.linalg.norm(table, axis=-1), 3))
    True
    """
    return UnitRows(check_positive("scale", scale), dtype=dtype_name(dtype))


def sinusoidal(
    max_period: float = 10_000.0,
    layout: PositionLayout = "interleaved",
    dtype: DTypeOption = None,
) -> Sinusoidal:
    r"""Return an initializer of sinusoidal position tables `(..., positions, features)`.

    The key is not used. Pair i of row p consists of `sin(p / max_period^(2i/d))` and the cosine
    of the same angle, with d features: wavelengths from 2π to nearly `2π max_period`. The angle is
    reduced exactly, so all rows are equally accurate: float32 is the true value, rounded, to
    within 10⁻¹⁰; float64 is within 10⁻¹⁵.

    Args:
      max_period: ratio of the longest wavelength to the shortest one, at least 1.
      layout: "interleaved" (sin, cos, sin, cos, ...) or "concatenated" (all sines, all cosines).
      dtype: default dtype of the result.

    Raises:
      TypeError: if `max_period` is not a number.
      ValueError: if `max_period` is less than 1 or `layout` is unknown; when called, if the shape
        has fewer than two axes, or an odd number of features.

    Reference: Vaswani et al., "Attention is all you need", 2017, section 3.5.

    >>> import jax
    >>> table = sinusoidal()(jax.random.key(0), (50, 6))
    >>> bool((abs(table[:, ::2] ** 2 + table[:, 1::2] ** 2 - 1) < 1e-6).all())
    True
    """
    if (period := check_finite("max_period", max_period)) < 1:
        raise ValueError(
            f"max_period: expected at least 1, got {max_period!r}; it is the ratio of the longest "
            "wavelength to the shortest one"
        )
    return Sinusoidal(period, check_choice("layout", layout, _LAYOUTS), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3))
def _draw_unit_rows(key: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    vectors = draw_normal(key, shape, scale.dtype)
    # No entry is zero: the uniform numbers of the normal draw are odd multiples of a fixed step.
    if shape[-1] == 1:
        return round_to_dtype(lax.sign(vectors) * scale, dtype)
    # XLA replaces the division of a row by one number with a product with its inverse, except if a
    # shard holds a single entry of the row. An explicit inverse gives equal bits in both cases.
    squares = _row_sums(_rounded_product(vectors, vectors))
    inverse = pin_rounding(1 / pin_rounding(lax.sqrt(squares)))
    return round_to_dtype(pin_rounding(vectors * inverse) * scale, dtype)


def _row_sums(values: Array) -> Array:
    """Return the sums along the last axis, kept with size 1, in an order that no mesh changes.

    The order of additions in a reduction depends on its tiles and shards. Here the upper half of
    the axis is added to the lower half until one entry is left: elementwise additions have a
    fixed order.
    """
    while (size := values.shape[-1]) > 1:
        half = (size + 1) // 2
        upper = values[..., half:]
        if size % 2:
            upper = jnp.concatenate([upper, jnp.zeros_like(values[..., :1])], axis=-1)
        values = values[..., :half] + upper
    return values


class _Turns(NamedTuple):
    """Angles per position, one for each pair, in units of 2⁻⁶⁴ of a full turn."""

    units: np.ndarray
    """Whole units, uint64."""
    fractions: np.ndarray
    """Fractions of a unit, float64."""


def _turns_per_position(max_period: float, pairs: int) -> _Turns:
    """Return the angle from one position to the next, for each pair of a sine and a cosine."""
    with localcontext(Context(prec=60)):
        ratio = Decimal(max_period) ** (Decimal(-1) / pairs)
        numbers = [int(_TURNS_PER_RADIAN * ratio**pair * 2**128) for pair in range(pairs)]
    return _Turns(
        units=np.array([number >> 64 for number in numbers], np.uint64),
        fractions=np.array([number % 2**64 / 2**64 for number in numbers]),
    )


def _split_waves(positions: np.ndarray, turns: _Turns, draw_dtype: np.dtype) -> np.ndarray:
    """Return the waves at some positions, each as the sum of a short leading part and a rest.

    Returns:
      Array of shape (2, 2, positions, pairs): leading part and rest, cosine and sine.
    """
    position = positions[:, None]
    fractions = np.floor(position * turns.fractions).astype(np.uint64)
    # Full turns are removed by integer overflow. Quarter turns are removed next, so that the angle
    # to be rounded is within ±π/4.
    angle = position.astype(np.uint64) * turns.units + fractions
    quarters = (angle + np.uint64(2**61)) >> np.uint64(62)
    remainder = (angle - (quarters << np.uint64(62))).view(np.int64) * (2 * math.pi / 2**64)
    wave = np.exp(1j * remainder) * np.array([1, 1j, -1, -1j])[quarters]
    values = np.stack([np.real(wave), np.imag(wave)])
    steps = 2.0 ** (np.finfo(draw_dtype).nmant // 2)
    leading = np.round(values * steps) / steps
    return np.stack([leading, values - leading]).astype(draw_dtype)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _position_table(
    coarse: Array, fine: Array, shape: tuple[int, ...], layout: PositionLayout, dtype: np.dtype
) -> Array:
    position, width = jnp.arange(shape[-2]), fine.shape[-2]
    cosine, sine = jnp.moveaxis(coarse[:, :, position // width], 1, 0)
    step_cosine, step_sine = jnp.moveaxis(fine[:, :, position % width], 1, 0)
    waves = (
        _product_sum((sine, step_cosine), (cosine, step_sine)),
        _product_sum((cosine, step_cosine), (-sine, step_sine)),
    )
    if layout == "interleaved":
        table = jnp.stack(waves, axis=-1).reshape(shape[-2:])
    else:
        table = jnp.concatenate(waves, axis=-1)
    return jnp.broadcast_to(round_to_dtype(table, dtype), shape)


def _product_sum(left: tuple[Array, Array], right: tuple[Array, Array]) -> Array:
    """Return the sum of two products; each factor is the sum of a leading part and a rest.

    Leading parts have half the digits, so their products and the sum of these are exact.
    """
    (a, b), (c, d) = left, right
    exact = a[0] * b[0] + c[0] * d[0]
    rests = _rounded_product(a[0], b[1]) + _rounded_product(a[1], b[0] + b[1])
    return exact + (rests + (_rounded_product(c[0], d[1]) + _rounded_product(c[1], d[0] + d[1])))


def _rounded_product(left: Array, right: Array) -> Array:
    """Return `left · right`, rounded to one bit less than the precision of its dtype.

    Some programs fuse a product and the following addition into one operation with one rounding,
    others do not. Only a rounding that changes the value keeps the two apart in all programs.
    """
    info = jnp.finfo(left.dtype)
    return lax.reduce_precision(left * right, exponent_bits=info.nexp, mantissa_bits=info.nmant - 1)
