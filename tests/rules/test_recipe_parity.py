"""Every recipe against the rule of its source, written as numbers, parameter by parameter."""

import math

import jax
import jax.numpy as jnp
import pytest
from architectures import gpt2, vit
from flax import linen as nn
from networks import Mixture, image, sequence
from recipe_laws import ONE, ZERO, Law, assert_draws, assert_laws, corrected, cut, uniform, xavier

import jinit
from jinit import recipes

D, F, HEAD, LAYERS, TOKENS, CLASSES, PATCH = 32, 128, 8, 2, 50, 10, 4 * 4 * 3
normal = Law
MINOR = {"*norm*/scale": ONE, "*bias": ZERO}
ENDS = ("*/attention/out/kernel", "*/down/kernel")


CONFIG = gpt2.Config(TOKENS, 16, D, D // HEAD, LAYERS, tied=False)
TEXT = jax.ShapeDtypeStruct((2, 8), jnp.int32)


@pytest.fixture(scope="module")
def language():
    return jinit.linen.trace(gpt2.LinenGPT2(CONFIG), TEXT)


@pytest.fixture(scope="module")
def nnx_language():
    return jinit.nnx.trace(lambda rngs: gpt2.NnxGPT2(CONFIG, rngs), TEXT)


@pytest.fixture(scope="module")
def images():
    config = vit.Config(CLASSES, 3, 16, 4, D, D // HEAD, LAYERS)
    return jinit.linen.trace(vit.LinenViT(config), image(16))


def by_fan(law, head=None):
    """Return laws of all kernels of both models, given that of a kernel by inputs and outputs."""
    outputs = {"head/kernel": head or law(D, TOKENS), "patches/kernel": law(PATCH, 16 * D)}
    return outputs | {"*/down/kernel": law(F, D), "*/up/kernel": law(D, F), "*kernel": law(D, D)}


def by_block(law):
    """Return laws of the kernels that end the two branches of every block."""
    inputs = dict(zip(ENDS, (D, F), strict=True))
    return {
        f"block_{block}{end[1:]}": law(block, width)
        for block in range(LAYERS)
        for end, width in inputs.items()
    }


def first(*tables):
    """Return all laws; that of the first table counts for a glob in several."""
    merged = {}
    for table in tables:
        merged = merged | {glob: law for glob, law in table.items() if glob not in merged}
    return merged


def fan_in(law):
    return lambda inputs, outputs: law(inputs**-0.5)


def ends(law):
    return dict.fromkeys(ENDS, law)


def scaled(factor, law):
    """Return laws of Xavier kernels with the factor of branch kernels."""
    branch = by_fan(lambda inputs, outputs: law(factor * xavier(inputs, outputs)))
    plain = {
        name: law(xavier(D, size)) for name, size in {"head/kernel": TOKENS, "*kernel": D}.items()
    }
    inner = {"*/value/kernel": branch["*kernel"], "*/out/kernel": branch["*kernel"]}
    return inner | {name: branch[name] for name in ("*/up/kernel", "*/down/kernel")} | plain


def glorot_uniform(std):
    return uniform(std * math.sqrt(3))


def tables(law):
    return {"*embedding": law}


small = math.sqrt(2 / (5 * D))
LANGUAGE = {
    "gpt2": (
        recipes.gpt2(LAYERS),
        ends(normal(0.02 / math.sqrt(2 * LAYERS)))
        | {"*[gk]": normal(0.02), "*kernel": normal(0.02)},
    ),
    "megatron": (
        recipes.megatron(LAYERS, 0.01, branches=1),
        ends(normal(0.01 / math.sqrt(LAYERS))) | tables(normal(0.01)) | {"*kernel": normal(0.01)},
    ),
    "full_megatron": (
        recipes.full_megatron(LAYERS),
        ends(cut(0.02 / math.sqrt(2 * LAYERS), 3))
        | {"head/kernel": cut(D**-0.5, 3), "*kernel": cut(0.02, 3)}
        | tables(cut(0.02, 3)),
    ),
    "mitchell": (
        recipes.mitchell(),
        by_block(lambda block, width: cut((2 * width * (block + 1)) ** -0.5, 3))
        | {"*kernel": cut(D**-0.5, 3)}
        | tables(cut(D**-0.5, 3)),
    ),
    "small_init_wang": (
        recipes.small_init_wang(LAYERS),
        ends(normal(2 / (LAYERS * math.sqrt(D))))
        | {"*kernel": normal(small)}
        | tables(normal(small)),
    ),
    "t5": (
        recipes.t5(),
        {"*/query/kernel": normal((D * HEAD) ** -0.5)} | by_fan(fan_in(normal)) | tables(normal(1)),
    ),
    "modded_nanogpt": (
        recipes.modded_nanogpt(),
        first(
            ends(ZERO),
            by_fan(fan_in(lambda std: uniform(0.5 * math.sqrt(3) * std)), head=normal(0.005)),
            tables(normal(1)),
        ),
    ),
    "switch": (
        recipes.switch_transformer(),
        by_fan(fan_in(lambda std: corrected(math.sqrt(0.1) * std))) | tables(normal(1)),
    ),
    "deepnorm": (
        recipes.deepnorm(LAYERS),
        scaled((8 * LAYERS) ** -0.25, normal) | tables(normal(D**-0.5)),
    ),
    "sub_ln": (
        recipes.sub_ln(LAYERS),
        scaled(math.sqrt(math.log(2 * LAYERS)), normal) | tables(normal(D**-0.5)),
    ),
    "t_fixup": (
        recipes.t_fixup(LAYERS),
        scaled((9 * LAYERS) ** -0.25, glorot_uniform)
        | tables(normal((9 * LAYERS) ** -0.25 * D**-0.5)),
    ),
    "t_fixup of an encoder": (
        recipes.t_fixup(LAYERS, encoder=""),
        scaled(0.67 * LAYERS**-0.25, glorot_uniform)
        | tables(normal((9 * LAYERS) ** -0.25 * D**-0.5)),
    ),
    "zero_branches": (
        recipes.zero_branches(),
        first(
            ends(ZERO),
            by_fan(fan_in(lambda std: corrected(math.sqrt(2) * std))),
            tables(normal(D**-0.5)),
        ),
    ),
    "everywhere": (
        recipes.everywhere(jinit.lecun_normal()),
        by_fan(fan_in(corrected)) | tables(normal(D**-0.5)),
    ),
    "pytorch": (
        recipes.pytorch(),
        by_fan(fan_in(uniform))
        | {"*norm*/bias": ZERO, "*/down/bias": uniform(F**-0.5), "*bias": uniform(D**-0.5)}
        | tables(normal(1)),
    ),
    "equinox": (
        recipes.equinox(),
        by_fan(fan_in(uniform))
        | {"*norm*/bias": ZERO, "*/down/bias": uniform(F**-0.5), "*bias": uniform(D**-0.5)}
        | tables(normal(1)),
    ),
    "keras": (
        recipes.keras(),
        by_fan(lambda inputs, outputs: glorot_uniform(xavier(inputs, outputs)))
        | tables(uniform(0.05)),
    ),
    "haiku": (recipes.haiku(), by_fan(fan_in(lambda std: cut(std, 2))) | tables(cut(1, 2))),
}
timm = Law(0.02, 2)
VISION = {
    "vit_timm": (
        recipes.vit_timm(),
        {
            "patches/kernel": uniform(PATCH**-0.5),
            "patches/bias": uniform(PATCH**-0.5),
            "*kernel": timm,
            "positions": timm,
            "token": normal(1e-6),
        },
    ),
    "beit": (
        recipes.beit(),
        by_block(lambda block, width: cut(0.02 / math.sqrt(2 * (block + 1)), 1))
        | dict.fromkeys(("*kernel", "positions", "token"), cut(0.02, 1)),
    ),
    "vit_jax": (
        recipes.vit_jax(),
        {
            "patches/kernel": corrected(PATCH**-0.5),
            "head/kernel": ZERO,
            "*/up/bias": normal(1e-6),
            "*/down/bias": normal(1e-6),
            "*/attention/*/kernel": glorot_uniform(xavier(D, D)),
            "*kernel": glorot_uniform(xavier(D, F)),
            "positions": normal(0.02),
            "token": ZERO,
        },
    ),
    "vit_moco": (
        recipes.vit_moco(),
        {
            "patches/kernel": glorot_uniform(xavier(PATCH, D)),
            "head/kernel": glorot_uniform(xavier(D, CLASSES)),
            "*/up/kernel": glorot_uniform(xavier(D, F)),
            "*/down/kernel": glorot_uniform(xavier(D, F)),
            "*kernel": glorot_uniform(xavier(D, D)),
            "positions": timm,
            "token": normal(1e-6),
        },
    ),
}
SAMPLED = ("beit",)


@pytest.mark.parametrize("name", LANGUAGE)
def test_laws_on_a_language_model(language, nnx_language, name):
    recipe, laws = LANGUAGE[name]
    assert_laws(language, recipe, first(laws, MINOR))
    assert_laws(nnx_language, recipe, first(laws, MINOR))


@pytest.mark.parametrize("name", VISION)
def test_laws_on_a_vision_transformer(images, name):
    recipe, laws = VISION[name]
    assert_laws(images, recipe, first(laws, MINOR))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in SAMPLED else pytest.mark.slow)
        for name in (*LANGUAGE, *VISION)
    ],
)
def test_draws_have_the_laws(language, images, name):
    """Six standard errors of 40 parameters: the false-alarm probability is below 1e-6."""
    model, cases = (language, LANGUAGE) if name in LANGUAGE else (images, VISION)
    recipe, laws = cases[name]
    assert_draws(model, recipe, first(laws, MINOR))


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
    assert_laws(model, recipes.t5(), first(laws, MINOR))
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
