"""Architectures with their roles, fans and gains, known by counting."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
from architectures import gpt2, lstm, mixer, moe, resnet, unet, vit

from jinit.theory import moments

GELU = moments(jax.nn.gelu).gain ** 2


@dataclass(frozen=True)
class Case:
    """An architecture at a small size, with properties that are known by counting."""

    linen: Callable[..., Any]
    nnx: Callable[..., Any]
    small: Any
    shape: tuple[int, ...]
    """Shape of the inputs, which are tokens if there are two axes."""
    full: tuple[int, ...]
    """Shape of the inputs at the published size."""
    count: int
    """Number of parameters at the published size."""
    roles: dict[str, int]
    """Number of leaves with each role, in NNX."""
    fans: dict[str, tuple[float, float]]
    gains: dict[str, float]
    """E[z²] where E[x²] = 1, by glob of paths; 1 for all others."""
    normalized: tuple[str, ...] = ()
    """Globs of kernels whose input has E[x²] = 1: normalized, or the unpadded input itself."""
    inputs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Interval of E[x²] where it is not (1/5, 5), by glob of paths."""
    linen_roles: dict[str, int] = field(default_factory=dict)


ATTENTION = ("*/query/kernel", "*/key/kernel", "*/value/kernel")
TRANSFORMER = {"*/out/kernel": 1 / 4, "*up*": GELU, "*down*": 1 / 4}  # two layers, four branches
# The mean of n unequal values has a smaller second moment than they have, down to 1/n.
CASES = {
    "gpt2": Case(
        linen=gpt2.LinenGPT2,
        nnx=gpt2.NnxGPT2,
        small=gpt2.Config(50, 16, 32, 4, 2, False),
        shape=(2, 8),
        full=(1, 8),
        count=124439808,
        roles={"kernel": 13, "bias": 17, "scale": 5, "embedding": 2},
        fans={
            "block_0/attention/out/kernel": (32, 32),
            "block_1/down/kernel": (128, 32),
            "tokens/embedding": (1, 32),
        },
        gains=TRANSFORMER,
        normalized=(*ATTENTION, "*/up/kernel", "head/kernel"),
        inputs={"*/out/kernel": (1 / 8, 1)},
    ),
    "resnet": Case(
        linen=resnet.LinenResNet,
        nnx=resnet.NnxResNet,
        small=resnet.Config(10, 3, 16, (2, 1)),
        shape=(4, 32, 32, 3),
        full=(1, 64, 64, 3),
        count=25557032,
        roles={"kernel": 13, "bias": 13, "scale": 12, "state": 24},
        fans={
            "stem/kernel": (147, 7 * 7 * 16 / 4),
            "block_0_0/conv_2/kernel": (144, 144),
            "block_1_0/conv_2/kernel": (9 * 32, 9 * 32 / 4),
            "block_1_0/shortcut/kernel": (64, 32),
        },
        gains={"stem/*": 2, "*/conv_[12]/*": 2},
    ),
    "vit": Case(
        linen=vit.LinenViT,
        nnx=vit.NnxViT,
        small=vit.Config(10, 3, 16, 4, 32, 4, 2),
        shape=(2, 16, 16, 3),
        full=(1, 224, 224, 3),
        count=86567656,
        roles={"kernel": 14, "bias": 19, "scale": 5, "position": 1, "token": 1},
        fans={"patches/kernel": (4 * 4 * 3, 32), "block_0/up/kernel": (32, 128)},
        gains=TRANSFORMER,
        normalized=("patches/kernel", *ATTENTION, "*/up/kernel", "head/kernel"),
        inputs={"*/out/kernel": (1 / 17, 1)},
    ),
    "mixer": Case(
        linen=mixer.LinenMixer,
        nnx=mixer.NnxMixer,
        small=mixer.Config(10, 3, 16, 4, 32, 2, 24, 64),
        shape=(2, 16, 16, 3),
        full=(1, 224, 224, 3),
        count=59880472,
        roles={"kernel": 10, "bias": 15, "scale": 5},
        fans={
            "block_0/mix_patches/up/kernel": (16, 24),
            "block_0/mix_patches/down/kernel": (24, 16),
            "block_0/mix_channels/up/kernel": (32, 64),
        },
        gains=TRANSFORMER,
        normalized=("patches/kernel", "*/up/kernel"),
        inputs={"head/kernel": (1 / 16, 1)},
    ),
    # |h| < 1 for any kernels, which leaves about a twelfth of E[z²], or an eighth after some steps.
    "lstm": Case(
        linen=lstm.LinenLSTM,
        nnx=lstm.NnxLSTM,
        small=lstm.Config(50, 32, 2),
        shape=(2, 8),
        full=(1, 8),
        count=19775200,
        roles={"kernel": 5, "bias": 3, "embedding": 1},
        fans={"layer_0/cell/dense_h/kernel": (32, 128), "layer_1/cell/ig/kernel": (32, 32)},
        gains={},
        normalized=(),
        inputs={
            "layer_0/cell/*i*/*": (0.8, 1.25),
            "layer_0/cell/*h*/*": (1 / 50, 1 / 5),
            "layer_1/cell/*i*/*": (1 / 50, 1 / 5),
            "layer_1/cell/*h*/*": (1 / 1000, 1 / 30),
            "head/kernel": (1 / 1000, 1 / 30),
        },
        linen_roles={"kernel": 17, "bias": 9, "embedding": 1},
    ),
    "unet": Case(
        linen=unet.LinenUNet,
        nnx=unet.NnxUNet,
        small=unet.Config(2, 1, 16, 2),
        shape=(2, 16, 16, 1),
        full=(1, 32, 32, 1),
        count=31030658,
        roles={"kernel": 13, "bias": 13},
        fans={
            "down_0/conv_1/kernel": (9, 9 * 16),
            "rise_1/kernel": (2 * 2 * 64 / 4, 2 * 2 * 32),
            "up_0/conv_1/kernel": (9 * 32, 9 * 16),
        },
        gains={"*/conv_?/kernel": 2},
    ),
    "moe": Case(
        linen=moe.LinenMoE,
        nnx=moe.NnxMoE,
        small=moe.Config(50, 16, 32, 4, 2, 4, 2),
        shape=(2, 8),
        full=(1, 8),
        count=559426560,
        roles={"kernel": 15, "bias": 13, "scale": 5, "embedding": 2},
        fans={
            "block_0/experts/up": (32, 128),
            "block_0/experts/down": (128, 32),
            "block_1/experts/router/kernel": (32, 4),
        },
        gains=TRANSFORMER,
        normalized=(*ATTENTION, "*/router/kernel", "*/up", "head/kernel"),
        inputs={"*/out/kernel": (1 / 8, 1)},
    ),
}
