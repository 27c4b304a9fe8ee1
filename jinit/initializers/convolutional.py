"""Convolution kernels that are orthogonal in Fourier space: isometries, and diverse filters."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, dtype_name, finite, non_negative, positive_integer
from jinit.initializers.spectral import dft
from jinit.sampling import exact_product, fence, float_stream, normal, orthonormal, rounded


@dataclass(frozen=True, repr=False)
class ConvolutionalOrthogonal(Initializer):
    """Product of random two-tap convolutions, each an isometry, along every spatial axis."""

    name = "convolutional_orthogonal"
    scale: float = 1.0
    groups: int = 1

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """An independent isometry for every group of outputs."""
        _check_rank(self.name, shape, "orthogonal()")
        _check_groups(shape, self.groups)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return _kernel(key, self.scale, self.groups, shape, dtype)


@dataclass(frozen=True, repr=False)
class ConvolutionAware(Initializer):
    """Filters whose spectra are orthonormal over the input channels, plus noise."""

    name = "convolution_aware"
    spread = "2 / fan_in"
    noise: float = 0.05

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Orthonormal spectra for every output, transformed back, roughened and rescaled."""
        float_stream(dtype, self.name)
        _check_rank(self.name, shape, "he_normal()")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        std = math.sqrt(2 / math.prod(shape[:-1]))
        *taps, _, _ = shape
        if max(taps) <= 1:
            return normal(key, shape, dtype, scale=std)
        std /= math.sqrt(_mean_square(tuple(taps)) + self.noise**2)
        return _noisy_filters(key, std, self.noise * std, shape, dtype)


def convolutional_orthogonal(
    scale: float = 1.0, groups: int = 1, dtype: DTypeLike | None = None
) -> ConvolutionalOrthogonal:
    """Convolution kernel that multiplies the norm of every input by `scale`, all taps at work.

    A Haar frame `(in, out)`, followed for j = 1, 2, ... by a convolution with the two taps `P` and
    `1 - P` along every spatial axis of more than j taps; P projects on a random half of the
    output channels (an odd number of them is halved up or down by a coin). At every frequency the
    convolution is then a product of unitary maps: an exact isometry with circular padding and
    stride 1, for 1-, 2- and 3-D kernels `(*spatial, in / groups, out)`, also where the spatial
    sizes differ. With one output per group (a depthwise layer) only shifts are isometries: a
    single tap is then non-zero, near the middle.

    Args:
      scale: factor on every entry, finite.
      groups: the convolution's `feature_group_count`, at least 1; each group is an isometry.
      dtype: default dtype of the result.

    Raises:
      ValueError: an option out of its range; when called, a shape that is not 3- to 5-D, outputs
        that do not divide into the groups, or more inputs than outputs in a group.

    Reference: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018,
    algorithm 1.

    >>> import jax, jax.numpy as jnp
    >>> w = convolutional_orthogonal()(jax.random.key(0), (3, 4, 8))
    >>> per_frequency = jnp.fft.fft(w, 16, axis=0)
    >>> squares = per_frequency @ per_frequency.conj().swapaxes(1, 2)
    >>> bool(jnp.allclose(squares, jnp.eye(4)[None], atol=1e-5))
    True
    """
    options = finite("scale", scale), positive_integer("groups", groups)
    return ConvolutionalOrthogonal(*options, dtype=dtype_name(dtype))


