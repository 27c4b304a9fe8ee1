"""Transformers with a normalization before every residual branch."""

import math
from collections.abc import Sequence

from jinit.initializers import Initializer, normal, truncated_normal, variance_scaling, zeros
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.branch_depth import block_numbers, scale_layers
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    is_logit_table,
    minor_rules,
    stream_width,
    tied_rule,
    weight_rules,
)


def gpt2(layers: int, std: float = 0.02) -> Recipe:
    """GPT-2: all weights N(0, std²), with std/√(2 layers) for kernels that end a residual branch.

    Token and position tables are N(0, std²) too, as in nanoGPT and Hugging Face; OpenAI's code has
    half that standard deviation for positions.

    Args:
      layers: number of transformer blocks, with two residual branches each.
      std: standard deviation of all other kernels and tables.

    Reference: Radford et al., "Language models are unsupervised multitask learners", 2019,
    section 2.3.

    >>> [rule.initializer for rule in gpt2(8)[:2]]
    [normal(0.005), normal(0.02)]
    """
    return megatron(layers, std)


def megatron(layers: int, std: float = 0.02, branches: int = 2) -> Recipe:
    """Megatron: N(0, std²), with std/√(branches · layers) for kernels that end a residual branch.

    Megatron-LM and GPT-NeoX call the latter `scaled_normal`, and with one branch per layer, as in
    Mamba, `single_residual_scaled_normal`.

    Args:
      layers: number of blocks.
      std: standard deviation of all other kernels and tables.
      branches: residual branches per block.

    Reference: Shoeybi et al., "Megatron-LM", 2019, section 4.

    >>> megatron(16, branches=1)[0].initializer
    normal(0.005)
    """
    end = normal(std / math.sqrt(branches * layers))
    return (Rule(end, role="kernel", end="residual"), *weight_rules(normal(std)), *minor_rules())


def full_megatron(layers: int, std: float = 0.02, cutoff: float = 3.0) -> Recipe:
    """Return `megatron` truncated at ±`cutoff` and with std 1/√fan_in for an untied output layer.

    The truncation is not corrected: with a cutoff of 3 the true standard deviation is 0.987 times
    the stated one.

    Args:
      layers: number of blocks, with two residual branches each.
      std: standard deviation of all other kernels and tables.
      cutoff: bound of the truncated normal in standard deviations.

    Reference: Groeneveld et al., "OLMo: accelerating the science of language models", 2024 (its
    source code, `full_megatron`).

    >>> full_megatron(8)[0].initializer
    truncated_normal(0.005, lower=-3, upper=3)
    """
    end = truncated_normal(std / math.sqrt(2 * layers), lower=-cutoff, upper=cutoff)
    others = truncated_normal(std, lower=-cutoff, upper=cutoff)
    output = DeferredInitializer(olmo_kernel, (cutoff,))
    return (
        Rule(end, role="kernel", end="residual"),
        tied_rule(others),
        Rule(output, role="kernel", end="output", optional=True),
        *weight_rules(others),
        *minor_rules(),
    )


def mitchell(cutoff: float = 3.0) -> Recipe:
    """Mitchell: truncated N(0, 1/fan_in), and N(0, 1/(2 (l + 1) fan_in)) at branch ends of block l.

    Blocks l = 0, 1, ... have two residual branches each. They are counted in execution order, and
    each stacked layer of a loop separately. Embeddings and position tables have the standard
    deviation 1/√width, with the width of the residual stream.

    Args:
      cutoff: bound of the truncated normals in standard deviations, which is not corrected.

    Reference: Groeneveld et al., "OLMo: accelerating the science of language models", 2024 (its
    source code, `mitchell`).

    >>> mitchell()[1].initializer
    olmo_kernel(3.0)
    """
    return (
        Rule(DeferredInitializer(olmo_branch_end, (cutoff,)), role="kernel", end="residual"),
        Rule(DeferredInitializer(olmo_kernel, (cutoff,)), role="kernel", optional=True),
        *(
            Rule(DeferredInitializer(olmo_table, (cutoff,)), role=role, optional=True)
            for role in ("embedding", "position")
        ),
        *minor_rules(),
    )


def olmo_kernel(leaf: Leaf, leaves: Sequence[Leaf], cutoff: float) -> Initializer:
    """Return `z / √fan_in`, z standard normal truncated at ±`cutoff`."""
    del leaves
    return truncated_normal((leaf.fan_in or 1) ** -0.5, lower=-cutoff, upper=cutoff)


def olmo_table(leaf: Leaf, leaves: Sequence[Leaf], cutoff: float) -> Initializer:
    """Return `z / √width` for a table of tokens or positions, z as in `olmo_kernel`."""
    return truncated_normal(_table_width(leaf, leaves) ** -0.5, lower=-cutoff, upper=cutoff)


