"""Published ways to start a whole network, as tuples of rules for any model.

They go by what parameters do, not by what they are called: a kernel that ends a residual branch is
the one that papers call `c_proj`, `fc2` or `out_proj`.
"""

import math
from dataclasses import dataclass

from jinit.initializers import (
    Initializer,
    haiku_default,
    he_normal,
    keras_default,
    lecun_normal,
    normal,
    ones,
    random_uniform,
    timm_trunc_normal,
    torch_default,
    torch_default_bias,
    truncated_normal,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from jinit.model import Leaf
from jinit.rules.match import Rule

Recipe = tuple[Rule, ...]


_TOKEN = normal(0.02)


def _rest(token: Initializer = _TOKEN, bias: object = zeros) -> Recipe:
    """Biases zero, scales one, tokens as said, as far as a model has them."""
    return (
        Rule(bias, role="bias", optional=True),
        Rule(ones, role="scale", optional=True),
        Rule(token, role="token", optional=True),
        Rule(_TOKEN, role="position", optional=True),
    )


def _matrices(initializer: Initializer) -> Recipe:
    """Kernels, embeddings and tables of positions alike."""
    roles = ("kernel", "embedding", "position")
    return tuple(Rule(initializer, role=role, optional=True) for role in roles)


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
        *_matrices(normal(std)),
        *_rest(),
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
        *_rest(),
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
        *_rest(),
    )


def vit_timm() -> Recipe:
    """Dense kernels and positions N(0, 0.02²) cut at ±2, patches as PyTorch, tokens N(0, 1e-12).

    Reference: Wightman, timm, `init_weights_vit_timm` (source code), 2019.

    >>> vit_timm()[1].initializer
    timm_trunc_normal(0, 0.02, -2, 2)
    """
    narrow = timm_trunc_normal(0.0, 0.02, -2.0, 2.0)
    patches = Rule(torch_default(), axes=("spatial", "spatial", "in", "out"), optional=True)
    return (patches, *_matrices(narrow), *_rest(token=normal(1e-6)))


def vit_jax() -> Recipe:
    """Xavier uniform, the output layer zero, patches LeCun normal, biases of layers N(0, 1e-12).

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", 2021 (its source code).

    >>> vit_jax()[1].ends
    'output'
    """
    return (
        Rule(lecun_normal(), axes=("spatial", "spatial", "in", "out"), optional=True),
        Rule(zeros, role="kernel", ends="output", optional=True),
        *_matrices(xavier_uniform()),
        *_rest(token=zeros, bias=_BesideKernel("vit_jax")),
    )


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
        *_matrices(xavier_normal()),
        *_rest(),
    )


def zero_branches(start: Initializer | None = None) -> Recipe:
    """Every residual branch ends in zeros, so that the network starts as its stream alone.

    Args:
      start: of all other kernels and embeddings, `he_normal()` by default.

    Reference: De & Smith, "Batch normalization biases residual blocks towards the identity function
    in deep networks", 2020 (SkipInit); Zhang et al., "Fixup initialization", 2019, section 3.

    >>> zero_branches()[0].initializer
    zeros
    """
    others = _matrices(start or he_normal())
    return (Rule(zeros, role="kernel", ends="residual"), *others, *_rest())


def everywhere(initializer: Initializer) -> Recipe:
    """One initializer for all kernels and embeddings, such as `he_normal()`, with the true fans.

    >>> everywhere(he_normal())[0]
    Rule(he_normal(), role='kernel')
    """
    return (*_matrices(initializer), *_rest())


def pytorch() -> Recipe:
    """PyTorch's defaults: kernels and biases uniform on ±1/√fan_in, embeddings N(0, 1).

    >>> pytorch()[0].initializer
    torch_default()
    """
    return (
        Rule(torch_default(), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *_rest(bias=_BesideKernel("pytorch")),
    )


def keras() -> Recipe:
    """Keras's defaults: Xavier uniform kernels, embeddings uniform on ±0.05, biases zero.

    >>> keras()[1].initializer
    random_uniform(-0.05, 0.05)
    """
    return (
        Rule(keras_default(), role="kernel", optional=True),
        Rule(random_uniform(-0.05, 0.05), role="embedding", optional=True),
        *_rest(),
    )


def haiku() -> Recipe:
    """Haiku's defaults: kernels N(0, 1/fan_in) cut at ±2, embeddings N(0, 1) cut likewise.

    >>> haiku()[0].initializer
    haiku_default()
    """
    return (
        Rule(haiku_default(), role="kernel", optional=True),
        Rule(truncated_normal(1.0), role="embedding", optional=True),
        *_rest(),
    )


@dataclass(frozen=True)
class _BesideKernel:
    """Biases that depend on the kernel to whose product they are added."""

    recipe: str

    def fitted_to(self, leaf: Leaf) -> Initializer:
        """Of a norm, which has no kernel, zero."""
        if leaf.fan_in is None:
            return zeros
        return torch_default_bias(int(leaf.fan_in)) if self.recipe == "pytorch" else normal(1e-6)
