"""Low-rank adapters: trained factors A, B of a frozen kernel W, `y = x W + scale · x A B`.

W is (..., in, out), A (..., in, rank), B (..., rank, out). Leading axes are copies, such as stacked
layers or experts; each copy has its own factors. Kernels with several input or output axes must be
reshaped first. A convolution kernel becomes `(taps · in, out)`; A is then a convolution kernel
`(*taps, in, rank)`, and B one with a single tap. An attention projection becomes
`(in, heads · size)`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, TypedDict

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.choice import check_choice
from jinit.initializers.base import check_positive, check_positive_integer, dtype_name
from jinit.sampling import full_precision_product, pin_rounding, round_to_dtype, sampling_dtypes


@partial(jax.tree_util.register_dataclass, data_fields=("a", "b", "weight"), meta_fields=("scale",))
@dataclass(frozen=True, eq=False)
class LowRank:
    """The layer `y = x weight + scale · x a b` with trained factors `a`, `b` and frozen `weight`.

    It is a pytree of three arrays; `scale` is not a leaf.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> from jinit.initializers.adapters.kernel_factors import pissa
    >>> layer = pissa(4)(jax.random.key(1), w)
    >>> layer.a.shape, layer.b.shape
    ((64, 4), (4, 32))
    >>> bool(jnp.allclose(layer.merged_kernel(), w, atol=1e-6))
    True
    """

    a: Array
    """Shape (..., in, rank)."""
    b: Array
    """Shape (..., rank, out)."""
    weight: Array
    """Shape (..., in, out)."""
    scale: float
    """Factor on the product of `a` and `b`."""

    def merged_kernel(self) -> Array:
        """Return the kernel of the equivalent plain layer, `weight + scale · a b`."""
        return _add_product(self.weight, self.a, self.b, self.scale)


@partial(jax.jit, static_argnums=3)
def _add_product(weight: Array, a: Array, b: Array, scale: float) -> Array:
    """Return `weight + scale · a b`, computed in float32 (float64) and rounded once."""
    exact_dtype, dtype = sampling_dtypes(weight.dtype, "LowRank")
    product = full_precision_product(a.astype(exact_dtype), b.astype(exact_dtype))
    return round_to_dtype(weight.astype(exact_dtype) + pin_rounding(scale * product), dtype)


@dataclass(frozen=True, repr=False)
class Adapter(ABC):
    """An initialization of low-rank adapters: called with a key and a kernel, returns a LowRank.

    Frozen, hashable, comparable by value and picklable.

    >>> from jinit.initializers.adapters.kernel_factors import pissa
    >>> pissa(16, alpha=16) == pissa(16)
    True
    >>> pissa(16, alpha=32, scaling="rank_stabilized").scale
    8.0
    """

    rank: int
    """Columns of A and rows of B."""
    alpha: float | None = None
    """Numerator of the scale; None means the rank."""
    scaling: str = "standard"
    """"standard" or "rank_stabilized"."""
    dtype: str | None = None
    """Dtype of the factors; None means the dtype of the kernel."""

    name: ClassVar[str]
    """The public function that builds this adapter from its fields."""

    is_product_subtracted: ClassVar[bool] = False
    """Whether scale · A B is subtracted from the base weight, so that the layer is unchanged."""

    @property
    def scale(self) -> float:
        """Factor on the product A B: alpha / rank, or alpha / √rank if rank-stabilized."""
        alpha = self.rank if self.alpha is None else self.alpha
        return alpha / (math.sqrt(self.rank) if self.scaling == "rank_stabilized" else self.rank)

    def __repr__(self) -> str:
        changed = [field for field in fields(self) if getattr(self, field.name) != field.default]
        options = [f"{field.name}={getattr(self, field.name)!r}" for field in changed[1:]]
        return f"{self.name}({', '.join([str(self.rank), *options])})"


class WeightAdapter(Adapter):
    """An adapter that is computed from the key and the kernel."""

    def __call__(self, key: Array, weight: Array) -> LowRank:
        """Return factors for `weight` (..., in, out), and the weight to freeze."""
        return build_low_rank(self, key, check_kernel(self, weight))

    @abstractmethod
    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Return A and B in the dtype of `weight`, which is checked and in full precision."""


