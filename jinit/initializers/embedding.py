"""Tables that are looked up by row: token embeddings, and codes of a position."""

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.initializers.base import Initializer, dtype_name, finite, positive
from jinit.initializers.choice import one_of
from jinit.sampling import fence, float_stream, normal, rounded
from jinit.theory import Marginal, frame_law, normal_law

Layout = Literal["interleaved", "concatenated"]

_LAYOUTS: tuple[Layout, ...] = ("interleaved", "concatenated")
# 1 / 2π: with 60 digits, 10⁵ positions still leave their angle exact far beyond float64.
_TURNS_PER_RADIAN = Decimal("0.159154943091895335768883763372514362034459645740456448747667")


@dataclass(frozen=True, repr=False)
class SmallInit(Initializer):
    """Normal with Xavier's standard deviation for a layer from d to 4 d features."""

    name = "small_init"
    spread = "2 / (5 features)"
    axis: int = -1

    def std(self, shape: tuple[int, ...]) -> float:
        """Standard deviation of an entry."""
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(
                f"small_init: axis={self.axis} is not among the axes of shape {shape}; it names "
                "the axis that holds the features"
            )
        return math.sqrt(2 / (5 * max(shape[self.axis], 1)))

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Normal."""
        return normal_law(0.0, self.std(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Normal entries with the standard deviation of this shape."""
        return normal(key, shape, dtype, scale=self.std(shape))


