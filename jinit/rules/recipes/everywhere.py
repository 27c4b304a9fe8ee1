"""One initializer for all kernels."""

from jinit.initializers import Initializer
from jinit.rules.recipes.minor_parameters import SMALL_NORMAL, Recipe, minor_rules, weight_rules


def everywhere(initializer: Initializer) -> Recipe:
    """Use one initializer, such as `he_normal()`, for all kernels, with their true fans.

    An initializer that does not depend on fans, such as `normal(0.02)`, is also used for embeddings
    and position tables. With any other initializer, embeddings are N(0, 1/features) and position
    tables N(0, 0.02²), because a lookup has no sum over inputs. Tokens are N(0, 0.02²).

    Args:
      initializer: initializer of all kernels.

    >>> import jinit
    >>> [rule.initializer for rule in everywhere(jinit.he_normal())[:2]]
    [he_normal(), variance_scaling(scale=1, mode='fan_out', distribution='normal')]
    """
    return (*weight_rules(initializer), *minor_rules(SMALL_NORMAL, SMALL_NORMAL))
