"""Latents: parameters, such as learned queries, that a kernel projects before a signal."""

from collections.abc import Sequence

from jinit.model.axis_roles import BATCH, IN
from jinit.model.operand_roles import OperandRoles
from jinit.model.roles import Role, Use
from jinit.model.weight_axes import TrackedWeight


def is_projected_latent(weights: Sequence[TrackedWeight], layout: OperandRoles) -> bool:
    """Return whether a contraction takes a projected latent, and not a kernel of two factors.

    The signal meets a latent at the outputs of the kernel that projects it, whereas it meets the
    product of two factors, as in LoRA, at the inputs of the left one. Besides, a latent has biases
    added to it, or is repeated along a batch axis of the signal.

    Args:
      weights: the parameters of the operand.
      layout: the roles of the operand's axes.
    """
    kernels = [weight for weight in weights if weight.factor_kind == "right" and weight.axes]
    if not kernels:
        return False
    axes = _occupied(kernels)
    roles = {layout.roles[axis] for axis in axes}
    is_applied = IN in roles and roles <= {IN, BATCH}
    is_repeated = any(not _occupies(weights, axis) for axis in layout.axes(BATCH))
    return is_applied and (is_repeated or any(_is_bias(weight, axes) for weight in weights))


def latent_uses(weights: Sequence[TrackedWeight], role: Role = "token") -> list[Use]:
    """Return the uses of a latent, and of the kernels, biases and scales on its way to a signal.

    Args:
      weights: the parameters of the value that meets the signal.
      role: role of the latent.
    """
    kernels = [weight for weight in weights if weight.factor_kind == "right"]
    axes = _occupied(kernels)
    projections = [
        Use.right_factor(
            kernel, [segment for segments in kernel.axes or () for segment in segments], {}
        )
        for kernel in kernels
    ]
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
