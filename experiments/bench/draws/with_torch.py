"""PyTorch, in place on a tensor allocated beforehand: its fastest way to draw."""

import torch
from machine import cores

from draws import SCALE

LABEL = "PyTorch, in place"


def start() -> None:
    """Give PyTorch every core and run something trivial."""
    torch.set_num_threads(cores())
    torch.zeros(1).add_(1)


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """`tensor.normal_`, `torch.nn.init.trunc_normal_` and their siblings, over and over."""
    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    fills = {
        "normal": lambda: tensor.normal_(0.0, SCALE),
        "truncated_normal": lambda: torch.nn.init.trunc_normal_(
            tensor, std=SCALE, a=-2 * SCALE, b=2 * SCALE
        ),
        "uniform": lambda: tensor.uniform_(0.0, SCALE),
        "orthogonal": lambda: torch.nn.init.orthogonal_(tensor, gain=SCALE),
    }
    return fills[distribution]
