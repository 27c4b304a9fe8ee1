"""Latents: parameters, such as learned queries, that a kernel projects before a signal."""

from collections.abc import Sequence, Set
from dataclasses import replace

from jinit.model.axis_roles import BATCH
from jinit.model.operand_roles import OperandRoles
from jinit.model.roles import Role, Use
from jinit.model.weight_axes import TrackedWeight


def is_projected_latent(weights: Sequence[TrackedWeight], layout: OperandRoles) -> bool:
    """Return whether a contraction takes a projected latent, and not a kernel of two factors.

    A latent, unlike the product of two factors in LoRA, has biases added to it along the outputs of
    the kernel that projects it, or is repeated along a batch axis of the signal.

    Args:
      weights: the parameters of the operand.
      layout: the roles of the operand's axes.
    """
    kernels = [weight for weight in weights if weight.factor_kind == "right" and weight.axes]
    if not kernels:
        return False
    axes = _occupied(kernels)
    is_repeated = any(not _occupies(weights, axis) for axis in layout.axes(BATCH))
    return is_repeated or any(_is_bias(weight, axes) for weight in weights)


def are_projected_latents(
    left: Sequence[TrackedWeight], right: Sequence[TrackedWeight], shared: Set[int]
) -> bool:
    """Return whether two operands are projections of one latent, each by kernels of its own.

    Learned queries that attend to one another, for example, are compared before they meet a signal.

    Args:
      left: the parameters of one operand.
      right: the parameters of the other one.
      shared: indices of the parameters in both.
    """
    sides = [
        {w.leaf for w in side if w.factor_kind == "right" and w.axes} for side in (left, right)
    ]
    return all(sides) and not any(kernels & shared for kernels in sides)


def latent_uses(weights: Sequence[TrackedWeight], role: Role = "token") -> list[Use]:
    """Return the uses of a latent, and of the kernels, biases and scales on its way to a signal.

    Args:
      weights: the parameters of the value that meets the signal.
      role: role of the latent.
    """
    kernels = [weight for weight in weights if weight.factor_kind == "right"]
    axes = _occupied(kernels)
    projections = [_projection(kernel) for kernel in kernels]
    fan_in = projections[0].fan_in if projections else None
    others = [weight for weight in weights if weight.factor_kind != "right"]
    latent_size = max((_extent(weight) for weight in others), default=0)
    uses = []
    for weight in others:
        if _is_bias(weight, axes):
            uses.append(Use.elementwise(weight, "bias", fan_in))
        elif weight.factor_kind != "scale" and _extent(weight) == latent_size:
            uses.append(Use.elementwise(weight, role))
        else:
            uses.append(Use.elementwise(weight, "scale" if weight.factor_kind else "bias"))
    return projections + uses


def _projection(kernel: TrackedWeight) -> Use:
    """Return the use of a kernel that projects a latent."""
    outputs = [segment for segments in kernel.axes or () for segment in segments]
    return replace(Use.right_factor(kernel, outputs, {}), projects_latent=True)


def _is_bias(weight: TrackedWeight, axes: set[int]) -> bool:
    """Return whether a parameter lies only along the outputs of the kernel."""
    if weight.factor_kind or weight.consumed_axes or weight.axes is None:
        return False
    return bool(_occupied([weight])) and _occupied([weight]) <= axes


def _occupied(weights: Sequence[TrackedWeight]) -> set[int]:
    """Return the axes of a value along which parameters lie."""
    return {
        axis
        for weight in weights
        for axis, segments in enumerate(weight.axes or ())
        if any(segment.size > 1 for segment in segments)
    }


def _occupies(weights: Sequence[TrackedWeight], axis: int) -> bool:
    return any(weight.axes is None or weight.axes[axis] for weight in weights)


def _extent(weight: TrackedWeight) -> int:
    """Return the number of axes of a parameter that lies along a value, or was summed over."""
    return sum(map(len, weight.axes or ())) + len(weight.consumed_axes)
