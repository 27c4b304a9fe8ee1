"""One initializer for all."""

from jinit.initializers import Initializer
from jinit.rules.recipes.parts import Recipe, matrices, rest


def everywhere(initializer: Initializer) -> Recipe:
    """One initializer for all kernels and embeddings, such as `he_normal()`, with the true fans.

    >>> import jinit
    >>> everywhere(jinit.he_normal())[0]
    Rule(he_normal(), role='kernel')
    """
    return (*matrices(initializer), *rest())
