"""Transformers whose residual branches are scaled with depth: post-norm, sub-LN, or no norm.

"Branch kernels" are the value kernels of attention, the kernels that end a residual branch, and the
kernels before them in an MLP: `v_proj`, `out_proj`, `fc1` and `fc2` of the papers.
"""

import math

from jinit.initializers import variance_scaling, xavier_normal, xavier_uniform
from jinit.initializers.variance import DistributionName
from jinit.rules.match import Rule
from jinit.rules.recipes.minor_parameters import Recipe, minor_rules, weight_rules

_VALUE_KERNELS = "**/value/kernel"
_ENCODER = r"(^|/)encoder"


def deepnorm(layers: int, values: str = _VALUE_KERNELS) -> Recipe:
    """DeepNorm: Xavier normal, times `(8 layers)^(-1/4)` for branch kernels.

    This is for an encoder or a decoder alone. The network multiplies the residual stream by
    `(2 layers)^(1/4)`.

    Args:
      layers: number of transformer blocks.
      values: glob of the value kernels of attention, which the computation does not distinguish
        from queries and keys.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm(2)[0].initializer
    variance_scaling(scale=0.25, mode='fan_avg', distribution='truncated_normal')
    """
    return (
        *_branch_rules((8 * layers) ** -0.25, values),
        *weight_rules(xavier_normal()),
        *minor_rules(),
    )


def deepnorm_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER, values: str = _VALUE_KERNELS
) -> Recipe:
    """DeepNorm of an encoder and a decoder: Xavier normal, with one factor per side.

    The factor of branch kernels is `0.87 (N⁴ M)^(-1/16)` in the encoder and `(12 M)^(-1/4)` in the
    decoder, for N encoder and M decoder layers. The network multiplies the residual streams by
    `0.81 (N⁴ M)^(1/16)` and `(3 M)^(1/4)`.

    Args:
      encoder_layers: number of transformer blocks in the encoder.
      decoder_layers: number of transformer blocks in the decoder.
      encoder: regular expression that is found in the paths of the encoder's parameters.
      values: glob of the value kernels of attention.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm_encoder_decoder(6, 6)[0].regex
    '(^|/)encoder'
    """
    encoder_factor = 0.87 * (encoder_layers**4 * decoder_layers) ** (-1 / 16)
    return (
        *_branch_rules(encoder_factor, values, encoder),
        *_branch_rules((12 * decoder_layers) ** -0.25, values),
        *weight_rules(xavier_normal()),
        *minor_rules(),
    )


def sub_ln(layers: int, values: str = _VALUE_KERNELS) -> Recipe:
    """Sub-LN (Magneto): Xavier normal, times `√(log(2 layers))` for branch kernels.

    This is for an encoder or a decoder alone, with a second normalization inside every branch.

    Args:
      layers: number of transformer blocks.
      values: glob of the value kernels of attention.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> round(sub_ln(2)[0].initializer.scale, 4)  # log 4
    1.3863
    """
    factor = math.sqrt(math.log(2 * layers))
    return (*_branch_rules(factor, values), *weight_rules(xavier_normal()), *minor_rules())


def sub_ln_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER, values: str = _VALUE_KERNELS
) -> Recipe:
    """Sub-LN of an encoder and a decoder: Xavier normal, with one factor per side.

    The factor of branch kernels is `√(log(3M) log(2N) / 3)` in the encoder and `√(log(3M))` in the
    decoder, for N encoder and M decoder layers.

    Args:
      encoder_layers: number of transformer blocks in the encoder.
      decoder_layers: number of transformer blocks in the decoder.
      encoder: regular expression that is found in the paths of the encoder's parameters.
      values: glob of the value kernels of attention.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> sub_ln_encoder_decoder(6, 6)[0].regex
    '(^|/)encoder'
    """
    decoder_variance = math.log(3 * decoder_layers)
    encoder_variance = decoder_variance * math.log(2 * encoder_layers) / 3
    return (
        *_branch_rules(math.sqrt(encoder_variance), values, encoder),
        *_branch_rules(math.sqrt(decoder_variance), values),
        *weight_rules(xavier_normal()),
        *minor_rules(),
    )


def t_fixup(layers: int, encoder: str | None = None, values: str = _VALUE_KERNELS) -> Recipe:
    """T-Fixup: Xavier uniform, branch kernels times `(9N)^(-1/4)`, in the encoder `0.67 N^(-1/4)`.

    Embeddings are N(0, 1/features) times `(9N)^(-1/4)`. This is for transformers without
    normalization and without warm-up.

    Args:
      layers: number of blocks N of the decoder, and of the encoder.
      encoder: regular expression that is found in the paths of the encoder's parameters; None if
        there is no encoder, "" if there is only an encoder.
      values: glob of the value kernels of attention.

    Reference: Huang et al., "Improving transformer optimization through better initialization",
    2020, section 3.2.

    >>> round(t_fixup(9)[0].initializer.scale, 4)  # 1/9
    0.1111
    """
    factor = (9 * layers) ** -0.25
    encoder_rules: Recipe = ()
    if encoder is not None:
        encoder_rules = _branch_rules(0.67 * layers**-0.25, values, encoder, "uniform")
    decoder_rules: Recipe = ()
    if encoder != "":
        decoder_rules = _branch_rules(factor, values, None, "uniform")
    embedding = variance_scaling(factor**2, "fan_out", "normal")
    return (
        *encoder_rules,
        *decoder_rules,
        Rule(embedding, role="embedding", optional=True),
        *weight_rules(xavier_uniform()),
        *minor_rules(),
    )


def _branch_rules(
    factor: float,
    values: str,
    regex: str | None = None,
    distribution: DistributionName = "truncated_normal",
) -> Recipe:
    """Return rules for branch kernels: Xavier times the factor."""
    kernel = variance_scaling(factor**2, "fan_avg", distribution)
    return (
        Rule(kernel, role="kernel", path=values, regex=regex),
        Rule(kernel, role="kernel", end="residual", regex=regex, optional=True),
        Rule(kernel, role="kernel", end="product", regex=regex, branch=True, optional=True),
    )
