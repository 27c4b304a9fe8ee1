"""Whether the scale of a parameter fits what the computation does with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.diagnostics.symmetry import numbers, twins
from jinit.model import Leaf, Model, check_model, give_axes
from jinit.theory import moments

_NEAR = 1.15
"""Two standard deviations closer than this factor count as the same."""
_FEW = 2.0
"""Fans whose ratio is less say nothing about which of them was meant."""
_USUAL_GAINS = (1.0, math.sqrt(2))


class Scale(NamedTuple):
    """What one parameter starts from."""

    std: float
    """Root mean square about the mean."""
    constant: bool
    twin: str
    """Path of an earlier parameter with equal values, if there is one."""


@dataclass(frozen=True)
class Misfit:
    """A parameter whose scale does not fit its use."""

    path: str
    shape: tuple[int, ...]
    fan_in: float | None
    """Products that an output sums over."""
    std: float
    needed: float | None
    """Standard deviation that keeps the second moment of the signal."""
    what: str
    """What is wrong."""

    def __str__(self) -> str:
        return f"{self.path} {self.shape}: {self.what}"


def audit(model: Model, params: Any) -> tuple[Misfit, ...]:
    """The parameters whose scale does not fit their true fans, in execution order.

    Compares the standard deviation of every kernel with the one that the activation after it
    needs, and tells why they differ, as far as that can be told: fans read off the shape where the
    computation sums over other axes, residual branches that are not scaled, constants, two equal
    parameters. Nothing is run.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters.

    Raises:
      TypeError: `model` is no Model.
      ValueError: `params` is not a tree like the model's.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, section 4.2.1 (fans).

    >>> import jax, jinit, jax.numpy as jnp
    >>> x = jnp.ones((2, 64))
    >>> model = jinit.trace(lambda w, x: x @ w["k"].reshape(64, 64), {"k": jnp.ones((64, 8, 8))}, x)
    >>> k = jinit.lecun_normal()(jax.random.key(0), (64, 8, 8))
    >>> [misfit.what for misfit in audit(model, {"k": k})]
    ['scaled for a fan-in of 512, but 64 products are summed']
    """
    check_model("audit", model)
    found = scales(model, params)
    branches = sum(map(copies, filter(ends_branch, model.leaves)))
    misfits = []
    for leaf in model.leaves:
        wanted = needed_std(leaf, branches)
        what = advice(leaf, found[leaf.path], wanted, branches if ends_branch(leaf) else 1)
        if what:
            std = found[leaf.path].std
            misfits.append(Misfit(leaf.path, leaf.shape, leaf.fan_in, std, wanted, what))
    return tuple(misfits)


def scales(model: Model, params: Any) -> dict[str, Scale]:
    """What every parameter starts from, by path."""
    leaves = leaves_of(model, params)
    equal = twins(dict(zip(model.paths, leaves, strict=True)))
    found = {}
    for path, leaf in zip(model.paths, leaves, strict=True):
        array = numbers(leaf)
        constant = bool(array.size < 2 or (array == array.flat[0]).all())
        found[path] = Scale(float(array.std()), constant, equal.get(path, ""))
    return found


def leaves_of(model: Model, params: Any) -> list[Any]:
    """The leaves of a tree of parameters, which has to be like the model's."""
    params = model.tree(params)
    own, given = jax.tree.structure(model.params), jax.tree.structure(params)
    if own != given:
        raise ValueError(
            f"expected parameters like the model's, {_short(own)}, got {_short(given)}; give what "
            "jinit.init(model, key) returns, or a tree that was trained from it"
        )
    leaves = jax.tree.leaves(params)
    for path, abstract, leaf in zip(
        model.paths, jax.tree.leaves(model.params), leaves, strict=True
    ):
        if tuple(np.shape(leaf)) != tuple(abstract.shape):
            raise ValueError(
                f"{path}: expected shape {tuple(abstract.shape)}, got {tuple(np.shape(leaf))}"
            )
    return leaves


def _short(tree: Any) -> str:
    text = str(tree).removeprefix("PyTreeDef(").removesuffix(")")
    return text if len(text) < 200 else f"{text[:200]} ..."


