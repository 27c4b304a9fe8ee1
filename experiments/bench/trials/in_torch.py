"""The networks and the data in PyTorch, with the submodules named as in Flax."""

import itertools

import numpy as np
import torch
from machine import cores
from torch import nn
from torch.nn import functional

from trials import BLOCKS, DIMENSION, HEADS, KERNELS, TOKENS, WIDTHS, digits

EPSILON = 1e-6  # of layer norms, as in Flax


class MLP(nn.Module):
    """Linear layers with relu between them."""

    def __init__(self):
        """Build the layers."""
        super().__init__()
        self.layers = len(WIDTHS) - 1
        for place, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
            self.add_module(f"Dense_{place}", nn.Linear(inputs, outputs))

    def forward(self, x):
        """Logits of a batch."""
        for place in range(self.layers - 1):
            x = functional.relu(getattr(self, f"Dense_{place}")(x))
        return getattr(self, f"Dense_{self.layers - 1}")(x)


class Attention(nn.Module):
    """Multi-head self-attention by PyTorch's own fused function."""

    def __init__(self):
        """Build the two projections."""
        super().__init__()
        self.Dense_0 = nn.Linear(DIMENSION, 3 * DIMENSION)
        self.Dense_1 = nn.Linear(DIMENSION, DIMENSION)

    def forward(self, x):
        """Values mixed over the tokens."""
        heads = self.Dense_0(x).view(len(x), TOKENS, 3, HEADS, DIMENSION // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.Dense_1(mixed.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """Attention and a two-layer MLP, each after a layer norm and added to the residual stream."""

    def __init__(self):
        """Build the branches."""
        super().__init__()
        self.LayerNorm_0 = nn.LayerNorm(DIMENSION, EPSILON)
        self.Attention_0 = Attention()
        self.LayerNorm_1 = nn.LayerNorm(DIMENSION, EPSILON)
        self.Dense_0 = nn.Linear(DIMENSION, 4 * DIMENSION)
        self.Dense_1 = nn.Linear(4 * DIMENSION, DIMENSION)

    def forward(self, x):
        """The residual stream after the block."""
        x = x + self.Attention_0(self.LayerNorm_0(x))
        hidden = functional.gelu(self.Dense_0(self.LayerNorm_1(x)), approximate="tanh")
        return x + self.Dense_1(hidden)


class Transformer(nn.Module):
    """Pre-norm transformer whose tokens are the rows of an image."""

    def __init__(self):
        """Build the blocks."""
        super().__init__()
        self.Dense_0 = nn.Linear(8, DIMENSION)
        self.position = nn.Parameter(torch.zeros(TOKENS, DIMENSION))
        for place in range(BLOCKS):
            self.add_module(f"Block_{place}", Block())
        self.LayerNorm_0 = nn.LayerNorm(DIMENSION, EPSILON)
        self.Dense_1 = nn.Linear(DIMENSION, WIDTHS[-1])

    def forward(self, x):
        """Logits of a batch."""
        x = self.Dense_0(x) + self.position
        for place in range(BLOCKS):
            x = getattr(self, f"Block_{place}")(x)
        return self.Dense_1(self.LayerNorm_0(x).mean(1))


class CNN(nn.Module):
    """Two convolutions with relu; the mean over places is classified."""

    def __init__(self):
        """Build the layers."""
        super().__init__()
        self.Conv_0 = nn.Conv2d(1, KERNELS[0], 3, padding=1)
        self.Conv_1 = nn.Conv2d(*KERNELS, 3, stride=2, padding=1)
        self.Dense_0 = nn.Linear(KERNELS[1], WIDTHS[-1])

    def forward(self, x):
        """Logits of a batch."""
        x = functional.relu(self.Conv_1(functional.relu(self.Conv_0(x))))
        return self.Dense_0(x.mean((2, 3)))


NETWORKS = {"mlp": MLP, "transformer": Transformer, "cnn": CNN}


def load(problem: str) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(train, validation), with channels before places."""

    def convert(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        if images.ndim == 4:
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        return torch.from_numpy(images), torch.from_numpy(labels).long()

    train, validation = digits.load(problem)
    return convert(*train), convert(*validation)


def load_initial(path: str) -> dict[int, dict[str, torch.Tensor]]:
    """State dictionaries by trial, of the initial parameters that a rival in JAX has drawn."""
    names = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in np.load(path).items():
        number, _, place = key.partition(":")
        *module, last = place.split("/")
        if last == "kernel":
            array = array.transpose((1, 0) if array.ndim == 2 else (3, 2, 0, 1))
        name = ".".join([*module, names.get(last, last)])
        states.setdefault(int(number), {})[name] = torch.tensor(np.ascontiguousarray(array))
    return states


def fastest_threads(seconds) -> dict:
    """Set the number of threads that trains faster, one or one per core; say what was measured."""
    measured = {}
    for threads in sorted({1, cores()}):
        torch.set_num_threads(threads)
        seconds()
        measured[threads] = min(seconds() for _ in range(3))
    chosen = min(measured, key=lambda threads: measured[threads])
    torch.set_num_threads(chosen)
    return {"threads": chosen, "seconds_by_threads": measured}
