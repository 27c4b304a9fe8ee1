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
from jinit.rules.recipes.depth import blocks_of, by_depth
from jinit.rules.recipes.parts import Made, Recipe, matrices, narrow_beside, rest

_PATCHES = ("spatial", "spatial", "in", "out")
_NARROW = timm_trunc_normal(0.0, 0.02, -2.0, 2.0)


def vit_timm() -> Recipe:
    """Dense kernels and positions N(0, 0.02²) cut at ±2, patches as PyTorch, tokens N(0, 1e-12).

    Reference: Wightman, timm, `init_weights_vit_timm` (source code), 2019.

    >>> vit_timm()[1].initializer
    timm_trunc_normal(0, 0.02, -2, 2)
    """
    patches = Rule(torch_default(), axes=_PATCHES, optional=True)
    return (patches, *matrices(_NARROW), *rest(token=normal(1e-6)))


def beit() -> Recipe:
    """As `vit_timm` with tokens N(0, 0.02²), but branch ends of block l divided by √(2 (l + 1)).

    Blocks l = 0, 1, ... have two branches each and count in execution order, stacked layers of a
    loop one by one. timm calls it `fix_init_weight`.

    Reference: Bao et al., "BEiT: BERT pre-training of image transformers", 2021, section 2.5.

    >>> beit()[0].initializer
    narrow_by_block()
    """
    ends = Rule(Made(narrow_by_block), role="kernel", ends="residual")
    return (ends, *vit_timm()[:-4], *rest(token=_NARROW))


def narrow_by_block(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """N(0, 0.02²) cut at ±2, divided by √(2 (l + 1)) in block l."""
    factors = [(2 * (block + 1)) ** -0.5 for block in blocks_of(leaf, leaves)]
    return by_depth(_NARROW, factors, leaf)


def vit_jax() -> Recipe:
    """Xavier uniform, the output layer zero, patches LeCun normal, biases of layers N(0, 1e-12).

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", 2021 (its source code).

    >>> vit_jax()[1].ends
    'output'
    """
    return (
        Rule(lecun_normal(), axes=_PATCHES, optional=True),
        Rule(zeros, role="kernel", ends="output", optional=True),
        *matrices(xavier_uniform()),
        *rest(token=zeros, bias=Made(narrow_beside, (1e-6,))),
    )


def vit_moco(fused: str | None = None) -> Recipe:
    """Xavier uniform, queries, keys and values each for itself; tokens N(0, 1e-12).

    A fused kernel `(in, 3 · out)` is uniform on `±√(6 / (in + out))`. So are patches, as the dense
    layer of a flat patch that they are.

    Args:
      fused: glob of kernels that hold queries, keys and values side by side, if there are any.

    Reference: Chen, Xie, He, "An empirical study of training self-supervised vision transformers",
    2021 (MoCo v3, its source code).

    >>> vit_moco("**/qkv/kernel")[0].initializer
    xavier_of_parts(3)
    """
    side = () if fused is None else (Rule(Made(xavier_of_parts, (3,)), path=fused, role="kernel"),)
    return (*side, *matrices(xavier_uniform()), *rest(token=normal(1e-6)))


def xavier_of_parts(leaf: Leaf, leaves: Sequence[Leaf], parts: int) -> Initializer:
    """Xavier uniform for each of several kernels that lie side by side in one."""
    del leaves
    bound = math.sqrt(6 / ((leaf.fan_in or 0) + (leaf.fan_out or 0) / parts))
    return random_uniform(-bound, bound)
