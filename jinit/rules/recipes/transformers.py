"""Transformers with a normalization in front of every branch."""

import math
from collections.abc import Sequence

from jinit.initializers import Initializer, normal, truncated_normal, variance_scaling, zeros
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.depth import blocks_of, by_depth
from jinit.rules.recipes.parts import Made, Recipe, matrices, rest


def gpt2(layers: int, std: float = 0.02) -> Recipe:
    """Everything N(0, std²), but std/√(2 layers) for kernels that end a residual branch.

    Args:
      layers: transformer blocks, each of two branches. std: of everything else.

    Reference: Radford et al., "Language models are unsupervised multitask learners", 2019,
    section 2.3.

    >>> [rule.initializer for rule in gpt2(8)[:2]]
    [normal(0.005), normal(0.02)]
    """
    return megatron(layers, std)


def megatron(layers: int, std: float = 0.02, branches: int = 2) -> Recipe:
    """Everything N(0, std²), but std/√(branches · layers) for kernels that end a residual branch.

    Megatron-LM and GPT-NeoX call the latter `scaled_normal`, and with one branch per layer, as in
    Mamba, `single_residual_scaled_normal`.

    Args:
      layers: blocks. std: of everything else. branches: residual branches of a block.

    Reference: Shoeybi et al., "Megatron-LM", 2019, section 4.

    >>> megatron(16, branches=1)[0].initializer
    normal(0.005)
    """
    end = normal(std / math.sqrt(branches * layers))
    return (Rule(end, role="kernel", ends="residual"), *matrices(normal(std)), *rest())


def full_megatron(layers: int, std: float = 0.02, cut: float = 3.0) -> Recipe:
    """As `megatron`, but cut at ±`cut` standard deviations, and 1/√fan_in for the output layer.

    The cut is not corrected for: at 3 the standard deviation is 0.987 of what is said.

    Args:
      layers: blocks of two branches. std: of everything else. cut: in standard deviations.

    Reference: Groeneveld et al., "OLMo: accelerating the science of language models", 2024 (its
    source code, `full_megatron`).

    >>> full_megatron(8)[0].initializer
    truncated_normal(0.005, lower=-3, upper=3)
    """
    end = truncated_normal(std / math.sqrt(2 * layers), lower=-cut, upper=cut)
    return (
        Rule(end, role="kernel", ends="residual"),
        Rule(Made(cut_fan_in, (cut,)), role="kernel", ends="output", optional=True),
        *matrices(truncated_normal(std, lower=-cut, upper=cut)),
        *rest(),
    )


def mitchell(cut: float = 3.0) -> Recipe:
    """Kernels N(0, 1/fan_in), those that end a branch of block l N(0, 1/(2 (l + 1) fan_in)), cut.

    Blocks l = 0, 1, ... have two branches each and count in execution order, stacked layers of a
    loop one by one. Embeddings have the standard deviation 1/√features.

    Args:
      cut: bounds in standard deviations, not corrected for.

    Reference: Groeneveld et al., "OLMo: accelerating the science of language models", 2024 (its
    source code, `mitchell`).

    >>> mitchell()[1].initializer
    cut_fan_in(3.0)
    """
    return (
        Rule(Made(cut_by_block, (cut,)), role="kernel", ends="residual"),
        Rule(Made(cut_fan_in, (cut,)), role="kernel", optional=True),
        Rule(Made(cut_features, (cut,)), role="embedding", optional=True),
        *rest(),
    )


def cut_fan_in(leaf: Leaf, leaves: Sequence[Leaf], cut: float) -> Initializer:
    """`z / √fan_in`, z standard normal cut at ±`cut`."""
    del leaves
    return truncated_normal((leaf.fan_in or 1) ** -0.5, lower=-cut, upper=cut)


def cut_features(leaf: Leaf, leaves: Sequence[Leaf], cut: float) -> Initializer:
    """`z / √features`, z standard normal cut at ±`cut`."""
    del leaves
    return truncated_normal((leaf.fan_out or 1) ** -0.5, lower=-cut, upper=cut)


def cut_by_block(leaf: Leaf, leaves: Sequence[Leaf], cut: float) -> Initializer:
    """`z / √(2 (l + 1) fan_in)` in block l, z standard normal cut at ±`cut`."""
    factors = [(2 * (block + 1)) ** -0.5 for block in blocks_of(leaf, leaves)]
    return by_depth(cut_fan_in(leaf, leaves, cut), factors, leaf)


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


def modded_nanogpt() -> Recipe:
    """Kernels uniform of standard deviation 0.5/√fan_in, branch ends zero, output N(0, 0.005²).

    Embeddings are N(0, 1), PyTorch's own.

    Reference: Jordan et al., "modded-nanogpt: speedrunning the NanoGPT baseline", 2024 (source
    code).

    >>> modded_nanogpt()[0].initializer
    zeros
    """
    return (
        Rule(zeros, role="kernel", ends="residual"),
        Rule(normal(0.005), role="kernel", ends="output", optional=True),
        Rule(variance_scaling(0.25, "fan_in", "uniform"), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *rest(),
    )


def switch_transformer(router: Initializer | None = None, scale: float = 0.1) -> Recipe:
    """Kernels truncated normal of variance scale/fan_in, experts by the fan-in of one of them.

    Args:
      router: of the kernels behind which a softmax chooses the expert; as all others by default,
        `jinit.normal(0.02)` in Flaxformer. scale: a tenth of the usual variance.

    Reference: Fedus, Zoph, Shazeer, "Switch transformers", 2021, section 2.4.

    >>> switch_transformer()[0].initializer
    variance_scaling(scale=0.1, mode='fan_in', distribution='truncated_normal')
    """
    chosen = () if router is None else (Rule(router, role="kernel", ends="softmax"),)
    kernels = variance_scaling(scale, "fan_in", "truncated_normal")
    return (
        *chosen,
        Rule(kernels, role="kernel"),
        Rule(normal(1.0), role="embedding", optional=True),
        *rest(),
    )
