"""Recipes for particular networks against the rules of their sources, parameter by parameter."""

import math

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from networks import Mixture, sequence
from recipe_laws import ONE, ZERO, Law, assert_laws, corrected, cut, uniform, xavier

import jinit
from jinit import recipes

D, F, HEAD, TOKENS, CLASSES = 32, 128, 8, 50, 10
normal = Law
TEXT = jax.ShapeDtypeStruct((2, 8), jnp.int32)


def glorot_uniform(std):
    return uniform(std * math.sqrt(3))


class Block(nn.Module):
    """Attention, attention to other tokens if there are any, and an MLP."""

    @nn.compact
    def __call__(self, x, other=None):
        for name, keys in {"self_attn": x, "encoder_attn": other}.items():
            if keys is not None:
                attention = nn.MultiHeadDotProductAttention(2, name=name)
                x = x + attention(nn.LayerNorm()(x), keys if keys is other else None)
        hidden = nn.relu(nn.Dense(32, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(16, name="down")(hidden)


class Side(nn.Module):
    """The blocks of an encoder or of a decoder."""

    block: str

    @nn.compact
    def __call__(self, x, other=None):
        return Block(name=self.block)(x, other)


class Translation(nn.Module):
    """An encoder and a decoder, named as in Flax's translation example."""

    @nn.compact
    def __call__(self, x, y):
        encoded = Side("encoderblock_0", name="encoder")(x)
        return Side("encoderdecoderblock_0", name="decoder")(y, encoded)


@pytest.fixture(scope="module")
def translation():
    return jinit.linen.trace(Translation(), sequence(), sequence())


@pytest.mark.parametrize(
    ("recipe", "encoder", "decoder", "law"),
    [
        (
            recipes.deepnorm_encoder_decoder(4, 9),
            0.87 * (4**4 * 9) ** (-1 / 16),
            (12 * 9) ** -0.25,
            normal,
        ),
        (
            recipes.sub_ln_encoder_decoder(4, 9),
            math.sqrt(math.log(27) * math.log(8) / 3),
            math.sqrt(math.log(27)),
            normal,
        ),
        (
            recipes.t_fixup(4, encoder="^params/encoder/"),
            0.67 * 4**-0.25,
            36**-0.25,
            glorot_uniform,
        ),
    ],
    ids=["deepnorm", "sub_ln", "t_fixup"],
)
def test_laws_of_an_encoder_and_a_decoder(translation, recipe, encoder, decoder, law):
    laws = {"*LayerNorm*/scale": ONE}
    for side, factor in {"encoder/*": encoder, "decoder/*": decoder}.items():
        wide, square = law(factor * xavier(16, 32)), law(factor * xavier(16, 16))
        laws |= {f"{side}/up/kernel": wide, f"{side}/down/kernel": wide}
        laws |= {f"{side}/value/kernel": square, f"{side}/out/kernel": square}
    assert_laws(translation, recipe, laws | {"*kernel": law(xavier(16, 16)), "*bias": ZERO})


@pytest.mark.parametrize(
    ("path", "is_encoder"),
    [
        ("encoder/layers_0/fc1/kernel", True),
        ("params/Encoder_0/encoderblock_3/kernel", True),
        ("encoder_attention/value/kernel", True),
        ("encoder_decoder/encoder/layer/kernel", True),
        ("params/decoder/encoderdecoderblock_0/kernel", False),
        ("decoder/layers_0/encoder_attn/kernel", False),
        ("params/encoderdecoderblock_0/kernel", False),
        ("model/decoder_layer_0/kernel", False),
    ],
)
def test_names_of_the_encoder(path, is_encoder):
    (rule, *_) = recipes.deepnorm_encoder_decoder(1, 1)
    leaf = jinit.model.Leaf(path, (2, 2), jnp.float32, "kernel")
    assert bool(jinit.Rule("zeros", regex=rule.regex).matches(leaf)) == is_encoder


class T5(nn.Module):
    """Attention without 1/√head_dim and with relative positions, and a gated MLP."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(TOKENS, D, name="tokens")(tokens)
        h = nn.RMSNorm(name="norm_1")(x)
        query, key, value = (
            nn.DenseGeneral((4, HEAD), use_bias=False, name=name)(h)
            for name in ("query", "key", "value")
        )
        distance = jnp.abs(jnp.arange(8)[:, None] - jnp.arange(8)[None])
        near = nn.Embed(8, 4, name="relative")(distance)
        logits = jnp.einsum("bthd,bshd->bhts", query, key) + near.transpose(2, 0, 1)[None]
        y = jnp.einsum("bhts,bshd->bthd", nn.softmax(logits), value)
        x = x + nn.DenseGeneral(D, (-2, -1), use_bias=False, name="out")(y)
        h = nn.RMSNorm(name="norm_2")(x)
        gate, up = (nn.Dense(F, use_bias=False, name=name)(h) for name in ("gate", "up"))
        return x + nn.Dense(D, use_bias=False, name="down")(nn.gelu(gate) * up)


def test_laws_of_t5_with_relative_positions():
    model = jinit.linen.trace(T5(), TEXT)
    laws = {
        "tokens/embedding": normal(1),
        "relative/embedding": normal(D**-0.5),
        "query/kernel": normal((D * HEAD) ** -0.5),
        "down/kernel": normal(F**-0.5),
        "*kernel": normal(D**-0.5),
    }
    assert_laws(model, recipes.t5(), laws | {"norm*": ONE})
    assert_laws(model, recipes.beit(), {"relative/*": ZERO, "norm*": ONE} | BEIT_BLOCK)


BEIT_BLOCK = {
    "out/kernel": cut(0.02 / math.sqrt(2), 1),
    "down/kernel": cut(0.02 / math.sqrt(2), 1),
    "*": cut(0.02, 1),
}


def fixup_network(params, x):
    """Two residual branches of two kernels each, with scalar biases and scales."""
    x = jax.nn.relu(x @ params["stem"])
    for name in ("first", "second"):
        block = params[name]
        y = jax.nn.relu((x + block["bias"]) @ block["w1"] + block["bias_1"])
        x = x + block["scale"] * (y @ block["w2"]) + block["bias_2"]
    return x @ params["head"]


def test_laws_of_fixup():
    scalars = dict.fromkeys(("bias", "bias_1", "bias_2", "scale"), jnp.ones(()))
    block = {"w1": jnp.ones((D, D)), "w2": jnp.ones((D, D))} | scalars
    params = {"stem": jnp.ones((8, D)), "head": jnp.ones((D, CLASSES))}
    params |= {"first": block, "second": block}
    model = jinit.trace(fixup_network, params, jnp.ones((2, 8)))
    laws = {
        "*/w2": ZERO,
        "head": ZERO,
        "*/w1": corrected(2**-0.5 * math.sqrt(2 / D)),
        "stem": corrected(math.sqrt(2 / 8)),
        "*/scale": ONE,
        "*/bias*": ZERO,
    }
    assert_laws(model, recipes.fixup(), laws)


def test_laws_of_gates_and_experts():
    model = jinit.linen.trace(Mixture(), sequence())
    he = {"router/kernel": corrected(math.sqrt(2 / 16)), "up": corrected(math.sqrt(2 / 16))}
    he |= {"down": corrected(math.sqrt(2 / 32)), "*/scale": ONE, "*/bias": ZERO}
    assert_laws(model, recipes.gated_branches(), {"gate": ZERO} | he)
    assert_laws(model, recipes.gated_branches(1e-5), {"gate": Law(0, 0, 1e-5)} | he)
    routed = {"router/kernel": normal(0.02), "up": corrected(math.sqrt(0.1 / 16))}
    routed |= {"down": corrected(math.sqrt(0.1 / 32)), "*/scale": ONE, "*/bias": ZERO}
    switch = (jinit.Rule("zeros", path="**/gate"), *recipes.switch_transformer(jinit.normal(0.02)))
    assert_laws(model, switch, {"gate": ZERO} | routed)


def test_a_representation_before_the_head_is_as_in_flax():
    def network(params, x):
        h = jnp.tanh(x @ params["representation"]["kernel"] + params["representation"]["bias"])
        return h @ params["head"]

    params = {"representation": {"kernel": jnp.ones((D, D)), "bias": jnp.ones(D)}}
    params["head"] = jnp.ones((D, CLASSES))
    with jax.numpy_rank_promotion("allow"):
        model = jinit.trace(network, params, jnp.ones((2, D)))
        laws = {"representation/kernel": corrected(D**-0.5), "*": ZERO}
        assert_laws(model, recipes.vit_jax(), laws)


@pytest.mark.parametrize("shape", [(3, 3, 3, D, D), (3, D, D), (5, 1, D, D)])
def test_convolutions_of_any_rank_are_as_in_pytorch(shape):
    class Convolution(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(D, shape[:-2], name="patches")(x)

    model = jinit.linen.trace(Convolution(), jnp.ones((2, *[6] * len(shape[:-2]), D)))
    bound = math.prod(shape[:-1]) ** -0.5
    assert_laws(model, recipes.vit_timm(), {"*": uniform(bound)})


class Convolutions(nn.Module):
    """A strided, a grouped and a transposed convolution, 8 to 16 channels each."""

    @nn.compact
    def __call__(self, x):
        strided = nn.Conv(16, (3, 3), strides=(2, 2), name="strided")(x)
        grouped = nn.Conv(16, (3, 3), feature_group_count=4, name="grouped")(x)
        transposed = nn.ConvTranspose(16, (4, 4), strides=(2, 2), name="transposed")(x)
        return strided, grouped, transposed


FAN_IN = {"strided": 9 * 8, "grouped": 9 * 2}
FAN_OUT = {"strided": 9 * 16, "grouped": 9 * 16, "transposed": 16 * 16}
BY_INPUTS, BY_OUTPUTS = FAN_IN | {"transposed": 16 * 8}, FAN_IN | {"transposed": 16 * 16}


@pytest.fixture(scope="module")
def convolutions():
    return jinit.linen.trace(Convolutions(), jax.ShapeDtypeStruct((2, 8, 8, 8), jnp.float32))


@pytest.mark.parametrize(
    ("recipe", "laws"),
    [
        (recipes.pytorch(), {f"{n}/*": uniform(fan**-0.5) for n, fan in BY_OUTPUTS.items()}),
        (recipes.equinox(), {f"{n}/*": uniform(fan**-0.5) for n, fan in BY_INPUTS.items()}),
        (
            recipes.keras(),
            {
                f"{name}/kernel": uniform(math.sqrt(6 / (fan + FAN_OUT[name])))
                for name, fan in BY_INPUTS.items()
            },
        ),
        (recipes.haiku(), {f"{n}/kernel": cut(fan**-0.5, 2) for n, fan in BY_INPUTS.items()}),
    ],
    ids=["pytorch", "equinox", "keras", "haiku"],
)
def test_fans_of_convolutions_are_those_of_the_framework(convolutions, recipe, laws):
    assert_laws(convolutions, recipe, laws | {"*/bias": ZERO})
