"""Transformers with a normalization in front of every branch."""

import math

from jinit.initializers import normal, variance_scaling
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import Recipe, matrices, rest


def gpt2(layers: int, std: float = 0.02) -> Recipe:
    """Everything N(0, std²), but std/√(2 layers) for kernels that end a residual branch.

    Args:
      layers: transformer blocks, each of two branches. std: 0.02 in GPT-2; Megatron-LM and GPT-NeoX
        have the same rule with others.

    Reference: Radford et al., "Language models are unsupervised multitask learners", 2019,
    section 2.3.

    >>> [rule.initializer for rule in gpt2(8)[:2]]
    [normal(0.005), normal(0.02)]
    """
    return (
        Rule(normal(std / math.sqrt(2 * layers)), role="kernel", ends="residual"),
        *matrices(normal(std)),
        *rest(),
    )


def small_init_wang(layers: int) -> Recipe:
    """N(0, 2/(5 d)) for inputs of a block, N(0, 4/(layers² d)) for kernels that end a branch.

    d is the width of the residual stream. GPT-NeoX calls them `small_init` and `wang_init`.

    Reference: Nguyen & Salazar, "Transformers without tears", 2019, section 2.2; Wang &
    Komatsuzaki, "GPT-J-6B", 2021 (its source code).

    >>> small_init_wang(4)[0].initializer
    variance_scaling(scale=0.25, mode='fan_out', distribution='normal')
    """
    return (
        Rule(variance_scaling(4 / layers**2, "fan_out", "normal"), role="kernel", ends="residual"),
        Rule(variance_scaling(0.4, "fan_in", "normal"), role="kernel", optional=True),
        Rule(variance_scaling(0.4, "fan_out", "normal"), role="embedding", optional=True),
        *rest(),
    )


def t5() -> Recipe:
    """Kernels N(0, 1/fan_in), embeddings N(0, 1).

    Reference: Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text
    transformer", 2020 (as in Flaxformer's source).

    >>> t5()[0].initializer
    variance_scaling(scale=1, mode='fan_in', distribution='normal')
    """
    return (
        Rule(variance_scaling(1.0, "fan_in", "normal"), role="kernel"),
        Rule(normal(1.0), role="embedding", optional=True),
        *rest(),
    )