@dataclass(frozen=True, repr=False)
class UnitRows(Initializer):
    """Every vector along the last axis uniformly distributed on a sphere."""

    name = "unit_rows"
    spread = "scale² / features"
    scale: float = 1.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """A coordinate of a random direction."""
        _check_rank(self.name, shape, 1)
        return frame_law(shape[-1], self.scale) if shape[-1] >= 2 else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Normal vectors over their lengths, times the radius."""
        _check_rank(self.name, shape, 1)
        stream, _ = float_stream(dtype, self.name)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return _on_sphere(key, np.asarray(self.scale, stream), shape, dtype)


@dataclass(frozen=True, repr=False)
class Sinusoidal(Initializer):
    """Sines and cosines of the position, at frequencies that fall geometrically."""

    name = "sinusoidal"
    max_period: float = 10_000.0
    layout: Layout = "interleaved"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The table, the same for every leading index."""
        del key
        _check_rank(self.name, shape, 2)
        positions, features = shape[-2:]
        if features % 2:
            raise ValueError(
                f"sinusoidal: {features} features (shape {shape}) do not divide into pairs of a "
                "sine and a cosine: take an even number, and cut the table if you need an odd one"
            )
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        stream = np.dtype(np.float64 if dtype in (np.float64, np.complex128) else np.float32)
        width = math.isqrt(positions - 1) + 1
        turns = _turns(self.max_period, features // 2)
        fine = _waves(np.arange(width), turns, stream)
        coarse = _waves(width * np.arange(-(-positions // width)), turns, stream)
        return _table(coarse, fine, shape, self.layout, dtype)


def small_init(axis: int = -1, dtype: jax.typing.DTypeLike | None = None) -> SmallInit:
    """Normal with standard deviation `√(2 / (5 d))`, d the number of features.

    That is Xavier's rule `√(2 / (d + 4 d))` for the widest layer of a transformer, taken for all
    of its matrices.

    Args:
      axis: the axis that holds the features. dtype: default dtype of the result.

    Raises:
      TypeError: `axis` is not an integer. ValueError: when called, a shape without that axis.

    Reference: Nguyen & Salazar, "Transformers without tears: improving the normalization of
    self-attention", 2019, section 2.2.

    >>> import jax
    >>> table = small_init()(jax.random.key(0), (1000, 40))
    >>> bool(abs(table.std() - 0.1) < 0.002)
    True
    """
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise TypeError(f"axis: expected an integer, got {axis!r}")
    return SmallInit(int(axis), dtype=dtype_name(dtype))


def unit_rows(scale: float = 1.0, dtype: jax.typing.DTypeLike | None = None) -> UnitRows:
    """Vectors along the last axis, independent and uniform on the sphere of radius `scale`.

    `scale · z / ‖z‖` with z standard normal: all tokens start equally long, in directions that
    prefer none. A last axis of one gives `±scale`.

    Args:
      scale: length of every vector, > 0. dtype: default dtype of the result.

    Raises:
      ValueError: `scale <= 0`; when called, a shape without axes.

    Reference: Muller, "A note on a method for generating points uniformly on n-dimensional
    spheres", 1959.

    >>> import jax, jax.numpy as jnp
    >>> table = unit_rows(3.0)(jax.random.key(0), (100, 16))
    >>> bool(jnp.allclose(jnp.linalg.norm(table, axis=-1), 3))
    True
    """
    return UnitRows(positive("scale", scale), dtype=dtype_name(dtype))


def sinusoidal(
    max_period: float = 10_000.0,
    layout: Layout = "interleaved",
    dtype: jax.typing.DTypeLike | None = None,
) -> Sinusoidal:
    r"""Position table `(..., positions, features)` of sines and cosines; the key is ignored.

    Pair i of row p holds `sin(p / max_period^(2i/d))` and the cosine of the same angle, d the
    number of features: wavelengths from 2π to nearly `2π max_period`. The angle is reduced
    exactly, so a row far down the table is as accurate as the first: float32 is the true value,
    rounded, to within 10⁻¹⁰; float64 is within 10⁻¹⁵.

    Args:
      max_period: ratio of the longest wavelength to the shortest one, at least 1.
      layout: "interleaved" (sin, cos, sin, cos, ...) or "concatenated" (all sines, all cosines).
      dtype: default dtype of the result.

    Raises:
      ValueError: `max_period < 1`, an unknown layout; when called, fewer than two axes, or an odd
        number of features.

    Reference: Vaswani et al., "Attention is all you need", 2017, section 3.5.

    >>> import jax
    >>> table = sinusoidal()(jax.random.key(0), (50, 6))
    >>> bool((abs(table[:, ::2] ** 2 + table[:, 1::2] ** 2 - 1) < 1e-6).all())
    True
    """
    if (period := finite("max_period", max_period)) < 1:
        raise ValueError(
            f"max_period: expected at least 1, got {max_period!r}: it is the ratio of the longest "
            "wavelength to the shortest one"
        )
    return Sinusoidal(period, one_of("layout", layout, _LAYOUTS), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3))
def _on_sphere(key: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    drawn = normal(key, shape, scale.dtype)
    # No entry is zero: the normal's uniform lies on a grid of odd multiples around zero.
    if shape[-1] == 1:
        return rounded(lax.sign(drawn) * scale, dtype)
    # XLA divides by a number that it spreads over a row as a product with its inverse, but not
    # where a shard holds one entry of the row: the inverse is taken here, for all of them.
    inverse = fence(1 / fence(lax.sqrt(_sum_of_rows(_product(drawn, drawn)))))
    return rounded(fence(drawn * inverse) * scale, dtype)


def _sum_of_rows(values: Array) -> Array:
    """Sums along the last axis, kept with size 1, in an order that no partition changes.

    A reduction adds in whatever order its tiles and shards suggest. Here the upper half of the
    axis is added to the lower one until one entry is left: elementwise sums have no order.
    """
    while (size := values.shape[-1]) > 1:
        half = (size + 1) // 2
        upper = values[..., half:]
        if size % 2:
            upper = jnp.concatenate([upper, jnp.zeros_like(values[..., :1])], axis=-1)
        values = values[..., :half] + upper
    return values


def _turns(max_period: float, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Turns per position of every pair, in units of 2⁻⁶⁴ of a turn: whole units, and the rest."""
    with localcontext(Context(prec=60)):
        ratio = Decimal(max_period) ** (Decimal(-1) / pairs)
        words = [int(_TURNS_PER_RADIAN * ratio**pair * 2**128) for pair in range(pairs)]
    whole = np.array([word >> 64 for word in words], np.uint64)
    return whole, np.array([word % 2**64 / 2**64 for word in words])


def _waves(
    positions: np.ndarray, turns: tuple[np.ndarray, np.ndarray], stream: np.dtype
) -> np.ndarray:
    """Cosines and sines at some positions, each as a short leading part and what is left of it."""
    position, (whole, rest) = positions[:, None], turns
    # Whole turns leave by overflow; the quarter turns are taken off next, so that the angle that
    # is rounded lies within ±π/4.
    angle = position.astype(np.uint64) * whole + np.floor(position * rest).astype(np.uint64)
    quarters = (angle + np.uint64(2**61)) >> np.uint64(62)
    within = (angle - (quarters << np.uint64(62))).view(np.int64) * (2 * math.pi / 2**64)
    wave = np.exp(1j * within) * np.array([1, 1j, -1, -1j])[quarters]
    full = np.stack([np.real(wave), np.imag(wave)])
    steps = 2.0 ** (np.finfo(stream).nmant // 2)
    leading = np.round(full * steps) / steps
    return np.stack([leading, full - leading]).astype(stream)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _table(
    coarse: Array, fine: Array, shape: tuple[int, ...], layout: Layout, dtype: np.dtype
) -> Array:
    position, width = jnp.arange(shape[-2]), fine.shape[-2]
    cosine, sine = jnp.moveaxis(coarse[:, :, position // width], 1, 0)
    step_cosine, step_sine = jnp.moveaxis(fine[:, :, position % width], 1, 0)
    waves = (
        _sum_of_products((sine, step_cosine), (cosine, step_sine)),
        _sum_of_products((cosine, step_cosine), (-sine, step_sine)),
    )
    if layout == "interleaved":
        table = jnp.stack(waves, axis=-1).reshape(shape[-2:])
    else:
        table = jnp.concatenate(waves, axis=-1)
    return jnp.broadcast_to(rounded(table, dtype), shape)


def _sum_of_products(first: tuple[Array, Array], second: tuple[Array, Array]) -> Array:
    """`a b` of two pairs of factors added up, each factor a leading part and a rest.

    Leading parts have half the digits: their products and the sum of those are exact.
    """
    (a, b), (c, d) = first, second
    exact = a[0] * b[0] + c[0] * d[0]
    rests = _product(a[0], b[1]) + _product(a[1], b[0] + b[1])
    return exact + (rests + (_product(c[0], d[1]) + _product(c[1], d[0] + d[1])))


def _product(left: Array, right: Array) -> Array:
    """`left · right`, rounded to one bit less than its dtype holds.

    A product that is then added becomes one operation with one rounding in some programs and not
    in others. Only a rounding that does something keeps the two apart in all of them.
    """
    info = jnp.finfo(left.dtype)
    return lax.reduce_precision(left * right, exponent_bits=info.nexp, mantissa_bits=info.nmant - 1)


def _check_rank(name: str, shape: tuple[int, ...], least: int) -> None:
    if len(shape) < least:
        layout = "(..., positions, features)" if least == 2 else "(..., features)"
        raise ValueError(
            f"{name}: expected a table {layout} of at least {least} axes, got shape {shape}"
        )
