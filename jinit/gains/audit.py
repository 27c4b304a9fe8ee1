"""Find parameters whose scale does not fit their use."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jinit.gains.constant_kernels import find_stuck_kernels, has_equal_units
from jinit.gains.equal_arrays import find_equal_arrays, read_numbers
from jinit.gains.low_precision import low_precision_cause
from jinit.gains.needed import NeededScale, accepted_stds, needed
from jinit.model import Leaf, Model, PyTree, axes_hint, check_model

_STD_TOLERANCE = 1.15
"""Standard deviations whose ratio is less than this count as equal."""
_STD_DEVIATIONS = 4.0
"""Standard errors by which the standard deviation of a small parameter may differ by chance: it is
known to one part in √(2n) from n entries."""
_FAN_TOLERANCE = 2.0
"""Fans whose ratio is less than this are indistinguishable."""
_FAN_STD_TOLERANCE = 0.02
"""Relative difference from the standard deviation of a misread fan that chance and the truncation
of a normal distribution do not explain."""
_ORDINARY_GAIN = 2.2
"""Factor by which a kernel may be larger or smaller on purpose: heads, branches and recurrent
kernels are scaled by 0.5 to 2."""
_PURPOSE = 3.0
"""Factor by which a kernel that no activation follows is smaller than needed if it is so on
purpose."""
_USUAL_GAINS = (1.0, math.sqrt(2))
"""Gains of LeCun's and of He's initialization."""


class ParameterScale(NamedTuple):
    """The scale of one parameter's values."""

    std: float
    """Standard deviation of the entries."""
    is_constant: bool
    is_zero: bool
    equal_path: str
    """Path of an earlier parameter with equal values; empty if there is none."""


@dataclass(frozen=True)
class Misfit:
    """A parameter whose scale does not fit its use."""

    path: str
    shape: tuple[int, ...]
    fan_in: float | None
    """Number of products that an output sums."""
    std: float
    needed_std: float | None
    """Standard deviation that it needs (see `jinit.gains.needed`)."""
    cause: str

    def __str__(self) -> str:
        return f"{self.path} {self.shape}: {self.cause}"


def audit(model: Model, params: PyTree) -> tuple[Misfit, ...]:
    """Return the parameters whose scale does not fit their true fans, in execution order.

    The standard deviation of every kernel is compared with those that fit its use: the one that
    `recommend` gives it, and others that are as good in a network of this depth. The causes that
    can be named are fans read off the shape where the computation sums over other axes, residual
    branches that are not scaled, constants, and two equal parameters. The model is not run.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: parameters of the model.

    Raises:
      TypeError: if `model` is not a Model.
      ValueError: if `params` is not a tree like the model's.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, section 4.2.1 (fans).

    >>> import jax, jinit, jax.numpy as jnp
    >>> x = jnp.ones((2, 64))
    >>> model = jinit.trace(lambda w, x: x @ w["k"].reshape(64, 64), {"k": jnp.ones((64, 8, 8))}, x)
    >>> k = jinit.lecun_normal()(jax.random.key(0), (64, 8, 8))
    >>> [misfit.cause.split(": ")[1] for misfit in audit(model, {"k": k})]
    ['scaled for a fan-in of 512, but 64 products are summed']
    """
    check_model("audit", model)
    arrays = model.by_path(params)
    scales = parameter_scales(model, params)
    stuck = find_stuck_kernels(model, [path for path, scale in scales.items() if scale.is_zero])
    misfits = []
    for leaf in model.leaves:
        scale, needed_scale = scales[leaf.path], needed(leaf)
        cause = misfit_cause(leaf, scale)
        if leaf.path in stuck:
            cause = f"zero, and so is {stuck[leaf.path]}: neither ever receives a gradient"
        cause = cause or low_precision_cause(arrays[leaf.path])
        if cause:
            misfits.append(
                Misfit(
                    path=leaf.path,
                    shape=leaf.shape,
                    fan_in=leaf.fan_in,
                    std=scale.std,
                    needed_std=None if needed_scale is None else needed_scale.std,
                    cause=cause,
                )
            )
    return tuple(misfits)


def parameter_scales(model: Model, params: PyTree) -> dict[str, ParameterScale]:
    """Return the scale of every parameter by path.

    Args:
      model: the model that the parameters belong to.
      params: a tree like the model's.
    """
    return scales_by_path(model.by_path(params))


def scales_by_path(arrays: Mapping[str, Any]) -> dict[str, ParameterScale]:
    """Return the scale of every array by path.

    Args:
      arrays: the arrays by path.
    """
    equal_paths = find_equal_arrays(arrays)
    scales = {}
    for path, leaf in arrays.items():
        array = read_numbers(leaf)
        is_constant = _is_constant(array)
        scales[path] = ParameterScale(
            std=float(array.std()),
            is_constant=is_constant,
            is_zero=is_constant and not array.any(),
            equal_path=equal_paths.get(path, ""),
        )
    return scales


def _is_constant(array: np.ndarray) -> bool:
    """Return whether all entries are equal; the last one settles it for nearly every array."""
    if array.size < 2:
        return True
    return bool(array.flat[0] == array.flat[-1]) and bool((array == array.flat[0]).all())


