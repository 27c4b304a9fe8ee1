"""Axes and fans of each Linen layer, counted by hand from what it computes."""

from functools import partial

import pytest
from flax import linen as nn
from model.roles import IMAGE, LINE, SEQUENCE, TOKENS, VOLUME, check, floats

from jinit.hooks import as_model


class Tied(nn.Module):
    """An embedding that is also the output layer."""

    @nn.compact
    def __call__(self, tokens):
        table = nn.Embed(100, 8)
        return table.attend(nn.Dense(8)(table(tokens)))


class Block(nn.Module):
    """One residual block with the signature that nn.scan needs."""

    @nn.compact
    def __call__(self, x, _):
        return x + nn.Dense(16)(nn.gelu(nn.Dense(64)(nn.LayerNorm()(x)))), None


class Stack(nn.Module):
    """Five blocks in one scan."""

    @nn.compact
    def __call__(self, x):
        block = nn.scan(
            nn.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=5
        )
        return block()(x, None)[0]


class SwiGLU(nn.Module):
    """A gated unit of two kernels, and a projection back."""

    @nn.compact
    def __call__(self, x):
        gated = nn.silu(nn.Dense(32, name="gate")(x)) * nn.Dense(32, name="up")(x)
        return nn.Dense(16, name="down")(gated)


