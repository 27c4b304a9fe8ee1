"""Axes and fans of each NNX layer, counted by hand from what it computes."""

import pytest
from flax import nnx
from model.roles import IMAGE, SEQUENCE, TOKENS, check

from jinit.hooks import as_model


def nnx_layer(layer, *sizes, **options):
    return lambda rngs: layer(*sizes, **options, rngs=rngs)


class Cell(nnx.Module):
    """A recurrent cell over a sequence."""

    def __init__(self, cell, rngs):
        self.cell = cell(16, 4, rngs=rngs)

    def __call__(self, x):
        return nnx.RNN(self.cell)(x)


def attention(rngs):
    return nnx.MultiHeadAttention(4, 16, decode=False, rngs=rngs)


NNX = {
    "Linear": (
        nnx_layer(nnx.Linear, 16, 3), SEQUENCE,
        {"kernel": "kernel in,out 16 3", "bias": "bias out 16"},
    ),
    "LinearGeneral": (
        nnx_layer(nnx.LinearGeneral, (7, 16), (4, 5), axis=(-2, -1)), SEQUENCE,
        {"kernel": "kernel in,in,out,out 112 20"},
    ),
    "Einsum": (
        nnx_layer(nnx.Einsum, "ebd,edf->ebf", (2, 16, 5)), SEQUENCE,
        {"kernel": "kernel batch,in,out 16 5"},
    ),
    "Conv": (
        nnx_layer(nnx.Conv, 16, 32, (3, 3), strides=2, feature_group_count=2), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 72 36"},
    ),
    "ConvTranspose": (
        nnx_layer(nnx.ConvTranspose, 16, 32, (4, 4), strides=(2, 2)), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 64 512"},
    ),
    "Embed": (
        nnx_layer(nnx.Embed, 100, 8), TOKENS, {"embedding": "embedding lookup,out 1 8"},
    ),
    "attention": (
        attention, SEQUENCE,
        {"query/kernel": "kernel in,out,out 16 16", "out/kernel": "kernel in,in,out 16 16"},
    ),
    "LayerNorm": (
        nnx_layer(nnx.LayerNorm, 16), SEQUENCE, {"scale": "scale out", "bias": "bias out"},
    ),
    "RMSNorm": (nnx_layer(nnx.RMSNorm, 16), SEQUENCE, {"scale": "scale out"}),
    "GroupNorm": (nnx_layer(nnx.GroupNorm, 16, 4), IMAGE, {"scale": "scale out"}),
    "LoRA": (
        nnx_layer(nnx.LoRA, 16, 2, 5), SEQUENCE,
        {"lora_a": "kernel in,out 16 2", "lora_b": "kernel in,out 2 5"},
    ),
    "LoRALinear": (
        nnx_layer(nnx.LoRALinear, 16, 5, lora_rank=2), SEQUENCE,
        {"kernel": "kernel in,out 16 5", "lora/lora_a": "kernel in,out 16 2"},
    ),
    "LSTMCell": (
        lambda rngs: Cell(nnx.LSTMCell, rngs), SEQUENCE,
        {"cell/ii/kernel": "kernel in,out 16 4", "cell/ho/kernel": "kernel in,out 4 4"},
    ),
    "OptimizedLSTMCell": (
        lambda rngs: Cell(nnx.OptimizedLSTMCell, rngs), SEQUENCE,
        {"cell/dense_i/kernel": "kernel in,out 16 16", "cell/dense_h/kernel": "kernel in,out 4 16"},
    ),
    "GRUCell": (
        lambda rngs: Cell(nnx.GRUCell, rngs), SEQUENCE,
        {"cell/dense_i/kernel": "kernel in,out 16 12", "cell/dense_h/kernel": "kernel in,out 4 12"},
    ),
    "SimpleCell": (
        lambda rngs: Cell(nnx.SimpleCell, rngs), SEQUENCE,
        {"cell/dense_i/kernel": "kernel in,out 16 4", "cell/dense_h/kernel": "kernel in,out 4 4"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NNX)
def test_nnx(name):
    constructor, example, expected = NNX[name]
    check(as_model(constructor, example), expected)


def test_the_table_is_complete():
    assert len(NNX) >= 15
