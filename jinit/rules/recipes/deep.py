"""Transformers whose branches are scaled with depth."""

from jinit.initializers import variance_scaling, xavier_normal
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import Recipe, matrices, rest


def deepnorm(layers: int, values: str = "**/value/kernel") -> Recipe:
    """Xavier normal, times `(8 layers)^(-1/4)` for values, branch ends and the layers before them.

    For an encoder or a decoder alone; the stream itself is multiplied by `(2 layers)^(1/4)`.

    Args:
      layers: transformer blocks. values: glob of the attention's value kernels, which cannot be
        told from queries and keys by what follows them.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm(2)[0].initializer
    variance_scaling(scale=0.25, mode='fan_avg', distribution='truncated_normal')
    """
    gain = variance_scaling((8 * layers) ** -0.5, "fan_avg", "truncated_normal")
    return (
        Rule(gain, role="kernel", path=values),
        Rule(gain, role="kernel", ends="residual", optional=True),
        Rule(gain, role="kernel", ends="product", optional=True),
        *matrices(xavier_normal()),
        *rest(),
    )
