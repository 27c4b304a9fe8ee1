"""Fixed kernels made of waves: Fourier bases, and the short-time transform of a spectrogram."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, dtype_name
from jinit.initializers.choice import one_of
from jinit.sampling import fence, float_stream, rounded

_WINDOWS = {
    "rectangular": (1.0,),
    "hann": (0.5, -0.5),
    "hamming": (0.54, -0.46),
    "blackman": (0.42, -0.5, 0.08),
}
"""Coefficients a_k of the window Σ_k a_k cos(2π k t / period)."""


@dataclass(frozen=True, repr=False)
class Fourier(Initializer):
    """Orthonormal Fourier basis on the last two axes, the same for every leading index."""

    name = "fourier"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Sines and cosines for a real dtype, the unitary transform for a complex one."""
        del key
        _check_rank("fourier", shape, "a matrix (..., rows, columns)")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        matrix = (dft if is_complex else _waves)(shape[-2], shape[-1], dtype)
        return jnp.broadcast_to(matrix, shape)


@dataclass(frozen=True, repr=False)
class STFT(Initializer):
    """Windowed waves: a convolution kernel that computes one part of a spectrogram."""

    name = "stft"
    leading = ("part",)
    part: str = "real"
    window: str | None = "hann"
    scaling: str | None = "density"
    periodic: bool = False

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The same waves for every index between the first and the last axis."""
        del key
        float_stream(dtype, self.name)
        _check_rank("stft", shape, "a kernel (frame_length, in_channels, fft_bins)")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        window = self._window(shape)
        matrix = _windowed(window, shape[-1], self.part == "imag", dtype)
        between = (1,) * (len(shape) - 2)
        return jnp.broadcast_to(matrix.reshape(shape[0], *between, shape[-1]), shape)

    def _window(self, shape: tuple[int, ...]) -> np.ndarray:
        """The window, divided by its norm; float64 on the host, it is one frame long."""
        if self.window is None:
            return np.ones(shape[0])
        coefficients = _WINDOWS[self.window] if shape[0] > 1 else (1.0,)
        period = shape[0] if self.periodic else max(shape[0] - 1, 1)
        turns = np.arange(shape[0]) / period
        waves = np.cos(2 * np.pi * np.outer(turns, np.arange(len(coefficients))))
        window = waves @ np.asarray(coefficients)
        norms = {"density": math.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window))}
        if norms["density"] < 1e-12:
            raise ValueError(
                f"stft: a {self.window} window of {shape[0]} samples (shape {shape}) is zero "
                "everywhere, there is nothing to divide by: use a longer frame, periodic=True "
                "or another window"
            )
        return window / (norms[self.scaling] if self.scaling else 1)


def fourier(dtype: DTypeLike | None = None) -> Fourier:
    """Orthonormal Fourier basis of `(..., rows, columns)`: waves for real dtypes, else the DFT.

    With n = max(rows, columns), the columns of a real matrix are, over the rows r,
    `1/√n`, then `√(2/n) cos(2π m r / n)` and `√(2/n) sin(2π m r / n)` for m = 1, 2, ..., and
    last, for even n, `(-1)^r / √n`. A complex matrix has the entries `exp(-2πi r k / n) / √n`.
    Rectangular ones are the first rows and columns of the square matrix, so that the shorter side
    is orthonormal; leading axes are copies. Entries are within a few rounding errors at any size.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, fewer than two axes.

    Reference: Lee-Thorp et al., "FNet: mixing tokens with Fourier transforms", 2021, section 3.

    >>> import jax, jax.numpy as jnp
    >>> w = fourier()(jax.random.key(0), (5, 5))
    >>> bool(jnp.allclose(w @ w.T, jnp.eye(5), atol=1e-6))
    True
    """
    return Fourier(dtype=dtype_name(dtype))


def stft(
    part: str = "real",
    window: str | None = "hann",
    scaling: str | None = "density",
    periodic: bool = False,
    dtype: DTypeLike | None = None,
) -> STFT:
    """Kernel `(frame_length, in_channels, fft_bins)` that computes a short-time Fourier transform.

    `window[t] cos(2π t k / N) / norm`, or `-sin` for the imaginary part, with frequency bins
    k = 0, 1, ... of a transform of length `N = 2 (fft_bins - 1)`. A 1-D convolution with it,
    without bias, and with the hop as stride, is the transform of every frame padded with zeros to
    N samples. Input channels are copies: their transforms add up. The values are those of
    `keras.initializers.STFT`; `(frame_length, fft_bins)` serves a dense layer.

    Args:
      part: "real" or "imag". window: "hann", "hamming", "blackman", "rectangular" or None.
      scaling: "density" divides by `√Σ window²`, "spectrum" by `Σ |window|`, None by nothing;
        without a window nothing is scaled.
      periodic: whether the window's period is frame_length, for spectra, or frame_length - 1,
        symmetric.
      dtype: default dtype of the result.

    Raises:
      TypeError: `periodic` is not a bool, or the window not a name. ValueError: an unknown word;
        when called, fewer than two axes or a window that is zero everywhere.

    Reference: Allen & Rabiner, "A unified approach to short-time Fourier analysis and synthesis",
    1977.

    >>> import jax, jax.numpy as jnp
    >>> frame = jax.random.normal(jax.random.key(0), (8,))
    >>> w = stft("real", window=None)(jax.random.key(0), (8, 1, 5))
    >>> bool(jnp.allclose(frame @ w[:, 0], jnp.fft.rfft(frame).real, atol=1e-5))
    True
    """
    if not isinstance(periodic, bool):
        raise TypeError(f"periodic: expected True or False, got {periodic!r}")
    if window is not None and not isinstance(window, str):
        raise TypeError(
            f"window: expected one of the names {', '.join(_WINDOWS)} or None, got "
            f"{type(window).__name__}; for a window of your own use window=None and multiply the "
            "kernel by it along its first axis"
        )
    return STFT(
        one_of("part", part, ("real", "imag")),
        window if window is None else one_of("window", window, _WINDOWS),
        scaling if scaling is None else one_of("scaling", scaling, ("density", "spectrum")),
        periodic,
        dtype=dtype_name(dtype),
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def dft(rows: int, columns: int, dtype: np.dtype) -> Array:
    """First rows and columns of the unitary Fourier matrix, `exp(-2πi r k / n) / √n`.

    >>> import numpy as np
    >>> dft(2, 1, np.dtype(np.complex64))[1, 0].real.item() == np.sqrt(np.float32(0.5)).item()
    True
    """
    n = max(rows, columns)
    turns = 4 * product_modulo(*_indices(rows, columns), n)
    parts = (cosine(turns + quarter, n, jnp.finfo(dtype).dtype) for quarter in (0, n))
    return lax.complex(*(fence(part * (1 / math.sqrt(n))) for part in parts)).astype(dtype)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _waves(rows: int, columns: int, dtype: np.dtype) -> Array:
    """First rows and columns of the real Fourier basis."""
    n, (stream, _) = max(rows, columns), float_stream(dtype, "fourier")
    row, column = _indices(rows, columns)
    frequency = (column + 1) // 2
    is_sine = (column % 2 == 0) & (column > 0)
    turns = 4 * product_modulo(row, frequency, n) + jnp.where(is_sine, np.uint32(3 * n), 0)
    constant = (frequency == 0) | (2 * frequency == n)
    amplitude = jnp.where(constant, _scalar(math.sqrt(1 / n), stream), math.sqrt(2 / n))
    return rounded(cosine(turns, n, stream) * amplitude, dtype)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _windowed(window: np.ndarray, bins: int, imaginary: bool, dtype: np.dtype) -> Array:
    """Cosines, or negative sines, of the bins, times the window along the frame."""
    n, (stream, _) = max(2 * (bins - 1), 1), float_stream(dtype, "stft")
    turns = 4 * product_modulo(*_indices(len(window), bins), n)
    waves = cosine(turns + n if imaginary else turns, n, stream)
    return rounded(waves * jnp.asarray(window, stream)[:, None], dtype)


def product_modulo(left: Array, right: Array, modulus: int) -> Array:
    """`left · right mod modulus` of uint32 arrays, where all three are below 2^28.

    Digit by digit: no intermediate result leaves 32 bits, as the product itself would.

    >>> import jax.numpy as jnp
    >>> product_modulo(jnp.uint32(10**8), jnp.uint32(10**8 + 3), 10**8 + 7).item()
    28
    """
    left, right = left % modulus, right % modulus
    if modulus <= 2**16:
        return left * right % modulus
    result = jnp.zeros_like(right)
    for shift in range(24, -1, -4):
        digit = (right >> shift) & 15
        result = (result * 16 % modulus + left * digit % modulus) % modulus
    return result


def cosine(turns: Array, n: int, stream: np.dtype) -> Array:
    """`cos(π/2 · turns / n)` of uint32 turns below 8n, to rounding errors also near its zeros.

    The angle is brought below π/4 in integers before it is rounded.

    >>> import jax.numpy as jnp, numpy as np
    >>> cosine(jnp.uint32(3 * 10**6), 10**6, np.dtype(np.float32)).item()
    0.0
    """
    turns = turns % (4 * n)
    turns = jnp.minimum(turns, 4 * n - turns)
    beyond = turns > n
    turns = jnp.where(beyond, 2 * n - turns, turns)
    near_one = 2 * turns <= n
    share = fence(jnp.where(near_one, turns, n - turns).astype(stream) / n)
    angle = fence(share * _scalar(math.pi / 2, stream))
    value = fence(jnp.where(near_one, lax.cos(angle), lax.sin(angle)))
    return jnp.where(beyond, -value, value)


def _indices(rows: int, columns: int) -> tuple[Array, Array]:
    row, column = (lax.broadcasted_iota(jnp.uint32, (rows, columns), axis) for axis in (0, 1))
    return row, column


def _scalar(value: float, dtype: np.dtype) -> np.ndarray:
    return np.asarray(value, dtype)


def _check_rank(name: str, shape: tuple[int, ...], kernel: str) -> None:
    if len(shape) < 2:
        raise ValueError(f"{name}: expected {kernel}, at least two axes, got shape {shape}")