def needed_std(leaf: Leaf, branches: int = 1) -> float | None:
    """Of a kernel, what keeps the second moment up to the next one; None where that is unknown."""
    if leaf.role != "kernel" or not leaf.fan_in:
        return None
    gain = needed_gain(leaf)
    scale = branches if ends_branch(leaf) else 1
    return gain / math.sqrt(leaf.fan_in * scale)


def needed_gain(leaf: Leaf) -> float:
    """√(1 / E[φ(z)²]) of the activation φ that follows; 1 where nothing has to be undone."""
    after = leaf.activation
    if after is None or after.end not in ("product", "pooling"):
        return 1.0
    try:
        gain = moments(after).gain
    except ValueError:
        return 1.0
    return (gain ** (0.5 if after.arguments > 1 else 1.0)) / math.sqrt(after.kernels)


def ends_branch(leaf: Leaf) -> bool:
    """Whether it is the last kernel of a residual branch whose scale reaches the stream."""
    after = leaf.activation
    return after is not None and after.end == "residual" and not after.normalizes


def copies(leaf: Leaf) -> int:
    """Layers that the parameter holds, one per step of a loop."""
    sizes = zip(leaf.shape, leaf.axes, strict=True)
    return math.prod(size for size, word in sizes if word == "stacked")


def advice(leaf: Leaf, now: Scale, wanted: float | None, branches: int) -> str:
    """What to say of a parameter; empty if there is nothing to say."""
    if now.twin:
        return f"equal to {now.twin}, entry by entry: one key was used twice"
    if leaf.role == "unread":
        return f"jinit cannot read how it is used: {give_axes(leaf.path, leaf.shape)}"
    if leaf.role != "kernel":
        return ""
    if now.constant:
        ends = leaf.activation is not None and leaf.activation.end in ("residual", "output")
        return "" if ends else "constant, so that its units stay alike: draw it"
    if not wanted or _alike(now.std, wanted):
        return ""
    return _cause(leaf, now.std, wanted, branches)


def _cause(leaf: Leaf, std: float, wanted: float, branches: int) -> str:
    """Why a standard deviation is not the one that is wanted, as far as it can be told."""
    root = math.sqrt(leaf.fan_in or 1)
    if branches > 1 and _alike(std, wanted * branches**0.5):
        return f"not scaled for {branches} residual branches: divide it by √{branches}"
    return wrong_fan(leaf, std, wanted) or (
        f"its gain is {std * root:.3g}, and what follows needs {wanted * root:.3g}"
    )


def wrong_fan(leaf: Leaf, std: float, wanted: float) -> str:
    """Says so if the standard deviation is that of a fan-in read off the shape alone."""
    naive, own = naive_fan(leaf.shape), leaf.fan_in or 1
    if naive is None or naive == own:
        return ""
    gains = (*_USUAL_GAINS, wanted * math.sqrt(own))
    if not any(_alike(std * naive**0.5, gain) for gain in gains):
        return ""
    return f"scaled for a fan-in of {naive:g}, but {own:g} products are summed"


def naive_fan(shape: Sequence[int]) -> float | None:
    """The fan-in that an initializer reads off a shape alone: all axes but the last."""
    return math.prod(shape[:-1]) if len(shape) > 1 else None


def misread(leaf: Leaf, std: float) -> str:
    """Like `wrong_fan`, where the two fans are far enough apart to make a difference."""
    naive, own = naive_fan(leaf.shape), leaf.fan_in
    if leaf.role != "kernel" or not naive or not own or 1 / _FEW < naive / own < _FEW:
        return ""
    wanted = needed_std(leaf) or 0.0
    if leaf.end == "residual" and std < wanted:
        return ""  # branches may start as small as one likes
    fits = any(_alike(std * own**0.5, gain) for gain in (*_USUAL_GAINS, wanted * own**0.5))
    return "" if fits else wrong_fan(leaf, std, wanted)


def _alike(one: float, other: float) -> bool:
    return other > 0 and 1 / _NEAR < one / other < _NEAR