def misfit_cause(leaf: Leaf, scale: ParameterScale) -> str:
    """Return why the scale of a parameter does not fit its use; empty if it fits.

    Args:
      leaf: the parameter.
      scale: the scale of its values.
    """
    if scale.equal_path:
        return f"equal to {scale.equal_path}, entry by entry: one key was used twice"
    if leaf.role == "unread":
        return f"jinit cannot read how it is used: {axes_hint(leaf.path, leaf.shape, leaf.reason)}"
    if leaf.role != "kernel":
        return ""
    if scale.is_constant:
        are_equal = has_equal_units(leaf) and not scale.is_zero
        return "constant, so that all of its units are equal: draw it" if are_equal else ""
    needed_scale, limits = needed(leaf), accepted_stds(leaf)
    if needed_scale is None or limits is None:
        return ""
    low, high = limits
    chance = _STD_DEVIATIONS / math.sqrt(2 * math.prod(leaf.shape))
    smallest = low * min(1 / _STD_TOLERANCE, 1 - chance)
    if smallest < scale.std < high * max(_STD_TOLERANCE, 1 + chance):
        return ""
    if _is_small_on_purpose(scale.std, needed_scale):
        return _shape_fan_cause(leaf, scale.std, needed_scale.std)
    return _scale_cause(leaf, scale.std, needed_scale)


def _is_small_on_purpose(std: float, needed_scale: NeededScale) -> bool:
    """Return whether a result that no activation follows is small, as that of a policy's head."""
    return needed_scale.criterion == "linear" and std * _PURPOSE < needed_scale.std


def _scale_cause(leaf: Leaf, std: float, needed_scale: NeededScale) -> str:
    """Return why a standard deviation is not the needed one; both gains if the cause is unknown."""
    root = math.sqrt(leaf.fan_in or 1) * leaf.weight_factor
    branches = leaf.branch_count or 1
    if needed_scale.criterion == "branch" and _is_close(std, needed_scale.std * branches**0.5):
        return f"not scaled for {branches} residual branches: divide it by √{branches}"
    cause = _shape_fan_cause(leaf, std, needed_scale.std)
    if cause:
        return cause
    gain = f"its gain is {std * root:.3g}, and what follows needs {needed_scale.std * root:.3g}"
    if not _fits_shape_fan(leaf, std, needed_scale.std):
        return gain
    return f"{gain}; it may be scaled for a fan-in of {shape_fan_in(leaf.shape):g} by mistake"


def _shape_fan_cause(leaf: Leaf, std: float, needed_std: float) -> str:
    """Return the cause if a standard deviation shows that a fan-in was misread; empty if not.

    It does if it fits the fan-in of the shape and not the gain of any usual initialization.
    """
    gains = (std * math.sqrt(leaf.fan_in or 1) * leaf.weight_factor, std / needed_std)
    if any(1 / _ORDINARY_GAIN < gain < _ORDINARY_GAIN for gain in gains):
        return ""
    if not _fits_shape_fan(leaf, std, needed_std):
        return ""
    return (
        f"its standard deviation is {std / needed_std:.3g} times the needed one: scaled for a "
        f"fan-in of {shape_fan_in(leaf.shape):g}, but {leaf.fan_in:g} products are summed"
    )


def _fits_shape_fan(leaf: Leaf, std: float, needed_std: float) -> bool:
    """Return whether a standard deviation is that of a usual gain with the fan-in of the shape."""
    guess, fan_in = shape_fan_in(leaf.shape), leaf.fan_in or 1
    if guess is None or 1 / _FAN_TOLERANCE < guess / fan_in < _FAN_TOLERANCE:
        return False
    chance = _STD_DEVIATIONS / math.sqrt(2 * math.prod(leaf.shape))
    tolerance = min(max(_FAN_STD_TOLERANCE, chance), math.log(_STD_TOLERANCE))
    gains = (*_USUAL_GAINS, needed_std * math.sqrt(fan_in))
    return any(abs(math.log(std * guess**0.5 / gain)) < tolerance for gain in gains)


def shape_fan_in(shape: Sequence[int]) -> int | None:
    """Return the fan-in that an initializer reads off a shape alone: all axes but the last.

    Args:
      shape: shape of a parameter.

    >>> shape_fan_in((3, 3, 8, 16)), shape_fan_in((16,))
    (72, None)
    """
    return math.prod(shape[:-1]) if len(shape) > 1 else None


def wrong_fan_cause(leaf: Leaf, std: float) -> str:
    """Return the cause if a kernel is scaled for a fan-in that is clearly not its own; else empty.

    The standard deviation has to be that of a usual gain (1, √2 or the needed one) with the fan-in
    that an initializer reads off the shape, up to 2 % or the error of sampling, and to lie outside
    of the gains that are chosen on purpose. In seven architectures of Flax with gains between 0.3
    and 3, this accuses 0.2 % of the kernels by mistake, and none at 0.5 to 2 times the needed
    deviation; a tolerance of 15 % at any gain accuses 6 %, and of a GPT-2 with half the needed
    deviation 46 %. Of real misread fans it finds those from a factor of 5 on at a gain of 1 and
    from 10 on at √2, such as stacks of 6 layers, 8 heads or experts, and convolutions with
    exchanged axes, unless the compromise of Glorot between both fans explains them. Smaller factors
    cannot be told from gains that are chosen on purpose: `audit` names them as a possibility.

    Args:
      leaf: a parameter.
      std: standard deviation of its entries.
    """
    if leaf.role != "kernel" or not leaf.fan_in or not std > 0:
        return ""
    needed_scale, limits = needed(leaf), accepted_stds(leaf)
    if needed_scale is None or limits is None:
        return ""
    low, high = limits
    is_accepted = low and low / _STD_TOLERANCE < std < high * _STD_TOLERANCE
    if is_accepted or (leaf.end == "residual" and std < needed_scale.std):
        return ""  # a residual branch may be initialized as small as the user likes
    return _shape_fan_cause(leaf, std, needed_scale.std)


def _is_close(std: float, other: float) -> bool:
    return other > 0 and 1 / _STD_TOLERANCE < std / other < _STD_TOLERANCE
