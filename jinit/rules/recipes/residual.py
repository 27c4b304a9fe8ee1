"""Residual branches initialized to zero, or nearly so."""

from collections.abc import Sequence

from jinit.initializers import Initializer, constant, he_normal, ones, variance_scaling, zeros
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.minor_parameters import (
    UNIT_TIED_TABLE,
    DeferredInitializer,
    Recipe,
    minor_rules,
    tied_rule,
    weight_rules,
)

_SCALARS = ((), (1,))
"""Shapes of scalar parameters."""


def zero_branches(kernel: Initializer | None = None) -> Recipe:
    """Initialize the last kernel of every residual branch to zero.

    The network is then initially the residual stream alone.

    Args:
      kernel: initializer of all other kernels, `he_normal()` by default.

    Reference: Zhang et al., "Fixup initialization", 2019, section 3; Jordan et al.,
    "modded-nanogpt", 2024 (source code).

    >>> zero_branches()[0].initializer
    zeros
    """
    others = weight_rules(kernel or he_normal())
    return (Rule(zeros, role="kernel", end="residual"), *others, *minor_rules())


def gated_branches(gate: float = 0.0, kernel: Initializer | None = None) -> Recipe:
    """Initialize the scale at the end of every residual branch to `gate`.

    This is the scale of the branch's last normalization (zero γ), a scalar (ReZero, SkipInit), or
    one number per feature (LayerScale: 0.1 for up to 18 blocks, 1e-5 up to 24, 1e-6 beyond). With
    the gate 0 the network is initially the residual stream alone.

    Args:
      gate: initial value of the scale.
      kernel: initializer of kernels, `he_normal()` by default.

    Reference: Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1; Bachlechner et
    al., "ReZero is all you need", 2020; De & Smith, "Batch normalization biases residual blocks
    towards the identity function in deep networks", 2020, section 3.3; Touvron et al., "Going
    deeper with image transformers", 2021, section 2.

    >>> gated_branches(1e-6)[0]
    Rule(constant(1e-06), role='scale', end='residual')
    """
    value = constant(gate) if gate else zeros
    others = weight_rules(kernel or he_normal())
    return (Rule(value, role="scale", end="residual"), *others, *minor_rules())


def fixup() -> Recipe:
    """Fixup: He normal, times `L^(-1/(2m-2))` in residual branches, whose last kernel is zero.

    L is the number of branches of the residual stream and m the number of kernels in the branch.
    The output layer is zero. Scalar biases are 0 and scalar scales 1.

    Reference: Zhang, Dauphin, Ma, "Fixup initialization: residual learning without normalization",
    2019, section 3.

    >>> [rule.end for rule in fixup()[:3]]
    ['residual', None, 'output']
    """
    return (
        Rule(zeros, role="kernel", end="residual"),
        tied_rule(UNIT_TIED_TABLE),
        Rule(zeros, role="kernel", end="output", optional=True),
        Rule(DeferredInitializer(fixup_he_normal), role="kernel", branch=True, optional=True),
        *weight_rules(he_normal()),
        *(Rule(ones, role="scale", shape=shape, optional=True) for shape in _SCALARS),
        *(Rule(zeros, role="bias", shape=shape, optional=True) for shape in _SCALARS),
        *minor_rules(),
    )


def fixup_he_normal(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return He normal times `L^(-1/(2m-2))` for a kernel of a branch with m kernels."""
    kernels = sum(other.branch == leaf.branch for other in leaves)
    variance_factor = (leaf.branch_count or 1) ** (-1 / max(kernels - 1, 1))
    return variance_scaling(2 * variance_factor, "fan_in", "truncated_normal")