class Mixer(nn.Module):
    """A layer that mixes positions."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(11)(x.swapaxes(1, 2)).swapaxes(1, 2)


def vmapped(layer, axis):
    return nn.vmap(
        layer,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=axis,
        axis_size=3,
    )


def recurrent(cell):
    return nn.RNN(cell(4))


GATES = ["i", "f", "g", "o"]
RECURRENT = {
    f"cell/{which}{gate}/kernel": f"kernel in,out {size} 4"
    for gate in GATES
    for which, size in (("i", 16), ("h", 4))
}

LINEN = {
    "Dense": (nn.Dense(3), SEQUENCE, {"kernel": "kernel in,out 16 3", "bias": "bias out 16"}),
    "Dense without bias": (nn.Dense(3, use_bias=False), SEQUENCE, {"kernel": "kernel in,out 16 3"}),
    "Dense in bfloat16": (
        nn.Dense(3, dtype="bfloat16", param_dtype="bfloat16"), SEQUENCE,
        {"kernel": "kernel in,out 16 3", "bias": "bias out 16"},
    ),
    "Dense of a vector": (nn.Dense(3), floats(16), {"kernel": "kernel in,out 16 3"}),
    "DenseGeneral": (
        nn.DenseGeneral((4, 5), axis=(-2, -1)), SEQUENCE,
        {"kernel": "kernel in,in,out,out 112 20", "bias": "bias out,out 112"},
    ),
    "DenseGeneral over an inner axis": (
        nn.DenseGeneral(4, axis=1), SEQUENCE, {"kernel": "kernel in,out 7 4"},
    ),
    "DenseGeneral with a batch": (
        nn.DenseGeneral(4, batch_dims=(0,)), SEQUENCE, {"kernel": "kernel batch,in,out 16 4"},
    ),
    "Einsum to heads": (
        nn.Einsum((16, 4, 5), "...D,DNH->...NH"), SEQUENCE, {"kernel": "kernel in,out,out 16 20"},
    ),
    "Einsum from heads": (
        nn.Einsum((7, 16, 5), "BNH,NHD->BD", use_bias=False), SEQUENCE,
        {"kernel": "kernel in,in,out 112 5"},
    ),
    "Einsum of experts": (
        nn.Einsum((2, 16, 5), "ebd,edf->ebf"), SEQUENCE, {"kernel": "kernel batch,in,out 16 5"},
    ),
    "Conv": (
        nn.Conv(32, (3, 3)), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 144 288", "bias": "bias out 144"},
    ),
    "Conv in one dimension": (
        nn.Conv(32, 5, padding="CAUSAL"), LINE, {"kernel": "kernel spatial,in,out 80 160"},
    ),
    "Conv in three dimensions": (
        nn.Conv(8, (3, 3, 3)), VOLUME,
        {"kernel": "kernel spatial,spatial,spatial,in,out 108 216"},
    ),
    "Conv with stride": (
        nn.Conv(32, (4, 4), strides=(2, 2)), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 256 128"},
    ),
    "Conv of patches": (
        nn.Conv(32, (4, 4), strides=(4, 4), padding="VALID"), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 256 32"},
    ),
    "Conv in groups": (
        nn.Conv(32, (3, 3), feature_group_count=4), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 36 72"},
    ),
    "Conv depthwise": (
        nn.Conv(16, (3, 3), feature_group_count=16), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 9 9"},
    ),
    "Conv dilated": (
        nn.Conv(32, (3, 3), kernel_dilation=2, padding="CIRCULAR"), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 144 288"},
    ),
    "Conv 1x1": (
        nn.Conv(32, (1, 1)), IMAGE, {"kernel": "kernel spatial,spatial,in,out 16 32"},
    ),
    "ConvTranspose": (
        nn.ConvTranspose(32, (4, 4)), IMAGE, {"kernel": "kernel spatial,spatial,in,out 256 512"},
    ),
    "ConvTranspose with stride": (
        nn.ConvTranspose(32, (4, 4), strides=(2, 2)), IMAGE,
        {"kernel": "kernel spatial,spatial,in,out 64 512", "bias": "bias out 64"},
    ),
    "ConvTranspose with a transposed kernel": (
        nn.ConvTranspose(32, (4, 4), strides=(2, 2), transpose_kernel=True), IMAGE,
        {"kernel": "kernel spatial,spatial,out,in 64 512"},
    ),
    "ConvLocal": (
        nn.ConvLocal(32, (3, 3)), IMAGE, {"kernel": "kernel batch,batch,in,out 144 32"},
    ),
    "attention": (
        nn.MultiHeadDotProductAttention(4), SEQUENCE,
        dict.fromkeys(("query/kernel", "key/kernel", "value/kernel"), "kernel in,out,out 16 16")
        | {"out/kernel": "kernel in,in,out 16 16", "query/bias": "bias out,out 16"},
    ),
    "attention to other sizes": (
        nn.MultiHeadDotProductAttention(2, qkv_features=8, out_features=5), SEQUENCE,
        {"query/kernel": "kernel in,out,out 16 8", "out/kernel": "kernel in,in,out 8 5"},
    ),
    "Embed": (nn.Embed(100, 8), TOKENS, {"embedding": "embedding lookup,out 1 8"}),
    "Embed, tied": (
        Tied(), TOKENS,
        {"Embed_0/embedding": "kernel out,in 8 100", "Dense_0/kernel": "kernel in,out 8 8"},
    ),
    "LSTMCell": (recurrent(nn.LSTMCell), SEQUENCE, RECURRENT),
    "OptimizedLSTMCell": (recurrent(nn.OptimizedLSTMCell), SEQUENCE, RECURRENT),
    "GRUCell": (
        recurrent(nn.GRUCell), SEQUENCE,
        {f"cell/i{gate}/kernel": "kernel in,out 16 4" for gate in "rzn"}
        | {f"cell/h{gate}/kernel": "kernel in,out 4 4" for gate in "rzn"},
    ),
    "SimpleCell": (
        recurrent(nn.SimpleCell), SEQUENCE,
        {"cell/i/kernel": "kernel in,out 16 4", "cell/h/kernel": "kernel in,out 4 4"},
    ),
    "MGUCell": (
        recurrent(nn.MGUCell), SEQUENCE,
        {"cell/if/kernel": "kernel in,out 16 4", "cell/hn/kernel": "kernel in,out 4 4"},
    ),
    "ConvLSTMCell": (
        nn.RNN(nn.ConvLSTMCell(4, (3, 3))), floats(2, 5, 8, 8, 16),
        {"cell/ih/kernel": "kernel spatial,spatial,in,out 144 144",
         "cell/hh/kernel": "kernel spatial,spatial,in,out 36 144"},
    ),
    "Bidirectional": (
        nn.Bidirectional(nn.RNN(nn.SimpleCell(4)), nn.RNN(nn.SimpleCell(4))), SEQUENCE,
        {"forward_rnn/cell/i/kernel": "kernel in,out 16 4",
         "backward_rnn/cell/h/kernel": "kernel in,out 4 4"},
    ),
    "LayerNorm": (nn.LayerNorm(), SEQUENCE, {"scale": "scale out", "bias": "bias out"}),
    "RMSNorm": (nn.RMSNorm(), SEQUENCE, {"scale": "scale out"}),
    "GroupNorm": (nn.GroupNorm(4), IMAGE, {"scale": "scale out", "bias": "bias out"}),
    "InstanceNorm": (nn.InstanceNorm(), IMAGE, {"scale": "scale out", "bias": "bias out"}),
    "WeightNorm": (
        nn.WeightNorm(nn.Dense(3)), SEQUENCE,
        {"layer_instance/kernel": "kernel in,out 16 3",
         "layer_instance/kernel/scale": "scale out"},
    ),
    "PReLU": (nn.PReLU(), SEQUENCE, {"negative_slope": "scale"}),
    "scan of checkpointed blocks": (
        Stack(), SEQUENCE,
        {"ScanCheckpointBlock_0/Dense_1/kernel": "kernel stacked,in,out 16 64",
         "ScanCheckpointBlock_0/Dense_0/kernel": "kernel stacked,in,out 64 16",
         "ScanCheckpointBlock_0/Dense_0/bias": "bias stacked,out 64",
         "ScanCheckpointBlock_0/LayerNorm_0/scale": "scale stacked,out"},
    ),
    "vmap of Dense": (
        vmapped(nn.Dense, 0)(5), floats(3, 7, 16), {"kernel": "kernel batch,in,out 16 5"},
    ),
    "vmap of Dense over one input": (
        vmapped(nn.Dense, None)(5), SEQUENCE, {"kernel": "kernel batch,in,out 16 5"},
    ),
    "vmap of Conv": (
        vmapped(nn.Conv, 0)(6, (3, 3)), floats(3, 2, 8, 8, 4),
        {"kernel": "kernel batch,spatial,spatial,in,out 36 54"},
    ),
    "vmap of Conv in groups": (
        vmapped(partial(nn.Conv, feature_group_count=2), 0)(6, (3, 3)), floats(3, 2, 8, 8, 4),
        {"kernel": "kernel batch,spatial,spatial,in,out 18 27"},
    ),
    "gated unit": (
        SwiGLU(), SEQUENCE,
        {"gate/kernel": "kernel in,out 16 32", "down/kernel": "kernel in,out 32 16"},
    ),
    "mixing of positions": (Mixer(), SEQUENCE, {"Dense_0/kernel": "kernel in,out 7 11"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEN)
def test_linen(name):
    module, example, expected = LINEN[name]
    check(as_model(module, example), expected)


def test_the_table_is_complete():
    assert len(LINEN) >= 40