def _table_width(leaf: Leaf, leaves: Sequence[Leaf]) -> float:
    """Return the width of a row of a table, or that of the residual stream for positions."""
    width = leaf.fan_out if leaf.role == "embedding" else stream_width(leaves)
    return width or leaf.shape[-1]


def olmo_branch_end(leaf: Leaf, leaves: Sequence[Leaf], cutoff: float) -> Initializer:
    """Return `z / √(2 (l + 1) fan_in)` in block l, z standard normal truncated at ±`cutoff`."""
    factors = [(2 * (block + 1)) ** -0.5 for block in block_numbers(leaf, leaves)]
    return scale_layers(olmo_kernel(leaf, leaves, cutoff), factors, leaf)


def small_init_wang(layers: int) -> Recipe:
    """N(0, 2/(5 d)), with N(0, 4/(layers² d)) for kernels that end a residual branch.

    d is the width of the residual stream. Tables of tokens and positions are N(0, 2/(5 d)) too.
    GPT-NeoX calls them `small_init` and `wang_init`.

    Args:
      layers: number of transformer blocks.

    Reference: Nguyen & Salazar, "Transformers without tears", 2019, section 2.2; Wang &
    Komatsuzaki, "GPT-J-6B", 2021 (its source code).

    >>> small_init_wang(4)[0].initializer
    variance_scaling(scale=0.25, mode='fan_out', distribution='normal')
    """
    return (
        Rule(variance_scaling(4 / layers**2, "fan_out", "normal"), role="kernel", end="residual"),
        Rule(variance_scaling(0.4, "fan_in", "normal"), role="kernel", optional=True),
        *(
            Rule(DeferredInitializer(small_init_table), role=role, optional=True)
            for role in ("embedding", "position")
        ),
        *minor_rules(),
    )


def small_init_table(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 2/(5 d)) for a table with rows of width d."""
    return normal(math.sqrt(0.4 / _table_width(leaf, leaves)))


def t5() -> Recipe:
    """T5: kernels N(0, 1/fan_in), query kernels N(0, 1/(fan_in · head_dim)), embeddings N(0, 1).

    The factor 1/√head_dim of the queries stands for that of attention logits, which T5 leaves out.
    Tables that are added to attention logits are N(0, 1/d), d the width of the residual stream.
    Embeddings that are tied to the output layer are N(0, 1) too: T5 divides their inputs by √d.

    Reference: Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text
    transformer", 2020 (source code: Mesh TensorFlow, and Hugging Face Transformers).

    >>> t5()[2].initializer
    variance_scaling(scale=1, mode='fan_in', distribution='normal')
    """
    return (
        Rule(DeferredInitializer(t5_query), attention="query", optional=True),
        tied_rule(normal(1.0)),
        Rule(variance_scaling(1.0, "fan_in", "normal"), role="kernel"),
        Rule(DeferredInitializer(t5_table), role="embedding", optional=True),
        *minor_rules(),
    )


def t5_query(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 1/(fan_in · head_dim)) for a query kernel."""
    del leaves
    return variance_scaling(1 / leaf.attention[0].head_dim, "fan_in", "normal")


def t5_table(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 1) for a table of tokens, N(0, 1/d) for one that is added to attention logits."""
    return normal((stream_width(leaves) or 1) ** -0.5 if is_logit_table(leaf) else 1.0)


def modded_nanogpt() -> Recipe:
    """Kernels uniform with std 0.5/√fan_in, branch ends zero, output layer N(0, 0.005²).

    Embeddings are N(0, 1), the default of PyTorch. Fused kernels have the same distribution.

    Reference: Jordan et al., "modded-nanogpt: speedrunning the NanoGPT baseline", 2024 (source
    code).

    >>> modded_nanogpt()[0].initializer
    zeros
    """
    return (
        Rule(zeros, role="kernel", end="residual"),
        Rule(normal(0.005), role="kernel", end="output", optional=True),
        Rule(variance_scaling(0.25, "fan_in", "uniform"), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *minor_rules(),
    )


def switch_transformer(router: Initializer | None = None, scale: float = 0.1) -> Recipe:
    """Kernels truncated normal with variance scale/fan_in; for experts, the fan-in of one expert.

    Args:
      router: initializer of the kernels before the softmax that selects the expert, such as
        `jinit.normal(0.02)` in Flaxformer; None for that of the other kernels.
      scale: variance times fan_in; the default is a tenth of the usual value.

    Reference: Fedus, Zoph, Shazeer, "Switch transformers", 2021, section 2.4.

    >>> switch_transformer()[1].initializer
    variance_scaling(scale=0.1, mode='fan_in', distribution='truncated_normal')
    """
    router_rules = () if router is None else (Rule(router, role="kernel", end="softmax"),)
    kernels = variance_scaling(scale, "fan_in", "truncated_normal")
    return (
        *router_rules,
        tied_rule(normal(1.0)),
        Rule(kernels, role="kernel"),
        Rule(normal(1.0), role="embedding", optional=True),
        *minor_rules(),
    )