def convolution_aware(noise: float = 0.05, dtype: DTypeLike | None = None) -> ConvolutionAware:
    """Convolution kernel whose filters have orthonormal spectra, of mean variance 2 / fan_in.

    For every output, the real spectra of its filters (one per input channel, on the bins of the
    real Fourier transform) are rows of a Haar matrix; where there are more channels than bins,
    of several. The inverse transform is even about the first tap; normal noise breaks that
    symmetry. The sum is scaled by its exact variance; the author's code takes that of the sample
    (and eigenvectors of symmetric normal matrices for the Haar ones). In one dimension the
    noise-free spectra are exactly orthonormal; in more, a filter keeps only the even part of what
    is drawn for the edge planes of the last axis. A 1x1 kernel has a single frequency, nothing
    to be orthogonal in: it is plainly normal.

    Args:
      noise: standard deviation of the noise before scaling, >= 0; the filters' own is near
        `√2 / taps`. dtype: default dtype of the result.

    Raises:
      ValueError: `noise` is negative; when called, a shape `(*spatial, in, out)` that is not 3-
        to 5-D. TypeError: when called, a dtype that is not real.

    Reference: Aghajanyan, "Convolution aware initialization", 2017.

    >>> import jax, jax.numpy as jnp
    >>> w = convolution_aware(noise=0.0)(jax.random.key(0), (5, 3, 1))
    >>> spectra = jnp.fft.rfft(w[..., 0], axis=0).real
    >>> gram = spectra.T @ spectra
    >>> bool(jnp.allclose(gram, gram[0, 0] * jnp.eye(3), atol=1e-5))
    True
    """
    return ConvolutionAware(non_negative("noise", noise), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _kernel(
    key: Array, scale: float, groups: int, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    exact = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
    part = (*shape[:-1], shape[-1] // groups)
    kernels = lax.map(lambda key: _isometry(key, part, exact), jax.random.split(key, groups))
    return rounded(jnp.moveaxis(kernels, 0, -2).reshape(shape) * jnp.asarray(scale, exact), dtype)


def _isometry(key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """One group's kernel, its taps flattened to one axis."""
    *spatial, inputs, outputs = shape
    strides = _schedule(tuple(spatial))
    keys = jax.random.split(key, len(strides) + 1)
    kernel = jnp.zeros((math.prod(spatial), inputs, outputs), dtype)
    kernel = kernel.at[0].set(orthonormal(keys[0], inputs, outputs, dtype))

    def widen(kernel: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        basis = _half_basis(step[0], outputs, dtype)
        kept = exact_product(exact_product(kernel, basis), basis.conj().T)
        return fence(kept + jnp.roll(fence(kernel - kept), step[1], axis=0)), None

    return lax.scan(widen, kernel, (keys[1:], jnp.asarray(strides)))[0]


@partial(jax.jit, static_argnums=(3, 4))
def _noisy_filters(
    key: Array, std: float, noise: float, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    *taps, inputs, outputs = shape
    stream, _ = float_stream(dtype, "convolution_aware")
    bins = (*taps[:-1], taps[-1] // 2 + 1)
    frames_key, noise_key = jax.random.split(key)
    spectra = lax.map(
        lambda key: _spectra(key, inputs, math.prod(bins), stream),
        jax.random.split(frames_key, outputs),
    )
    filters = _inverse(spectra.reshape(outputs, inputs, *bins), tuple(taps))
    kernel = jnp.moveaxis(filters, (0, 1), (-1, -2)) * jnp.asarray(std, stream)
    return rounded(fence(kernel) + normal(noise_key, shape, stream, scale=noise), dtype)


def _spectra(key: Array, inputs: int, bins: int, stream: np.dtype) -> Array:
    """Rows of as many independent orthogonal matrices as the inputs need."""
    rows, count = min(inputs, bins), -(-inputs // bins)
    keys = jax.random.split(key, count)
    frames = lax.map(lambda key: orthonormal(key, rows, bins, stream), keys)
    return frames.reshape(count * rows, bins)[:inputs]


def _inverse(spectra: Array, taps: tuple[int, ...]) -> Array:
    """Inverse real Fourier transform over the last axes, with numpy's normalization.

    By exact products with the unitary matrix, axis by axis: a fast transform rounds differently
    with the size of the batch, and so under vmap and on a mesh. Kernels are short.
    """
    # Bins whose mirror image is left out of the real transform count twice; halves keep norms <= 1.
    bins = np.arange(spectra.shape[-1])
    once = (bins == 0) | (2 * bins == taps[-1])
    wide = np.result_type(spectra.dtype, np.complex64)
    weights = np.where(once, 0.5, 1.0).reshape(*[1] * (spectra.ndim - 1), -1)
    wave = spectra.astype(wide) * weights.astype(wide)
    for axis, size in enumerate(taps, start=2):
        matrix = dft(wave.shape[axis], size, wide).conj()
        wave = jnp.moveaxis(exact_product(jnp.moveaxis(wave, axis, -1), matrix), -1, axis)
    return fence(wave.real * np.asarray(2 / math.sqrt(math.prod(taps)), spectra.dtype))


def _mean_square(taps: tuple[int, ...]) -> float:
    """Expected square of a tap before noise and scaling.

    A spectrum is uniform on the unit sphere: every one of its bins has variance 1 / bins. A unit
    bin off the edge planes of the last axis becomes a wave `2/n cos`, of energy 2/n over the n
    taps; in an edge plane `1/n cos`, of energy 1/(2n), and 1/n where the wave is constant or
    alternating on every axis.
    """
    *others, last = taps
    bins, edges = last // 2 + 1, 2 - last % 2
    plane, still = math.prod(others), math.prod(2 - size % 2 for size in others)
    energy = 2 * (bins - edges) * plane + edges * (plane + still) / 2
    return energy / (bins * plane) / math.prod(taps) ** 2


def _schedule(spatial: tuple[int, ...]) -> np.ndarray:
    """For every two-tap convolution in turn, how far apart its taps are in the flattened kernel.

    The taps written so far end before the last index of the axis, so that no roll wraps around.
    """
    strides = [math.prod(spatial[axis + 1 :]) for axis in range(len(spatial))]
    rounds = range(1, max(spatial))
    steps = [strides[axis] for j in rounds for axis, size in enumerate(spatial) if size > j]
    return np.asarray(steps, np.int32)


def _half_basis(key: Array, size: int, dtype: np.dtype) -> Array:
    """Orthonormal basis of a random subspace of half the dimensions."""
    frame = orthonormal(key, size, (size + 1) // 2, dtype)
    if size % 2 == 0:
        return frame
    # The sign of a Haar vector's entry is a fair coin, and independent of the vector's line.
    return frame.at[:, -1].multiply((frame[0, -1].real > 0).astype(dtype))


def _check_rank(name: str, shape: tuple[int, ...], dense: str) -> None:
    if len(shape) not in (3, 4, 5):
        raise ValueError(
            f"{name}: expected a convolution kernel (*spatial, in, out) of 3 to 5 axes, got shape "
            f"{shape}; for a dense kernel use {dense}"
        )


def _check_groups(shape: tuple[int, ...], groups: int) -> None:
    if shape[-1] % groups:
        raise ValueError(
            f"convolutional_orthogonal: {shape[-1]} outputs (shape {shape}) do not divide into "
            f"{groups} groups: groups must be the convolution's feature_group_count"
        )
    if shape[-2] > shape[-1] // groups:
        raise ValueError(
            f"convolutional_orthogonal: {shape[-2]} inputs cannot map isometrically into "
            f"{shape[-1] // groups} outputs (shape {shape}, {groups} groups): it needs in <= out "
            "in every group; use orthogonal() here"
        )
