"""What every axis does, and the fans: for each layer, counted by hand from what it computes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax
from jax.sharding import PartitionSpec as P

import jinit
from jinit.hooks import as_model


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def numbers(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


SEQUENCE, IMAGE, LINE = floats(2, 7, 16), floats(2, 8, 8, 16), floats(2, 9, 16)
VOLUME, TOKENS = floats(2, 5, 5, 5, 4), numbers(2, 7)


class Tied(nn.Module):
    """An embedding that is also the output layer."""

    @nn.compact
    def __call__(self, tokens):
        table = nn.Embed(100, 8)
        return table.attend(nn.Dense(8)(table(tokens)))


class Block(nn.Module):
    """One residual block of a stack, as nn.scan wants it."""

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
    """A gated unit of two kernels, and one back."""

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
    return nn.vmap(layer, variable_axes={"params": 0}, split_rngs={"params": True},
                   in_axes=axis, axis_size=3)  # fmt: skip


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
        vmapped(nn.Dense, None)(5), SEQUENCE, {"kernel": "kernel out,in,out 16 15"},
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


def named(**shapes):
    """Parameters of these shapes."""
    return {name: floats(*shape) for name, shape in shapes.items()}


def stacked(params, x):
    return lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, params["w"])[0]


def indexed(params, x):
    def body(i, h):
        return jnp.tanh(h @ lax.dynamic_index_in_dim(params["w"], i, keepdims=False))

    return lax.fori_loop(0, 3, body, x)


def until(params, x):
    return lax.while_loop(lambda h: jnp.sum(h) < 1, lambda h: h @ params["w"], x)


def branches(params, x):
    return lax.cond(x.sum() > 0, lambda h: h @ params["w"], lambda h: h @ params["v"], x)


def over_devices(params, x):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def local(w, x):
        return lax.psum(x @ w, "a")

    spread = jax.shard_map(
        local, mesh=mesh, in_specs=(P("a", "b"), P(None, "a")), out_specs=P(None, "b")
    )
    return spread(params["w"], x)


def standardized(params, x):
    w = params["w"]
    centred = w - w.mean((0, 1, 2), keepdims=True)
    gain = params["gain"][None, None, None]
    w = centred / jnp.sqrt(w.var((0, 1, 2), keepdims=True) + 1e-5) * gain
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers)


def channels_first(params, x):
    return lax.conv_general_dilated(x, params["w"], (1, 1), "SAME")


def fused_heads(params, x):
    q, k, v = jnp.split(x @ params["qkv"], 3, axis=-1)
    weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / 4.0)
    return weights @ v @ params["out"]


def sliced_kernel(params, x):
    q, k = (x @ params["w"][:, start : start + 8] for start in (0, 8))
    return q * k


def rotated(params, x):
    q = (x @ params["q"]).reshape(*x.shape[:-1], 2, 8)
    one, two = jnp.split(q, 2, axis=-1)
    angle = jnp.arange(7.0)[None, :, None, None] * jnp.arange(8.0)[None, None, None]
    q = q * jnp.cos(angle) + jnp.concatenate([-two, one], -1) * jnp.sin(angle)
    return jnp.einsum("bqhd,bkhd->bhqk", q, q)


def merged_adapter(params, x):
    return x @ (params["w"] + 2.0 * params["a"] @ params["b"])


def with_token(params, x):
    token = jnp.broadcast_to(params["token"], (x.shape[0], 1, 16))
    return (jnp.concatenate([token, x], 1) + params["position"][None]) @ params["w"]


def relative(params, x):
    logits = x @ x.swapaxes(-1, -2)
    distance = np.abs(np.arange(7)[:, None] - np.arange(7))
    return logits + params["table"][distance][None, ..., 0]


def one_hot(params, tokens):
    return jax.nn.one_hot(tokens, 100) @ params["table"]


def normalized(params, x):
    w = params["w"]
    return x @ (params["g"][None] * w / jnp.linalg.norm(w, axis=0, keepdims=True))


def latent_queries(params, x):
    q = params["latent"] @ params["q"]
    return jax.nn.softmax(q @ (x @ params["k"]).swapaxes(-1, -2))


def unrolled(params, x):
    h = jnp.zeros((2, 4))
    for step in range(3):
        h = jnp.tanh(jnp.concatenate([x[:, step], h], -1) @ params["w"])
    return h


SAME_PADDING = {"w": (3, 3, 16, 32), "gain": (32,)}
PURE = {
    "einsum": (
        lambda p, x: jnp.einsum("bsd,dhk->bshk", x, p["w"]), named(w=(16, 4, 5)), SEQUENCE,
        {"w": "kernel in,out,out 16 20"},
    ),
    "einsum with the kernel first": (
        lambda p, x: jnp.einsum("hkd,bsd->bshk", p["w"], x), named(w=(4, 5, 16)), SEQUENCE,
        {"w": "kernel out,out,in 16 20"},
    ),
    "experts": (
        lambda p, x: jnp.einsum("ebd,edf->ebf", x, p["w"]), named(w=(2, 16, 5)), SEQUENCE,
        {"w": "kernel batch,in,out 16 5"},
    ),
    "kernel times columns": (
        lambda p, x: p["w"] @ x, named(w=(5, 7)), SEQUENCE, {"w": "kernel out,in 7 5"},
    ),
    "transposed kernel": (
        lambda p, x: x @ p["w"].T, named(w=(5, 16)), SEQUENCE, {"w": "kernel out,in 16 5"},
    ),
    "reshaped kernel": (
        lambda p, x: x @ p["w"].reshape(16, 20), named(w=(4, 4, 4, 5)), SEQUENCE,
        {"w": "kernel in,in,out,out 16 20"},
    ),
    "one axis with two roles": (
        lambda p, x: jnp.einsum("bsd,de->bse", x, p["w"].reshape(16, 5)), named(w=(80,)), SEQUENCE,
        {"w": "kernel in·out 16 5"},
    ),
    "scan": (stacked, named(w=(3, 16, 16)), SEQUENCE, {"w": "kernel stacked,in,out 16 16"}),
    "loop with an index": (
        indexed, named(w=(3, 16, 16)), SEQUENCE, {"w": "kernel stacked,in,out 16 16"},
    ),
    "while": (until, named(w=(16, 16)), SEQUENCE, {"w": "kernel in,out 16 16"}),
    "cond": (
        branches, named(w=(16, 5), v=(16, 5)), SEQUENCE,
        {"w": "kernel in,out 16 5", "v": "kernel in,out 16 5"},
    ),
    "shard_map": (
        over_devices, named(w=(16, 6)), floats(7, 16), {"w": "kernel in,out 16 6"},
    ),
    "checkpoint and jit": (
        lambda p, x: jax.checkpoint(jax.jit(lambda w, x: jax.nn.relu(x @ w)))(p["w"], x),
        named(w=(16, 5)), SEQUENCE, {"w": "kernel in,out 16 5"},
    ),
    "standardized kernel": (
        standardized, named(**SAME_PADDING), IMAGE,
        {"w": "kernel spatial,spatial,in,out 144 288", "gain": "scale out"},
    ),
    "channels first": (
        channels_first, named(w=(32, 16, 3, 3)), floats(2, 16, 8, 8),
        {"w": "kernel out,in,spatial,spatial 144 288"},
    ),
    "fused query, key and value": (
        fused_heads, named(qkv=(16, 24), out=(8, 16)), SEQUENCE,
        {"qkv": "kernel in,out 16 24", "out": "kernel in,out 8 16"},
    ),
    "sliced kernel": (
        sliced_kernel, named(w=(16, 16)), SEQUENCE, {"w": "kernel in,out 16 8"},
    ),
    "rotated queries": (rotated, named(q=(16, 16)), SEQUENCE, {"q": "kernel in,out 16 16"}),
    "merged adapter": (
        merged_adapter, named(w=(16, 5), a=(16, 2), b=(2, 5)), SEQUENCE,
        {"w": "kernel in,out 16 5", "a": "kernel in,out 16 2", "b": "kernel in,out 2 5"},
    ),
    "token and positions": (
        with_token, named(token=(1, 1, 16), position=(8, 16), w=(16, 5)), SEQUENCE,
        {"token": "token unit,unit,out", "position": "position out,out", "w": "kernel in,out 16 5"},
    ),
    "relative positions": (
        relative, named(table=(7, 1)), SEQUENCE, {"table": "embedding lookup,unit 1 1"},
    ),
    "one-hot lookup": (
        one_hot, named(table=(100, 8)), TOKENS, {"table": "embedding lookup,out 1 8"},
    ),
    "indexed lookup": (
        lambda p, t: p["table"][t], named(table=(100, 8)), TOKENS,
        {"table": "embedding lookup,out 1 8"},
    ),
    "normalized kernel": (
        normalized, named(w=(16, 5), g=(5,)), SEQUENCE,
        {"w": "kernel in,out 16 5", "g": "scale out"},
    ),
    "latent queries": (
        latent_queries, named(latent=(3, 16), q=(16, 8), k=(16, 8)), SEQUENCE,
        {"q": "kernel in,out 16 8", "k": "kernel in,out 16 8"},
    ),
    "unrolled recurrence": (
        unrolled, named(w=(20, 4)), SEQUENCE, {"w": "kernel in,out 20 4"},
    ),
    "scaled branch": (
        lambda p, x: x + p["gate"][None, None] * jnp.tanh(x @ p["w"]),
        named(gate=(16,), w=(16, 16)), SEQUENCE,
        {"gate": "scale out", "w": "kernel in,out 16 16"},
    ),
    "unused": (
        lambda p, x: x @ p["w"], named(w=(16, 5), spare=(3,)), SEQUENCE,
        {"w": "kernel in,out 16 5", "spare": "unused"},
    ),
    "sorted kernel": (
        lambda p, x: x @ jnp.sort(p["w"], 0), named(w=(16, 5)), SEQUENCE, {"w": "unread"},
    ),
}  # fmt: skip


def described(leaf) -> str:
    fans = [f"{fan:g}" for fan in (leaf.fan_in, leaf.fan_out) if fan is not None]
    return " ".join([leaf.role, *([",".join(leaf.axes)] if leaf.axes else []), *fans])


def check(model, expected):
    leaves = {leaf.path.removeprefix("params/"): leaf for leaf in model.leaves}
    assert len(leaves) == len(model.paths)
    assert {path: described(leaves[path]) for path in expected} == expected


@pytest.mark.parametrize("name", LINEN)
def test_linen(name):
    module, example, expected = LINEN[name]
    check(as_model(module, example), expected)


@pytest.mark.parametrize("name", NNX)
def test_nnx(name):
    constructor, example, expected = NNX[name]
    check(as_model(constructor, example), expected)


@pytest.mark.parametrize("name", PURE)
def test_pure_functions(name):
    apply, params, example, expected = PURE[name]
    check(jinit.trace(apply, params, example), expected)


def test_the_table_is_as_long_as_promised():
    assert len(LINEN) + len(NNX) + len(PURE) >= 60
