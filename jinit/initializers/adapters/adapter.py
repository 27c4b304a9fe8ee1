"""Low-rank adapters: factors A, B beside a frozen kernel W, so that `y = x W + scale · x A B`.

W is (..., in, out), A (..., in, rank), B (..., rank, out). Leading axes are copies – stacked
layers, experts –, each with factors of its own. A kernel whose other axes belong together is
reshaped first: a convolution's to `(taps · in, out)`, after which A is a convolution kernel
`(*taps, in, rank)` and B one of a single tap; an attention projection's to `(in, heads · size)`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.base import dtype_name, positive, positive_integer
from jinit.initializers.choice import one_of
from jinit.sampling import fence, float_stream, product, rounded


@partial(jax.tree_util.register_dataclass, data_fields=("a", "b", "weight"), meta_fields=("scale",))
@dataclass(frozen=True, eq=False)
class LowRank:
    """The layer `y = x weight + scale · x a b`: train the factors, freeze the weight.

    A pytree of three arrays, `a` of shape (..., in, rank), `b` (..., rank, out) and `weight`
    (..., in, out); `scale` is a Python float and not a leaf.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> from jinit.initializers.adapters.from_weight import pissa
    >>> start = pissa(4)(jax.random.key(1), w)
    >>> start.a.shape, start.b.shape
    ((64, 4), (4, 32))
    >>> bool(jnp.allclose(start.merged(), w, atol=1e-6))
    True
    """

    a: Array
    b: Array
    weight: Array
    scale: float

    def merged(self) -> Array:
        """The kernel of one plain layer that does the same: `weight + scale · a b`."""
        return shifted(self.weight, self.a, self.b, self.scale)


@partial(jax.jit, static_argnums=3)
def shifted(weight: Array, a: Array, b: Array, scale: float) -> Array:
    """`weight + scale · a b`, in float32 (float64) and rounded once to the weight's dtype."""
    stream, dtype = float_stream(weight.dtype, "LowRank")
    step = fence(scale * product(a.astype(stream), b.astype(stream)))
    return rounded(weight.astype(stream) + step, dtype)


@dataclass(frozen=True, repr=False)
class Adapter(ABC):
    """A way to start a low-rank adapter: called with a key and the base kernel, gives a LowRank.

    Frozen, hashable, comparable by value and picklable.

    >>> from jinit.initializers.adapters.from_weight import pissa
    >>> pissa(16, alpha=16) == pissa(16)
    True
    >>> pissa(16, alpha=32, scaling="rank_stabilized").scale
    8.0
    """

    rank: int
    alpha: float | None = None
    """None stands for the rank."""
    scaling: str = "standard"
    dtype: str | None = None

    name: ClassVar[str]
    """The public function that builds this adapter from its fields."""

    splits: ClassVar[bool] = False
    """Whether the base weight gives up what the factors hold: W - scale · A B stays frozen."""

    @property
    def scale(self) -> float:
        """Factor on the product A B: alpha / rank, or alpha / √rank if rank-stabilized."""
        stabilized = self.scaling == "rank_stabilized"
        alpha = self.rank if self.alpha is None else self.alpha
        return alpha / (math.sqrt(self.rank) if stabilized else self.rank)

    def __repr__(self) -> str:
        changed = [field for field in fields(self) if getattr(self, field.name) != field.default]
        options = [f"{field.name}={getattr(self, field.name)!r}" for field in changed[1:]]
        return f"{self.name}({', '.join([str(self.rank), *options])})"


class WeightAdapter(Adapter):
    """An adapter that needs no more than the kernel."""

    def __call__(self, key: Array, weight: Array) -> LowRank:
        """Factors for `weight` (..., in, out), and the weight to freeze."""
        return fitted(self, key, kernel_of(self, weight))

    @abstractmethod
    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """A and B in the dtype of `weight`, which is already checked and in full precision."""


def shared_options(
    rank: object, alpha: object, scaling: str, dtype: DTypeLike | None
) -> tuple[int, float | None, str, str | None]:
    """The validated fields that all adapters have in common."""
    count = positive_integer("rank", rank)
    numerator = count if alpha is None else positive("alpha", alpha)
    if dtype is not None:
        float_stream(dtype, "an adapter")
    return (
        count,
        None if numerator == count else numerator,
        one_of("scaling", scaling, ("standard", "rank_stabilized")),
        dtype_name(dtype),
    )


def kernel_of(adapter: Adapter, weight: Any) -> Array:
    """The kernel as a JAX array, if the adapter fits it."""
    name = adapter.name
    if not (hasattr(weight, "shape") and hasattr(weight, "dtype")):
        raise TypeError(
            f"{name}: expected a kernel, an array with axes (..., in, out), got "
            f"{type(weight).__name__}; adapters start from the values of one kernel, not from a "
            "shape or a tree of parameters"
        )
    if len(weight.shape) < 2:
        raise ValueError(
            f"{name}: expected a kernel with axes (..., in, out), got shape {weight.shape}; a bias "
            "or a norm's scale has no low-rank adapter, and the key is the first argument"
        )
    _check_rank(adapter, weight.shape)
    return floating(name, "kernel", jnp.asarray(weight))


def floating(name: str, role: str, values: Array) -> Array:
    """The values; TypeError unless they are real and floating-point."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        return values
    raise TypeError(
        f"{name}: expected a {role} of real floating-point values, got dtype {values.dtype} with "
        f"shape {values.shape}; dequantize a quantized kernel first, start the adapter from it, "
        "and quantize LowRank.weight again"
    )


def fitted(adapter: Any, key: Array, weight: Array, *data: Array) -> LowRank:
    """The adapter's factors, and the weight without them where the adapter splits it."""
    a, b = _factors(adapter, key, weight, *data)
    frozen = shifted(weight, a, b, -adapter.scale) if adapter.splits else weight
    return LowRank(a, b, frozen, adapter.scale)


@partial(jax.jit, static_argnums=0)
def _factors(adapter: Any, key: Array, weight: Array, *data: Array) -> tuple[Array, Array]:
    stream, own = float_stream(weight.dtype, adapter.name)
    dtype = jax.dtypes.canonicalize_dtype(adapter.dtype or own)
    exact = (values.astype(stream) for values in (weight, *data))
    a, b = adapter.factors(key, *exact)
    return rounded(a, dtype), rounded(b, dtype)


def _check_rank(adapter: Adapter, shape: tuple[int, ...]) -> None:
    if adapter.rank <= min(shape[-2:]):
        return
    flatten = (
        "; leading axes are copies, so reshape a convolution's kernel to (taps · in, out) and an "
        "attention projection's to (in, heads · size) first"
    )
    raise ValueError(
        f"{adapter.name}: rank {adapter.rank} exceeds the shorter side of the axes (in, out) of a "
        f"kernel with shape {tuple(shape)}: a product of factors cannot have a higher rank than "
        f"{min(shape[-2:])}{flatten if len(shape) > 2 else ', so lower it for this layer'}"
    )
