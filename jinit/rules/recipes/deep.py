"""Transformers whose branches are scaled with depth, for post-norm or no normalization at all.

"Branch kernels" are the attention's values, kernels that end a residual branch, and the layers
before them: `v_proj`, `out_proj`, `fc1` and `fc2` of the papers.
"""

import math

from jinit.initializers import variance_scaling, xavier_normal, xavier_uniform
from jinit.initializers.variance import Distribution
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import Recipe, matrices, rest

_VALUES = "**/value/kernel"
_ENCODER = r"(^|/)encoder"


def deepnorm(layers: int, values: str = _VALUES) -> Recipe:
    """Xavier normal, times `(8 layers)^(-1/4)` for branch kernels.

    For an encoder or a decoder alone; the stream itself is multiplied by `(2 layers)^(1/4)`.

    Args:
      layers: transformer blocks. values: glob of the attention's value kernels, which cannot be
        told from queries and keys by what follows them.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm(2)[0].initializer
    variance_scaling(scale=0.25, mode='fan_avg', distribution='truncated_normal')
    """
    return (*_branches((8 * layers) ** -0.25, values), *matrices(xavier_normal()), *rest())


def deepnorm_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER, values: str = _VALUES
) -> Recipe:
    """Xavier normal, branch kernels times `0.87 (N⁴ M)^(-1/16)`, in the decoder `(12 M)^(-1/4)`.

    N and M are the layers of encoder and decoder. The streams are multiplied by
    `0.81 (N⁴ M)^(1/16)` and `(3 M)^(1/4)`.

    Args:
      encoder_layers, decoder_layers: transformer blocks. encoder: regular expression found in the
        paths of the encoder's parameters. values: glob of the attention's value kernels.

    Reference: Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022, figure 2.

    >>> deepnorm_encoder_decoder(6, 6)[0].regex
    '(^|/)encoder'
    """
    inside = 0.87 * (encoder_layers**4 * decoder_layers) ** (-1 / 16)
    return (
        *_branches(inside, values, encoder),
        *_branches((12 * decoder_layers) ** -0.25, values),
        *(*matrices(xavier_normal()), *rest()),
    )


def sub_ln(layers: int, values: str = _VALUES) -> Recipe:
    """Xavier normal, times `√(log(2 layers))` for branch kernels.

    For an encoder or a decoder alone with a second normalization inside every branch (Magneto).

    Args:
      layers: transformer blocks. values: glob of the attention's value kernels.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> round(sub_ln(2)[0].initializer.scale, 4)  # log 4
    1.3863
    """
    factor = math.sqrt(math.log(2 * layers))
    return (*_branches(factor, values), *matrices(xavier_normal()), *rest())


def sub_ln_encoder_decoder(
    encoder_layers: int, decoder_layers: int, encoder: str = _ENCODER, values: str = _VALUES
) -> Recipe:
    """Xavier normal, branch kernels times `√(log(3M) log(2N) / 3)`, in the decoder `√(log(3M))`.

    N and M are the layers of encoder and decoder.

    Args:
      encoder_layers, decoder_layers: transformer blocks. encoder: regular expression found in the
        paths of the encoder's parameters. values: glob of the attention's value kernels.

    Reference: Wang et al., "Foundation transformers", 2022, figure 2.

    >>> sub_ln_encoder_decoder(6, 6)[0].regex
    '(^|/)encoder'
    """
    outside = math.log(3 * decoder_layers)
    inside = outside * math.log(2 * encoder_layers) / 3
    return (
        *_branches(math.sqrt(inside), values, encoder),
        *_branches(math.sqrt(outside), values),
        *(*matrices(xavier_normal()), *rest()),
    )


def t_fixup(layers: int, encoder: str | None = None, values: str = _VALUES) -> Recipe:
    """Xavier uniform, branch kernels times `(9N)^(-1/4)`, in the encoder `0.67 N^(-1/4)`.

    Embeddings are N(0, 1/features) times `(9N)^(-1/4)`. For transformers without normalization and
    without warm-up.

    Args:
      layers: blocks N of the decoder, and of the encoder. encoder: regular expression found in the
        paths of the encoder's parameters; None where there is none, "" for an encoder alone.
      values: glob of the attention's value kernels.

    Reference: Huang et al., "Improving transformer optimization through better initialization",
    2020, section 3.2.

    >>> round(t_fixup(9)[0].initializer.scale, 4)  # 1/9
    0.1111
    """
    factor = (9 * layers) ** -0.25
    inside = () if encoder is None else _branches(0.67 * layers**-0.25, values, encoder, "uniform")
    outside = () if encoder == "" else _branches(factor, values, None, "uniform")
    lookup = variance_scaling(factor**2, "fan_out", "normal")
    return (
        *(*inside, *outside, Rule(lookup, role="embedding", optional=True)),
        *(*matrices(xavier_uniform()), *rest()),
    )


def _branches(
    factor: float, values: str, regex: str | None = None, law: Distribution = "truncated_normal"
) -> Recipe:
    """Xavier times the factor for branch kernels."""
    gain = variance_scaling(factor**2, "fan_avg", law)
    return (
        Rule(gain, role="kernel", path=values, regex=regex),
        Rule(gain, role="kernel", ends="residual", regex=regex, optional=True),
        Rule(gain, role="kernel", ends="product", regex=regex, branch=True, optional=True),
    )
