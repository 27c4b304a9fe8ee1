"""Convolution kernels that are orthogonal in Fourier space: isometries and diverse filters."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.initializers.base import (
    DTypeOption,
    Initializer,
    check_finite,
    check_non_negative,
    check_positive_integer,
    check_rank,
    dtype_name,
)
from jinit.initializers.fans import check_groups
from jinit.initializers.orthogonal import Orthogonal
from jinit.initializers.spectral import dft
from jinit.sampling import (
    draw_normal,
    draw_orthonormal,
    exact_product,
    pin_rounding,
    round_to_dtype,
    sampling_dtypes,
)


@dataclass(frozen=True, repr=False)
class ConvolutionalOrthogonal(Initializer):
    """Product of random two-tap convolutions, each an isometry, along every spatial axis."""

    name = "convolutional_orthogonal"
    scale: float = 1.0
    groups: int = 1

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the bound of an isometry without further taps."""
        matrix = *shape[-2:-1], shape[-1] // self.groups
        return Orthogonal(self.scale).largest_entry(matrix)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw an independent isometry for each group of outputs."""
        _check_kernel(self.name, shape, "orthogonal()")
        _check_group_sizes(self.name, shape, self.groups)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return _draw_kernel(key, self.scale, self.groups, shape, dtype)


@dataclass(frozen=True, repr=False)
class ConvolutionAware(Initializer):
    """Filters whose spectra are orthonormal over the input channels, plus noise."""

    name = "convolution_aware"
    variance_formula = "2 / fan_in"
    noise: float = 0.05

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw orthonormal spectra for each output, transform them back, add noise and rescale."""
        sampling_dtypes(dtype, self.name)
        _check_kernel(self.name, shape, "he_normal()")
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        std = math.sqrt(2 / math.prod(shape[:-1]))
        *taps, _, _ = shape
        if max(taps) <= 1:
            return draw_normal(key, shape, dtype, scale=std)
        std /= math.sqrt(_mean_square(tuple(taps)) + self.noise**2)
        return _draw_filters(key, std, self.noise * std, shape, dtype)


def convolutional_orthogonal(
    scale: float = 1.0, groups: int = 1, dtype: DTypeOption = None
) -> ConvolutionalOrthogonal:
    """Return an initializer of convolutions that multiply the norm of every input by `scale`.

    The kernel uses all taps. It is a Haar-distributed matrix `(in, out)` followed, for j = 1, 2,
    ..., by a convolution with the two taps `P` and `1 - P` along every spatial axis of more than
    j taps. P projects on a random half of the output channels; an odd number of channels is
    halved up or down at random. At every frequency the convolution is then a product of unitary
    maps. It is an exact isometry with circular padding and stride 1, for 1-, 2- and 3-D kernels
    `(*spatial, in / groups, out)`, also if the spatial sizes differ. With one output per group (a
    depthwise layer) only shifts are isometries, so a single tap is non-zero, near the middle.

    Args:
      scale: factor on every entry, finite.
      groups: the convolution's `feature_group_count`, at least 1; each group is an isometry.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number, or `groups` is not an integer.
      ValueError: if `scale` is not finite or `groups` is less than 1; when called, if the shape
        does not have 3 to 5 axes, the outputs do not divide into the groups, or a group has more
        inputs than outputs.

    Reference: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018,
    algorithm 1.

    >>> import jax, jax.numpy as jnp
    >>> w = convolutional_orthogonal()(jax.random.key(0), (3, 4, 8))
    >>> per_frequency = jnp.fft.fft(w, 16, axis=0)
    >>> squares = per_frequency @ per_frequency.conj().swapaxes(1, 2)
    >>> bool(jnp.allclose(squares, jnp.eye(4)[None], atol=1e-5))
    True
    """
    return ConvolutionalOrthogonal(
        scale=check_finite("scale", scale),
        groups=check_positive_integer("groups", groups),
        dtype=dtype_name(dtype),
    )


