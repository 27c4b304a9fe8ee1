"""Vision transformers."""

import math
from collections.abc import Sequence

from jinit.initializers import (
    Initializer,
    lecun_normal,
    normal,
    random_uniform,
    timm_trunc_normal,
    torch_default,
    truncated_normal,
    xavier_uniform,
    zeros,
)
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.branch_depth import block_numbers, scale_layers
from jinit.rules.recipes.minor_parameters import (
    SMALL_NORMAL,
    DeferredInitializer,
    Recipe,
    biased_kernel,
    class_token,
    is_logit_table,
    minor_rules,
    uniform_bias,
    weight_rules,
)

_TIMM_NORMAL = timm_trunc_normal(0.0, 0.02, -2.0, 2.0)
_BEIT_NORMAL = truncated_normal(0.02, lower=-1.0, upper=1.0)


def _token(token: Initializer) -> DeferredInitializer:
    """Return the initializer of a class token, and the model's own one for several tokens."""
    return DeferredInitializer(class_token, (token,))


def vit_timm() -> Recipe:
    """Kernels and positions truncated N(0, 0.02²), convolutions as in PyTorch, tokens N(0, 1e-12).

    Convolutions, such as the one of the patches, keep PyTorch's kernels and biases, uniform on
    ±1/√fan_in. All other biases are zero.

    Reference: Wightman, timm, `init_weights_vit_timm` (source code), 2019.

    >>> vit_timm()[0].initializer
    timm_kernel()
    """
    bias = DeferredInitializer(timm_bias)
    return (
        Rule(DeferredInitializer(timm_kernel), role="kernel", optional=True),
        *weight_rules(_TIMM_NORMAL),
        *minor_rules(token=_token(normal(1e-6)), bias=bias),
    )


def timm_kernel(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return PyTorch's default for a convolution, truncated N(0, 0.02²) for any other kernel."""
    del leaves
    return torch_default() if _is_convolution(leaf) else _TIMM_NORMAL


def timm_bias(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return PyTorch's default for the bias of a convolution, zeros for any other bias."""
    kernel = biased_kernel(leaf, leaves)
    return uniform_bias(leaf, leaves) if kernel and _is_convolution(kernel) else zeros


def _is_convolution(leaf: Leaf) -> bool:
    return "spatial" in leaf.axes


def beit() -> Recipe:
    """N(0, 0.02²) truncated at ±0.02, branch ends of block l divided by √(2 (l + 1)).

    The standard deviation after truncation is 0.0108. Patches, tokens and positions are drawn like
    all kernels; biases and tables that are added to attention logits are zero. Blocks l = 0, 1, ...
    have two residual branches each. They are counted in execution order, and each stacked layer of
    a loop separately.

    Reference: Bao et al., "BEiT: BERT pre-training of image transformers", 2021, section 2.5 (its
    source code for pre-training).

    >>> beit()[0].initializer
    beit_branch_end()
    """
    return (
        Rule(DeferredInitializer(beit_branch_end), role="kernel", end="residual"),
        Rule(DeferredInitializer(beit_table), role="embedding", optional=True),
        *weight_rules(_BEIT_NORMAL),
        *minor_rules(token=_token(_BEIT_NORMAL)),
    )


def beit_branch_end(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 0.02²) truncated at ±0.02, divided by √(2 (l + 1)) in block l."""
    factors = [(2 * (block + 1)) ** -0.5 for block in block_numbers(leaf, leaves)]
    return scale_layers(_BEIT_NORMAL, factors, leaf)


def beit_table(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return zeros for a table that is added to attention logits, else N(0, 0.02²) truncated."""
    del leaves
    return zeros if is_logit_table(leaf) else _BEIT_NORMAL


def vit_jax() -> Recipe:
    """Xavier uniform for attention and MLPs, biases of MLPs N(0, 1e-12), output layer zero.

    All other kernels are LeCun normal: that of the patches, and that of a representation before the
    output layer. All other biases, and tokens, are zero; positions are N(0, 0.02²).

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", 2021 (its source code).

    >>> vit_jax()[0].end
    'output'
    """
    return (
        Rule(zeros, role="kernel", end="output", optional=True),
        Rule(DeferredInitializer(vit_jax_kernel), role="kernel", optional=True),
        *minor_rules(_token(zeros), SMALL_NORMAL, bias=DeferredInitializer(vit_jax_bias)),
    )


def vit_jax_kernel(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return Xavier uniform for attention and MLPs, LeCun normal for any other kernel."""
    del leaves
    is_in_block = leaf.attention or (leaf.branch is not None and not _is_convolution(leaf))
    return xavier_uniform() if is_in_block else lecun_normal()


def vit_jax_bias(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 1e-12) for the biases of an MLP, zeros for any other bias."""
    kernel = biased_kernel(leaf, leaves)
    if kernel is None or kernel.branch is None or kernel.attention or _is_convolution(kernel):
        return zeros
    return normal(1e-6)


def vit_moco(fused: str | None = None) -> Recipe:
    """Xavier uniform, separately for queries, keys and values; tokens N(0, 1e-12).

    Queries, keys and values that are fused in one kernel are drawn like three kernels. The patch
    kernel is also Xavier uniform, as the dense kernel of a flattened patch. Positions, which are
    fixed in MoCo, are truncated N(0, 0.02²), as in timm.

    Args:
      fused: glob of kernels that contain queries, keys and values, where jinit cannot read this
        from the computation; None if it can.

    Reference: Chen, Xie, He, "An empirical study of training self-supervised vision transformers",
    2021 (MoCo v3, its source code).

    >>> [rule.attention for rule in vit_moco()[:3]]
    ['query', 'key', 'value']
    """
    parts = ("query", "key", "value")
    stated: Recipe = ()
    if fused is not None:
        stated = (Rule(DeferredInitializer(fused_xavier_uniform), path=fused, role="kernel"),)
    return (
        *stated,
        *(Rule(xavier_uniform(), attention=part, optional=True) for part in parts),
        *weight_rules(xavier_uniform()),
        *minor_rules(token=_token(normal(1e-6)), position=_TIMM_NORMAL),
    )


def fused_xavier_uniform(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return Xavier uniform with the fans of one of three kernels that are concatenated."""
    del leaves
    bound = math.sqrt(6 / ((leaf.fan_in or 0) + (leaf.fan_out or 0) / 3))
    return random_uniform(-bound, bound)
