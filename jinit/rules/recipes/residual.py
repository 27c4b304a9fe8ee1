"""Residual branches that start with nothing, or nearly so."""

from collections.abc import Sequence

from jinit.initializers import Initializer, constant, he_normal, variance_scaling, zeros
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.depth import branches_of
from jinit.rules.recipes.parts import Made, Recipe, matrices, rest


def zero_branches(start: Initializer | None = None) -> Recipe:
    """Every residual branch ends in a kernel of zeros: the network starts as its stream alone.

    Args:
      start: of all other kernels, `he_normal()` by default.

    Reference: Zhang et al., "Fixup initialization", 2019, section 3; Jordan et al.,
    "modded-nanogpt", 2024 (source code).

    >>> zero_branches()[0].initializer
    zeros
    """
    others = matrices(start or he_normal())
    return (Rule(zeros, role="kernel", ends="residual"), *others, *rest())


def gated_branches(gate: float = 0.0, start: Initializer | None = None) -> Recipe:
    """What scales the end of a residual branch starts at `gate`, and the network as its stream.

    That is the scale of the branch's last normalization (zero γ), a scalar (ReZero, SkipInit), or
    a number per feature (LayerScale: 0.1 for up to 18 blocks, 1e-5 up to 24, 1e-6 beyond).

    Args:
      gate: its value. start: of kernels, `he_normal()` by default.

    Reference: Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1; Bachlechner et
    al., "ReZero is all you need", 2020; De & Smith, "Batch normalization biases residual blocks
    towards the identity function in deep networks", 2020, section 3.3; Touvron et al., "Going
    deeper with image transformers", 2021, section 2.

    >>> gated_branches(1e-6)[0]
    Rule(constant(1e-06), role='scale', ends='residual')
    """
    value = constant(gate) if gate else zeros
    others = matrices(start or he_normal())
    return (Rule(value, role="scale", ends="residual"), *others, *rest())


def fixup() -> Recipe:
    """He normal, times `L^(-1/(2m-2))` in residual branches, whose last kernel is zero.

    L is the number of branches and m the number of kernels in this one, both counted in the model.
    The output layer is zero; scalar biases and scales are those of any other layer, 0 and 1.

    Reference: Zhang, Dauphin, Ma, "Fixup initialization: residual learning without normalization",
    2019, section 3.

    >>> [rule.ends for rule in fixup()[:2]]
    ['residual', 'output']
    """
    return (
        Rule(zeros, role="kernel", ends="residual"),
        Rule(zeros, role="kernel", ends="output", optional=True),
        Rule(Made(he_by_branch), role="kernel", branch=True, optional=True),
        *matrices(he_normal()),
        *rest(),
    )


def he_by_branch(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """He normal times `L^(-1/(2m-2))`; a branch of one kernel has none but the zero one."""
    layers = sum(branches_of(leaves).values())
    kernels = sum(other.branch == leaf.branch for other in leaves)
    shrink = layers ** (-1 / max(kernels - 1, 1))
    return variance_scaling(2 * shrink, "fan_in", "truncated_normal")
