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
    xavier_uniform,
    zeros,
)
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.branch_depth import block_numbers, scale_layers
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    minor_rules,
    normal_bias,
    weight_rules,
)

_PATCH_AXES = ("spatial", "spatial", "in", "out")
_TIMM_NORMAL = timm_trunc_normal(0.0, 0.02, -2.0, 2.0)


def vit_timm() -> Recipe:
    """Kernels and positions truncated N(0, 0.02²), patches as in PyTorch, tokens N(0, 1e-12).

    Reference: Wightman, timm, `init_weights_vit_timm` (source code), 2019.

    >>> vit_timm()[1].initializer
    timm_trunc_normal(0, 0.02, -2, 2)
    """
    return (*_timm_weight_rules(), *minor_rules(token=normal(1e-6)))


def _timm_weight_rules() -> Recipe:
    """Return rules for patches, as in PyTorch, and for all other kernels and tables."""
    patches = Rule(torch_default(), axes=_PATCH_AXES, optional=True)
    return (patches, *weight_rules(_TIMM_NORMAL))


def beit() -> Recipe:
    """Return `vit_timm` with tokens N(0, 0.02²) and branch ends of block l divided by √(2 (l + 1)).

    Blocks l = 0, 1, ... have two residual branches each. They are counted in execution order, and
    each stacked layer of a loop separately. timm calls it `fix_init_weight`.

    Reference: Bao et al., "BEiT: BERT pre-training of image transformers", 2021, section 2.5.

    >>> beit()[0].initializer
    beit_branch_end()
    """
    ends = Rule(DeferredInitializer(beit_branch_end), role="kernel", end="residual")
    return (ends, *_timm_weight_rules(), *minor_rules(token=_TIMM_NORMAL))


def beit_branch_end(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 0.02²) truncated at ±2, divided by √(2 (l + 1)) in block l."""
    factors = [(2 * (block + 1)) ** -0.5 for block in block_numbers(leaf, leaves)]
    return scale_layers(_TIMM_NORMAL, factors, leaf)


def vit_jax() -> Recipe:
    """Xavier uniform, output layer zero, patches LeCun normal, biases of layers N(0, 1e-12).

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", 2021 (its source code).

    >>> vit_jax()[1].end
    'output'
    """
    return (
        Rule(lecun_normal(), axes=_PATCH_AXES, optional=True),
        Rule(zeros, role="kernel", end="output", optional=True),
        *weight_rules(xavier_uniform()),
        *minor_rules(token=zeros, bias=DeferredInitializer(normal_bias, (1e-6,))),
    )


def vit_moco(fused: str | None = None) -> Recipe:
    """Xavier uniform, separately for queries, keys and values; tokens N(0, 1e-12).

    A fused kernel `(in, 3 · out)` is uniform on `±√(6 / (in + out))`. The patch kernel is also
    Xavier uniform, as the dense kernel of a flattened patch.

    Args:
      fused: glob of kernels that contain queries, keys and values; None if there are none.

    Reference: Chen, Xie, He, "An empirical study of training self-supervised vision transformers",
    2021 (MoCo v3, its source code).

    >>> vit_moco("**/qkv/kernel")[0].initializer
    fused_xavier_uniform(3)
    """
    fused_rules: Recipe = ()
    if fused is not None:
        kernel = DeferredInitializer(fused_xavier_uniform, (3,))
        fused_rules = (Rule(kernel, path=fused, role="kernel"),)
    return (*fused_rules, *weight_rules(xavier_uniform()), *minor_rules(token=normal(1e-6)))


def fused_xavier_uniform(leaf: Leaf, leaves: Sequence[Leaf], kernels: int) -> Initializer:
    """Return Xavier uniform with the fans of one of the kernels that are concatenated."""
    del leaves
    bound = math.sqrt(6 / ((leaf.fan_in or 0) + (leaf.fan_out or 0) / kernels))
    return random_uniform(-bound, bound)
