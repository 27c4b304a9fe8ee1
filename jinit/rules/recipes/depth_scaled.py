"""Transformers whose residual branches are scaled with depth: post-norm, sub-LN, or no norm.

"Branch kernels" are the value kernels of attention, the kernels that end a residual branch, and the
kernels before them in an MLP: `v_proj`, `out_proj`, `fc1` and `fc2` of the papers. Values that are
fused with queries and keys are scaled alone.
"""

import math

from jinit.initializers import variance_scaling, xavier_uniform
from jinit.initializers.variance import DistributionName
from jinit.rules.match import Rule
from jinit.rules.recipes.minor_parameters import (
    UNIT_TIED_TABLE,
    Recipe,
    minor_rules,
    tied_rule,
    weight_rules,
)

_XAVIER_NORMAL = variance_scaling(1.0, "fan_avg", "normal")
"""PyTorch's `xavier_normal_`, which is not truncated."""
_ONLY_ENCODER, _ONLY_DECODER = (
    rf"(?:(?!{other})[^/])*{word}(?:(?!{other})[^/])*"
    for word, other in (("encoder", "decoder"), ("decoder", "encoder"))
)
_ENCODER = rf"(?i)^(?:(?!{_ONLY_DECODER}(?:/|$))[^/]*/)*{_ONLY_ENCODER}(?:/|$)"
"""The first name of the path that says encoder or decoder, but not both, says encoder."""


def deepnorm(layers: int) -> Recipe:
    """DeepNorm: Xavier normal, times `(8 layers)^(-1/4)` for branch kernels.

    This is for an encoder or a decoder alone. The network multiplies the residual stream by
    `(2 layers)^(1/4)`.

    Args:
      layers: number of transformer blocks.

    Raises:
      RuleError: in a plan, if the model has no attention that can be read.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm(2)[0].initializer
    variance_scaling(scale=0.25, mode='fan_avg', distribution='normal')
    """
    return (
        *_branch_rules((8 * layers) ** -0.25),
        tied_rule(UNIT_TIED_TABLE),
        *weight_rules(_XAVIER_NORMAL),
        *minor_rules(),
    )


def deepnorm_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER
) -> Recipe:
    """DeepNorm of an encoder and a decoder: Xavier normal, with one factor per side.

    The factor of branch kernels is `0.87 (N⁴ M)^(-1/16)` in the encoder and `(12 M)^(-1/4)` in the
    decoder, for N encoder and M decoder layers. The network multiplies the residual streams by
    `0.81 (N⁴ M)^(1/16)` and `(3 M)^(1/4)`.

    Args:
      encoder_layers: number of transformer blocks in the encoder.
      decoder_layers: number of transformer blocks in the decoder.
      encoder: regular expression that is found in the paths of the encoder's parameters; by
        default, the first name in the path that says encoder or decoder, but not both, decides.

    Raises:
      RuleError: in a plan, if one of the sides has no attention that can be read.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> round(deepnorm_encoder_decoder(6, 6)[0].initializer.scale, 4)  # 0.87² 6^(-5/8)
    0.247
    """
    encoder_factor = 0.87 * (encoder_layers**4 * decoder_layers) ** (-1 / 16)
    return (
        *_branch_rules(encoder_factor, encoder),
        *_branch_rules((12 * decoder_layers) ** -0.25),
        tied_rule(UNIT_TIED_TABLE),
        *weight_rules(_XAVIER_NORMAL),
        *minor_rules(),
    )


def sub_ln(layers: int) -> Recipe:
    """Sub-LN (Magneto): Xavier normal, times `√(log(2 layers))` for branch kernels.

    This is for an encoder or a decoder alone, with a second normalization inside every branch.

    Args:
      layers: number of transformer blocks.

    Raises:
      RuleError: in a plan, if the model has no attention that can be read.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> round(sub_ln(2)[0].initializer.scale, 4)  # log 4
    1.3863
    """
    factor = math.sqrt(math.log(2 * layers))
    return (
        *_branch_rules(factor),
        tied_rule(UNIT_TIED_TABLE),
        *weight_rules(_XAVIER_NORMAL),
        *minor_rules(),
    )


def sub_ln_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER
) -> Recipe:
    """Sub-LN of an encoder and a decoder: Xavier normal, with one factor per side.

    The factor of branch kernels is `√(log(3M) log(2N) / 3)` in the encoder and `√(log(3M))` in the
    decoder, for N encoder and M decoder layers. Attention of the decoder to the encoder is scaled
    too, as in the paper; the published code does not scale it.

    Args:
      encoder_layers: number of transformer blocks in the encoder.
      decoder_layers: number of transformer blocks in the decoder.
      encoder: regular expression that is found in the paths of the encoder's parameters; by
        default, the first name in the path that says encoder or decoder, but not both, decides.

    Raises:
      RuleError: in a plan, if one of the sides has no attention that can be read.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> round(sub_ln_encoder_decoder(6, 6)[0].initializer.scale, 4)  # log 18 log 12 / 3
    2.3941
    """
    decoder_variance = math.log(3 * decoder_layers)
    encoder_variance = decoder_variance * math.log(2 * encoder_layers) / 3
    return (
        *_branch_rules(math.sqrt(encoder_variance), encoder),
        *_branch_rules(math.sqrt(decoder_variance)),
        tied_rule(UNIT_TIED_TABLE),
        *weight_rules(_XAVIER_NORMAL),
        *minor_rules(),
    )


def t_fixup(layers: int, encoder: str | None = None) -> Recipe:
    """T-Fixup: Xavier uniform, branch kernels times `(9N)^(-1/4)`, in the encoder `0.67 N^(-1/4)`.

    Embeddings are N(0, 1/features) times `(9N)^(-1/4)`. This is for transformers without
    normalization and without warm-up.

    Args:
      layers: number of blocks N of the decoder, and of the encoder.
      encoder: regular expression that is found in the paths of the encoder's parameters; None if
        there is no encoder, "" if there is only an encoder.

    Raises:
      RuleError: in a plan, if one of the sides has no attention that can be read.

    Reference: Huang et al., "Improving transformer optimization through better initialization",
    2020, section 3.2.

    >>> round(t_fixup(9)[0].initializer.scale, 4)  # 1/9
    0.1111
    """
    factor = (9 * layers) ** -0.25
    encoder_rules: Recipe = ()
    if encoder is not None:
        encoder_rules = _branch_rules(0.67 * layers**-0.25, encoder, "uniform")
    decoder_rules: Recipe = ()
    if encoder != "":
        decoder_rules = _branch_rules(factor, None, "uniform")
    embedding = variance_scaling(factor**2, "fan_out", "normal")
    return (
        *encoder_rules,
        *decoder_rules,
        tied_rule(variance_scaling(factor**2, "fan_in", "normal")),
        Rule(embedding, role="embedding", optional=True),
        *weight_rules(xavier_uniform()),
        *minor_rules(),
    )


def _branch_rules(
    factor: float, regex: str | None = None, distribution: DistributionName = "normal"
) -> Recipe:
    """Return rules for branch kernels: Xavier times the factor."""
    kernel = variance_scaling(factor**2, "fan_avg", distribution)
    return (
        Rule(kernel, attention="value", regex=regex),
        Rule(kernel, attention="output", regex=regex, optional=True),
        Rule(kernel, role="kernel", end="residual", regex=regex, optional=True),
        Rule(kernel, role="kernel", end="product", regex=regex, branch=True, optional=True),
    )
