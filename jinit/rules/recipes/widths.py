"""How much wider a parameter is than the same one of a narrower network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jinit.model import Leaf, Model
from jinit.rules.match import RuleError
from jinit.rules.paths import near

Base = Model | Mapping[str, Sequence[int]]
"""The network at its base width, or the shapes of its parameters by path."""


@dataclass(frozen=True)
class Growth:
    """Factors by which a parameter has more inputs and outputs than at the base width."""

    inputs: float = 1.0
    outputs: float = 1.0


def base_leaves(base: Base) -> dict[str, Leaf | tuple[int, ...]]:
    """What is known of the base network's parameters, by path."""
    if isinstance(base, Model):
        return {leaf.path: leaf for leaf in base.leaves}
    if isinstance(base, Mapping):
        return {path: tuple(shape) for path, shape in base.items()}
    raise TypeError(
        f"base: expected the traced network at its base width, or a mapping of paths to shapes, "
        f"got {type(base).__name__}"
    )


def at_base(leaf: Leaf, known: Mapping[str, Leaf | tuple[int, ...]]) -> Leaf:
    """The same parameter of the base network.

    Raises:
      RuleError: there is none, or it has another number of axes.
    """
    if leaf.path not in known:
        raise RuleError(
            f"{leaf.path} is no parameter of the base network, which has to be the same network at "
            f"another width; near it: {', '.join(near(leaf.path, list(known)))}"
        )
    found = known[leaf.path]
    shape = found.shape if isinstance(found, Leaf) else found
    if len(shape) != len(leaf.shape):
        raise RuleError(f"{leaf.path} has shape {leaf.shape}, but {shape} in the base network")
    if isinstance(found, Leaf):
        return found
    wider = _growth(leaf, shape)
    return replace(
        leaf,
        shape=shape,
        fan_in=leaf.fan_in and leaf.fan_in / wider.inputs,
        fan_out=leaf.fan_out and leaf.fan_out / wider.outputs,
    )


def growth(leaf: Leaf, base: Leaf) -> Growth:
    """How much wider a parameter is than that of the base network.

    Raises:
      RuleError: an axis grows that is no width, such as a kernel's positions, or one network looks
        up and sums over the same parameter.
    """
    wider = _growth(leaf, base.shape)
    if leaf.uses > 1 and leaf.role == "kernel" and wider.inputs > 1 and wider.outputs == 1:
        raise RuleError(
            f"{leaf.path} is used {leaf.uses} times, and only its inputs grow, as with an output "
            "layer tied to an embedding: what the one needs is wrong for the other, unless the "
            "network divides its outputs by the width. Untie them"
        )
    return wider


def _growth(leaf: Leaf, base: Sequence[int]) -> Growth:
    if leaf.role in ("unused", "state"):
        return Growth()
    factors = {"in": 1.0, "out": 1.0}
    axes = leaf.axes or ("",) * len(leaf.shape)
    for number, (size, narrow, word) in enumerate(zip(leaf.shape, base, axes, strict=True)):
        if size != narrow and word not in factors:
            raise RuleError(
                f"{leaf.path} has shape {leaf.shape}, but {tuple(base)} in the base network: axis "
                f"{number} ({word or leaf.role}) is no width, and has to be equal in both"
            )
        if size != narrow:
            factors[word] *= size / narrow
    return Growth(factors["in"], factors["out"])