class AdapterOptions(TypedDict):
    """The fields that all adapters have."""

    rank: int
    alpha: float | None
    scaling: str
    dtype: str | None


def check_adapter_options(
    rank: object, alpha: object, scaling: str, dtype: DTypeLike | None
) -> AdapterOptions:
    """Return the validated fields that all adapters have; raise if one is not valid."""
    count = check_positive_integer("rank", rank)
    numerator = count if alpha is None else check_positive("alpha", alpha)
    if dtype is not None:
        sampling_dtypes(dtype, "an adapter")
    return AdapterOptions(
        rank=count,
        alpha=None if numerator == count else numerator,
        scaling=check_choice("scaling", scaling, ("standard", "rank_stabilized")),
        dtype=dtype_name(dtype),
    )


def check_kernel(adapter: Adapter, weight: Any) -> Array:
    """Return the kernel as a JAX array; raise if the adapter does not fit it."""
    name = adapter.name
    if not (hasattr(weight, "shape") and hasattr(weight, "dtype")):
        raise TypeError(
            f"{name}: expected a kernel, an array with axes (..., in, out), got "
            f"{type(weight).__name__}; adapters are initialized from the values of one kernel, not "
            "from a shape or a tree of parameters"
        )
    if len(weight.shape) < 2:
        raise ValueError(
            f"{name}: expected a kernel with axes (..., in, out), got shape {weight.shape}; a bias "
            "or a scale has no low-rank adapter, and the key is the first argument"
        )
    _check_rank(adapter, weight.shape)
    return check_floating(name, "kernel", jnp.asarray(weight))


def check_floating(name: str, role: str, values: Array) -> Array:
    """Return the values; raise TypeError unless they are real and floating-point."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        return values
    raise TypeError(
        f"{name}: expected a {role} of real floating-point values, got dtype {values.dtype} with "
        f"shape {values.shape}; dequantize a quantized kernel first, initialize the adapter from "
        "it, and quantize LowRank.weight again"
    )


def build_low_rank(adapter: Any, key: Array, weight: Array, *data: Array) -> LowRank:
    """Return the adapter's factors, and the weight, without their product if it is subtracted."""
    a, b = _rounded_factors(adapter, key, weight, *data)
    frozen = _add_product(weight, a, b, -adapter.scale) if adapter.is_product_subtracted else weight
    return LowRank(a=a, b=b, weight=frozen, scale=adapter.scale)


@partial(jax.jit, static_argnums=0)
def _rounded_factors(adapter: Any, key: Array, weight: Array, *data: Array) -> tuple[Array, Array]:
    exact_dtype, kernel_dtype = sampling_dtypes(weight.dtype, adapter.name)
    dtype = jax.dtypes.canonicalize_dtype(adapter.dtype or kernel_dtype)
    a, b = adapter.factors(key, *(values.astype(exact_dtype) for values in (weight, *data)))
    return round_to_dtype(a, dtype), round_to_dtype(b, dtype)


def _check_rank(adapter: Adapter, shape: tuple[int, ...]) -> None:
    if adapter.rank <= min(shape[-2:]):
        return
    if len(shape) > 2:
        remedy = (
            "; leading axes are copies, so reshape a convolution kernel to (taps · in, out) and an "
            "attention projection to (in, heads · size) first"
        )
    else:
        remedy = "; use a lower rank for this layer"
    raise ValueError(
        f"{adapter.name}: rank {adapter.rank} exceeds the shorter of the axes (in, out) of a "
        f"kernel with shape {tuple(shape)}: the product of the factors has at most rank "
        f"{min(shape[-2:])}{remedy}"
    )