def convolution_aware(noise: float = 0.05, dtype: DTypeOption = None) -> ConvolutionAware:
    """Return an initializer of filters with orthonormal spectra and mean variance 2 / fan_in.

    For each output, the real spectra of its filters (one per input channel, on the bins of the
    real Fourier transform) are rows of a Haar-distributed orthogonal matrix; if there are more
    channels than bins, of several. The inverse transform is even about the first tap, and normal
    noise breaks that symmetry. The sum is scaled by its exact variance. The author's code differs:
    it scales by the variance of the sample, and takes eigenvectors of symmetric normal matrices.
    In one dimension the noise-free spectra are exactly orthonormal. In more dimensions a filter
    keeps only the even part of the spectra drawn for the edge planes of the last axis. A 1x1
    kernel has a single frequency and falls back to a normal draw.

    Args:
      noise: standard deviation of the noise before scaling, >= 0; that of the filters is near
        `√2 / taps`.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `noise` is not a number; when called, if the dtype is not real.
      ValueError: if `noise` is negative; when called, if the shape `(*spatial, in, out)` does not
        have 3 to 5 axes.

    Reference: Aghajanyan, "Convolution aware initialization", 2017.

    >>> import jax, jax.numpy as jnp
    >>> w = convolution_aware(noise=0.0)(jax.random.key(0), (5, 3, 1))
    >>> spectra = jnp.fft.rfft(w[..., 0], axis=0).real
    >>> gram = spectra.T @ spectra
    >>> bool(jnp.allclose(gram, gram[0, 0] * jnp.eye(3), atol=1e-5))
    True
    """
    return ConvolutionAware(check_non_negative("noise", noise), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _draw_kernel(
    key: Array, scale: float, groups: int, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    draw_dtype = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
    group_shape = (*shape[:-1], shape[-1] // groups)
    kernels = lax.map(
        lambda key: _draw_isometry(key, group_shape, draw_dtype), jax.random.split(key, groups)
    )
    kernel = jnp.moveaxis(kernels, 0, -2).reshape(shape)
    return round_to_dtype(kernel * jnp.asarray(scale, draw_dtype), dtype)


def _draw_isometry(key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Draw the kernel of one group, with the taps flattened to one axis."""
    *spatial, inputs, outputs = shape
    distances = _tap_distances(tuple(spatial))
    keys = jax.random.split(key, len(distances) + 1)
    kernel = jnp.zeros((math.prod(spatial), inputs, outputs), dtype)
    kernel = kernel.at[0].set(draw_orthonormal(keys[0], inputs, outputs, dtype))

    def convolve(kernel: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        key, distance = step
        basis = _draw_half_basis(key, outputs, dtype)
        projected = exact_product(exact_product(kernel, basis), basis.conj().T)
        shifted = jnp.roll(pin_rounding(kernel - projected), distance, axis=0)
        return pin_rounding(projected + shifted), None

    return lax.scan(convolve, kernel, (keys[1:], jnp.asarray(distances)))[0]


@partial(jax.jit, static_argnums=(3, 4))
def _draw_filters(
    key: Array, std: float, noise: float, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    *taps, inputs, outputs = shape
    draw_dtype, _ = sampling_dtypes(dtype, "convolution_aware")
    bins = (*taps[:-1], taps[-1] // 2 + 1)
    spectra_key, noise_key = jax.random.split(key)
    spectra = lax.map(
        lambda key: _draw_spectra(key, inputs, math.prod(bins), draw_dtype),
        jax.random.split(spectra_key, outputs),
    )
    filters = _inverse_transform(spectra.reshape(outputs, inputs, *bins), tuple(taps))
    kernel = jnp.moveaxis(filters, (0, 1), (-1, -2)) * jnp.asarray(std, draw_dtype)
    return round_to_dtype(
        pin_rounding(kernel) + draw_normal(noise_key, shape, draw_dtype, scale=noise), dtype
    )


def _draw_spectra(key: Array, inputs: int, bins: int, draw_dtype: np.dtype) -> Array:
    """Draw the spectra of the inputs: rows of independent orthogonal matrices."""
    rows, count = min(inputs, bins), -(-inputs // bins)
    keys = jax.random.split(key, count)
    matrices = lax.map(lambda key: draw_orthonormal(key, rows, bins, draw_dtype), keys)
    return matrices.reshape(count * rows, bins)[:inputs]


def _inverse_transform(spectra: Array, taps: tuple[int, ...]) -> Array:
    """Return the inverse real Fourier transform over the last axes, normalized as in NumPy.

    It is computed by exact products with the unitary matrix, axis by axis. The rounding of a fast
    transform depends on the size of the batch, and would differ under vmap and on a mesh. Kernels
    are short, so the products are cheap.
    """
    # A real transform leaves out the mirror images of most bins, so these count twice. Here the
    # other bins count half instead, which keeps norms <= 1.
    bins = np.arange(spectra.shape[-1])
    has_no_mirror = (bins == 0) | (2 * bins == taps[-1])
    wide = np.result_type(spectra.dtype, np.complex64)
    weights = np.where(has_no_mirror, 0.5, 1.0).reshape(*[1] * (spectra.ndim - 1), -1)
    wave = spectra.astype(wide) * weights.astype(wide)
    for axis, size in enumerate(taps, start=2):
        matrix = dft(wave.shape[axis], size, wide).conj()
        wave = jnp.moveaxis(exact_product(jnp.moveaxis(wave, axis, -1), matrix), -1, axis)
    return pin_rounding(wave.real * np.asarray(2 / math.sqrt(math.prod(taps)), spectra.dtype))


def _mean_square(taps: tuple[int, ...]) -> float:
    """Return the expected square of a tap before noise and scaling.

    A spectrum is uniform on the unit sphere, so each bin has variance 1 / bins. A unit bin outside
    the edge planes of the last axis becomes a wave `2/n cos`, of energy 2/n over the n taps. In an
    edge plane it becomes `1/n cos`, of energy 1/(2n), or 1/n if the wave is constant or alternating
    on every axis.
    """
    *others, last = taps
    bins, edges = last // 2 + 1, 2 - last % 2
    # Number of bins in a plane, and of those whose wave is constant or alternating.
    plane, alternating = math.prod(others), math.prod(2 - size % 2 for size in others)
    energy = 2 * (bins - edges) * plane + edges * (plane + alternating) / 2
    return energy / (bins * plane) / math.prod(taps) ** 2


def _tap_distances(spatial: tuple[int, ...]) -> np.ndarray:
    """Return the distance of the two taps in the flattened kernel, for each convolution in order.

    Before each convolution the last index of its axis is still zero, so the roll of the kernel
    does not wrap around.
    """
    strides = [math.prod(spatial[axis + 1 :]) for axis in range(len(spatial))]
    distances = [
        strides[axis]
        for j in range(1, max(spatial))
        for axis, size in enumerate(spatial)
        if size > j
    ]
    return np.asarray(distances, np.int32)


def _draw_half_basis(key: Array, size: int, dtype: np.dtype) -> Array:
    """Draw an orthonormal basis of a random subspace of half the dimensions."""
    basis = draw_orthonormal(key, size, (size + 1) // 2, dtype)
    if size % 2 == 0:
        return basis
    # The sign of an entry of a Haar vector is ±1 with probability 1/2 each, and it is independent
    # of the line of the vector.
    return basis.at[:, -1].multiply((basis[0, -1].real > 0).astype(dtype))


def _check_kernel(name: str, shape: tuple[int, ...], dense_initializer: str) -> None:
    check_rank(
        name,
        shape,
        ranks=(3, 5),
        expected="a convolution kernel (*spatial, in, out)",
        remedy=f"for a dense kernel use {dense_initializer}",
    )


def _check_group_sizes(name: str, shape: tuple[int, ...], groups: int) -> None:
    check_groups(name, shape, groups)
    inputs, outputs = shape[-2], shape[-1] // groups
    if inputs > outputs:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"{name}: {inputs} inputs cannot map isometrically into {outputs} outputs (shape "
            f"{shape}{in_groups}): it needs in <= out; use orthogonal() here"
        )
