"""Width ratios between a network and the same network at its base width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jinit.model import Leaf, Model, closest_paths
from jinit.rules.match import RuleError

BaseNetwork = Model | Mapping[str, Sequence[int]]
"""The network at its base width, or the shapes of its parameters by path."""

BaseParameter = Leaf | tuple[int, ...]
"""A parameter of the base network, or its shape."""


@dataclass(frozen=True)
class WidthRatios:
    """Ratios of a parameter's inputs and outputs to those at the base width."""

    inputs: float = 1.0
    """Inputs over inputs at the base width."""
    outputs: float = 1.0
    """Outputs over outputs at the base width."""


def base_leaves(base: BaseNetwork) -> dict[str, BaseParameter]:
    """Return the parameters of the base network, or their shapes, by path."""
    if isinstance(base, Model):
        return {leaf.path: leaf for leaf in base.leaves}
    if isinstance(base, Mapping):
        return {path: tuple(shape) for path, shape in base.items()}
    raise TypeError(
        f"base: expected the traced network at its base width, or a mapping of paths to shapes, "
        f"got {type(base).__name__}"
    )


def find_base_leaf(leaf: Leaf, known: Mapping[str, BaseParameter]) -> Leaf:
    """Return the same parameter of the base network.

    Args:
      leaf: a parameter.
      known: parameters of the base network, or their shapes, by path.

    Raises:
      RuleError: if there is none, or it has another number of axes.
    """
    if leaf.path not in known:
        raise RuleError(
            f"{leaf.path} is not a parameter of the base network, which has to be the same network "
            f"at another width; similar paths: {', '.join(closest_paths(leaf.path, list(known)))}"
        )
    base = known[leaf.path]
    shape = base.shape if isinstance(base, Leaf) else base
    if len(shape) != len(leaf.shape):
        raise RuleError(
            f"{leaf.path} has shape {leaf.shape}, but {shape} in the base network; expected equal "
            "numbers of axes"
        )
    if isinstance(base, Leaf):
        return base
    ratios = _shape_ratios(leaf, shape)
    return replace(
        leaf,
        shape=shape,
        fan_in=leaf.fan_in and leaf.fan_in / ratios.inputs,
        fan_out=leaf.fan_out and leaf.fan_out / ratios.outputs,
    )


def width_ratios(leaf: Leaf, base: Leaf) -> WidthRatios:
    """Return the width ratios of a parameter and the same parameter of the base network.

    Args:
      leaf: a parameter.
      base: the same parameter of the base network.

    Raises:
      RuleError: if an axis other than inputs and outputs differs, such as a convolution's window,
        or if the parameter is both an embedding and the output layer.
    """
    ratios = _shape_ratios(leaf, base.shape)
    if leaf.use_count > 1 and leaf.role == "kernel" and ratios.inputs > 1 and ratios.outputs == 1:
        raise RuleError(
            f"{leaf.path} is used {leaf.use_count} times, and only its inputs grow, as for an "
            "output layer tied to an embedding; the two need different scales, unless the network "
            "divides its outputs by the width: untie them"
        )
    return ratios


def _shape_ratios(leaf: Leaf, base: Sequence[int]) -> WidthRatios:
    """Return the width ratios of a parameter and a shape; raise if another axis differs."""
    if leaf.role in ("unused", "state"):
        return WidthRatios()
    factors = {"in": 1.0, "out": 1.0}
    axes = leaf.axes or ("",) * len(leaf.shape)
    for index, (size, narrow, name) in enumerate(zip(leaf.shape, base, axes, strict=True)):
        if size != narrow and name not in factors:
            raise RuleError(
                f"{leaf.path} has shape {leaf.shape}, but {tuple(base)} in the base network: axis "
                f"{index} ({name or leaf.role}) is not a width and has to be equal in both"
            )
        if size != narrow:
            factors[name] *= size / narrow
    return WidthRatios(factors["in"], factors["out"])
