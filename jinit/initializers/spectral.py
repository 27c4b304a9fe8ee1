"""Fixed Fourier kernels: Fourier bases and short-time Fourier transforms."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.choice import check_choice
from jinit.initializers.base import Initializer, check_rank, dtype_name
from jinit.sampling import pin_rounding, round_to_dtype, sampling_dtypes

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
        """Return sines and cosines for a real dtype, the unitary transform for a complex one."""
        del key
        check_rank("fourier", shape, 2, "a matrix (..., rows, columns)")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        matrix = (dft if is_complex else _fourier_basis)(shape[-2], shape[-1], dtype)
        return jnp.broadcast_to(matrix, shape)


@dataclass(frozen=True, repr=False)
class STFT(Initializer):
    """Convolution kernel that computes the real or imaginary part of a spectrogram."""

    name = "stft"
    positional = ("part",)
    part: str = "real"
    window: str | None = "hann"
    scaling: str | None = "density"
    periodic: bool = False

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the windowed waves, the same for every input channel."""
        del key
        sampling_dtypes(dtype, self.name)
        check_rank("stft", shape, 2, "a kernel (frame_length, in_channels, fft_bins)")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        window = self._scaled_window(shape)
        matrix = _windowed_waves(window, shape[-1], self.part == "imag", dtype)
        input_axes = (1,) * (len(shape) - 2)
        return jnp.broadcast_to(matrix.reshape(shape[0], *input_axes, shape[-1]), shape)

    def _scaled_window(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the window divided by its norm, in float64, of shape `(frame_length,)`."""
        if self.window is None:
            return np.ones(shape[0])
        coefficients = _WINDOWS[self.window] if shape[0] > 1 else (1.0,)
        period = shape[0] if self.periodic else max(shape[0] - 1, 1)
        phase = np.arange(shape[0]) / period
        waves = np.cos(2 * np.pi * np.outer(phase, np.arange(len(coefficients))))
        window = waves @ np.asarray(coefficients)
        norms = {"density": math.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window))}
        if norms["density"] < 1e-12:
            raise ValueError(
                f"stft: the {self.window} window of {shape[0]} samples (shape {shape}) is zero "
                "everywhere and cannot be divided by its norm; use a longer frame, periodic=True "
                "or another window"
            )
        return window / (norms[self.scaling] if self.scaling else 1)


def fourier(dtype: DTypeLike | None = None) -> Fourier:
    """Orthonormal Fourier basis `(..., rows, columns)`: real waves, or the DFT for a complex dtype.

    With n = max(rows, columns), the columns of a real matrix as functions of the row r are
    `1/√n`, then `√(2/n) cos(2π m r / n)` and `√(2/n) sin(2π m r / n)` for m = 1, 2, ..., and
    last, for even n, `(-1)^r / √n`. A complex matrix has the entries `exp(-2πi r k / n) / √n`.
    A rectangular matrix is the first rows and columns of the square one, so that the vectors along
    its longer side are orthonormal. Leading axes are copies. Entries are accurate to a few units in
    the last place at any size.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, if the shape has fewer than two axes.

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

    The entries are `window[t] cos(2π t k / N) / norm`, or `-sin` for the imaginary part, with
    frequency bins k = 0, 1, ... of a transform of length `N = 2 (fft_bins - 1)`. A 1-D convolution
    with this kernel, without bias and with the hop length as stride, computes the transform of
    every frame padded with zeros to N samples. The kernel is the same for all input channels, so
    that their transforms are summed. The values equal those of `keras.initializers.STFT`. For a
    dense layer the shape is `(frame_length, fft_bins)`.

    Args:
      part: "real" or "imag".
      window: "hann", "hamming", "blackman", "rectangular" or None.
      scaling: norm of the window: "density" for `√Σ window²`, "spectrum" for `Σ |window|`, None for
        1. It has no effect without a window.
      periodic: if True, the period of the window is frame_length, for spectra; if False, it is
        frame_length - 1, for a symmetric window.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `periodic` is not a bool, or the window not a name.
      ValueError: if `part`, `window` or `scaling` is unknown; when called, if the shape has fewer
        than two axes, or the window is zero everywhere.

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
            f"{type(window).__name__}; for another window use window=None and multiply the kernel "
            "by the window along its first axis"
        )
    return STFT(
        check_choice("part", part, ("real", "imag")),
        window if window is None else check_choice("window", window, _WINDOWS),
        scaling if scaling is None else check_choice("scaling", scaling, ("density", "spectrum")),
        periodic,
        dtype=dtype_name(dtype),
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def dft(rows: int, columns: int, dtype: np.dtype) -> Array:
    """Return the first rows and columns of the unitary Fourier matrix `exp(-2πi r k / n) / √n`.

    >>> import numpy as np
    >>> dft(2, 1, np.dtype(np.complex64))[1, 0].real.item() == np.sqrt(np.float32(0.5)).item()
    True
    """
    n = max(rows, columns)
    turns = 4 * product_modulo(*_index_grids(rows, columns), n)
    waves = (exact_cosine(turns + quarter, n, jnp.finfo(dtype).dtype) for quarter in (0, n))
    real, imaginary = (pin_rounding(wave * (1 / math.sqrt(n))) for wave in waves)
    return lax.complex(real, imaginary).astype(dtype)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _fourier_basis(rows: int, columns: int, dtype: np.dtype) -> Array:
    """Return the first rows and columns of the real Fourier basis."""
    n, (draw_dtype, _) = max(rows, columns), sampling_dtypes(dtype, "fourier")
    row, column = _index_grids(rows, columns)
    frequency = (column + 1) // 2
    is_sine = (column % 2 == 0) & (column > 0)
    turns = 4 * product_modulo(row, frequency, n) + jnp.where(is_sine, np.uint32(3 * n), 0)
    constant = (frequency == 0) | (2 * frequency == n)
    amplitude = jnp.where(constant, _scalar(math.sqrt(1 / n), draw_dtype), math.sqrt(2 / n))
    return round_to_dtype(exact_cosine(turns, n, draw_dtype) * amplitude, dtype)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _windowed_waves(window: np.ndarray, bins: int, imaginary: bool, dtype: np.dtype) -> Array:
    """Return cosines, or negative sines, of the bins, times the window along the frame."""
    n, (draw_dtype, _) = max(2 * (bins - 1), 1), sampling_dtypes(dtype, "stft")
    turns = 4 * product_modulo(*_index_grids(len(window), bins), n)
    waves = exact_cosine(turns + n if imaginary else turns, n, draw_dtype)
    return round_to_dtype(waves * jnp.asarray(window, draw_dtype)[:, None], dtype)


def product_modulo(left: Array, right: Array, modulus: int) -> Array:
    """Return `left · right mod modulus` of uint32 arrays; all three numbers are below 2^28.

    The product is computed digit by digit, because it would overflow 32 bits otherwise.

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


def exact_cosine(turns: Array, n: int, draw_dtype: np.dtype) -> Array:
    """Return `cos(π/2 · turns / n)` of uint32 turns below 8n, accurate also near its zeros.

    The angle is reduced below π/4 in integer arithmetic before it is rounded.

    >>> import jax.numpy as jnp, numpy as np
    >>> exact_cosine(jnp.uint32(3 * 10**6), 10**6, np.dtype(np.float32)).item()
    0.0
    """
    turns = turns % (4 * n)
    turns = jnp.minimum(turns, 4 * n - turns)
    is_negative = turns > n
    turns = jnp.where(is_negative, 2 * n - turns, turns)
    near_one = 2 * turns <= n
    fraction = pin_rounding(jnp.where(near_one, turns, n - turns).astype(draw_dtype) / n)
    angle = pin_rounding(fraction * _scalar(math.pi / 2, draw_dtype))
    value = pin_rounding(jnp.where(near_one, lax.cos(angle), lax.sin(angle)))
    return jnp.where(is_negative, -value, value)


def _index_grids(rows: int, columns: int) -> tuple[Array, Array]:
    """Row and column index of every entry of a matrix."""
    row, column = (lax.broadcasted_iota(jnp.uint32, (rows, columns), axis) for axis in (0, 1))
    return row, column


def _scalar(value: float, dtype: np.dtype) -> np.ndarray:
    return np.asarray(value, dtype)
