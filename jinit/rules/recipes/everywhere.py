"""One initializer for all."""

from jinit.initializers import Initializer
from jinit.rules.recipes.parts import Recipe, matrices, rest


def everywhere(initializer: Initializer) -> Recipe:
    """One initializer for all kernels, such as `he_normal()`, with the true fans.

    A draw that knows no fans, such as `normal(0.02)`, is for embeddings and tables of positions as
    well. Any other says nothing of a lookup, which sums nothing: embeddings are N(0, 1/features).

    >>> import jinit
    >>> [rule.initializer for rule in everywhere(jinit.he_normal())[:2]]
    [he_normal(), variance_scaling(scale=1, mode='fan_out', distribution='normal')]
    """
    return (*matrices(initializer), *rest())
