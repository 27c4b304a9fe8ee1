"""Vision transformers."""

from jinit.initializers import (
    lecun_normal,
    normal,
    timm_trunc_normal,
    torch_default,
    xavier_uniform,
    zeros,
)
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import BesideKernel, Recipe, matrices, rest


def vit_timm() -> Recipe:
    """Dense kernels and positions N(0, 0.02²) cut at ±2, patches as PyTorch, tokens N(0, 1e-12).

    Reference: Wightman, timm, `init_weights_vit_timm` (source code), 2019.

    >>> vit_timm()[1].initializer
    timm_trunc_normal(0, 0.02, -2, 2)
    """
    narrow = timm_trunc_normal(0.0, 0.02, -2.0, 2.0)
    patches = Rule(torch_default(), axes=("spatial", "spatial", "in", "out"), optional=True)
    return (patches, *matrices(narrow), *rest(token=normal(1e-6)))


def vit_jax() -> Recipe:
    """Xavier uniform, the output layer zero, patches LeCun normal, biases of layers N(0, 1e-12).

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", 2021 (its source code).

    >>> vit_jax()[1].ends
    'output'
    """
    return (
        Rule(lecun_normal(), axes=("spatial", "spatial", "in", "out"), optional=True),
        Rule(zeros, role="kernel", ends="output", optional=True),
        *matrices(xavier_uniform()),
        *rest(token=zeros, bias=BesideKernel("vit_jax")),
    )
