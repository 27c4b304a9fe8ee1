"""Residual branches that start with nothing."""

from jinit.initializers import Initializer, he_normal, zeros
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import Recipe, matrices, rest


def zero_branches(start: Initializer | None = None) -> Recipe:
    """Every residual branch ends in zeros, so that the network starts as its stream alone.

    Args:
      start: of all other kernels and embeddings, `he_normal()` by default.

    Reference: De & Smith, "Batch normalization biases residual blocks towards the identity function
    in deep networks", 2020 (SkipInit); Zhang et al., "Fixup initialization", 2019, section 3.

    >>> zero_branches()[0].initializer
    zeros
    """
    others = matrices(start or he_normal())
    return (Rule(zeros, role="kernel", ends="residual"), *others, *rest())
