"""Recipes: the published formulas, on a GPT-2 and on a small convolutional network."""

import math

import jax
import jax.numpy as jnp
import pytest
from architectures.gpt2 import Config, LinenGPT2, NnxGPT2
from networks import Images

import jinit
from jinit import recipes
from jinit.rules import plan

LAYERS, WIDTH = 3, 32
CONFIG = Config(vocabulary=50, positions=16, width=WIDTH, heads=4, layers=LAYERS, tied=False)
TOKENS = jax.ShapeDtypeStruct((2, 8), jnp.int32)


@pytest.fixture(scope="module", params=["linen", "nnx"])
def gpt2(request):
    if request.param == "linen":
        return jinit.linen.trace(LinenGPT2(CONFIG), TOKENS)
    return jinit.nnx.trace(lambda rngs: NnxGPT2(CONFIG, rngs), TOKENS)


@pytest.fixture(scope="module")
def images():
    return jinit.linen.trace(Images(), jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32))


def stds(model, recipe):
    """Return the standard deviations stated by the plan, by path; 0 for constants."""
    rows = plan(model, recipe).rows
    return {row.path.removeprefix("params/"): row.std or 0.0 for row in rows}


SMALL, LARGE = (
    WIDTH**-0.5,
    (4 * WIDTH) ** -0.5,
)  # 1/√fan_in of all kernels, and of the kernel `down`
XAVIER = [WIDTH**-0.5] * 3 + [(2 / 5 / WIDTH) ** 0.5] * 2 + [(2 / (WIDTH + 50)) ** 0.5]
FAN_IN = [SMALL, SMALL, SMALL, SMALL, LARGE, SMALL]
STD_CUT_AT_2 = 0.87962566103423978  # of a standard normal truncated at ±2


def times(factor, values):
    return [factor * value for value in values]


def branches(inner, end):
    """Return `end` for the two kernels that end a residual branch, `inner` for the others."""
    return [inner, inner, end, inner, end, inner]


STD_CUT_AT_3 = 0.9865783  # of a standard normal truncated at ±3
SUB_LN = [1, *[math.log(2 * LAYERS) ** 0.5] * 4, 1]
T_FIXUP = [1, *[(9 * LAYERS) ** -0.25] * 4, 1]
T_FIXUP_ENCODER = [1, *[0.67 * LAYERS**-0.25] * 4, 1]
DEEP = [1, *[(8 * LAYERS) ** -0.25] * 4, 1]
# Kernels: query, value, output of attention, up, down, head; then the embedding.
GPT2 = {
    "gpt2": (recipes.gpt2(LAYERS), branches(0.02, 0.02 / math.sqrt(2 * LAYERS)), 0.02),
    "small_init_wang": (
        recipes.small_init_wang(LAYERS),
        branches(math.sqrt(2 / (5 * WIDTH)), 2 / (LAYERS * math.sqrt(WIDTH))),
        math.sqrt(2 / (5 * WIDTH)),
    ),
    "t5": (recipes.t5(), FAN_IN, 1.0),
    "deepnorm": (
        recipes.deepnorm(LAYERS),
        [deep * xavier for deep, xavier in zip(DEEP, XAVIER, strict=True)],
        SMALL,
    ),
    "sub_ln": (
        recipes.sub_ln(LAYERS),
        [gain * xavier for gain, xavier in zip(SUB_LN, XAVIER, strict=True)],
        SMALL,
    ),
    "t_fixup": (
        recipes.t_fixup(LAYERS),
        [deep * xavier for deep, xavier in zip(T_FIXUP, XAVIER, strict=True)],
        (9 * LAYERS) ** -0.25 * SMALL,
    ),
    "t_fixup of an encoder": (
        recipes.t_fixup(LAYERS, encoder=""),
        [deep * xavier for deep, xavier in zip(T_FIXUP_ENCODER, XAVIER, strict=True)],
        (9 * LAYERS) ** -0.25 * SMALL,
    ),
    "megatron": (
        recipes.megatron(LAYERS, 0.01, branches=1),
        branches(0.01, 0.01 / math.sqrt(LAYERS)),
        0.01,
    ),
    "full_megatron": (
        recipes.full_megatron(LAYERS),
        times(STD_CUT_AT_3, [*branches(0.02, 0.02 / math.sqrt(2 * LAYERS))[:5], SMALL]),
        0.02 * STD_CUT_AT_3,
    ),
    "modded_nanogpt": (
        recipes.modded_nanogpt(),
        [*branches(0.5 * SMALL, 0.0)[:5], 0.005],
        1.0,
    ),
    "switch": (recipes.switch_transformer(), times(0.1**0.5, FAN_IN), 1.0),
    "vit_moco": (recipes.vit_moco(), XAVIER, SMALL),
    "zero_branches": (recipes.zero_branches(jinit.lecun_normal()), branches(SMALL, 0.0), SMALL),
    "everywhere": (recipes.everywhere(jinit.he_normal()), times(2**0.5, FAN_IN), SMALL),
    "everywhere normal": (recipes.everywhere(jinit.normal(0.03)), [0.03] * 6, 0.03),
    "equinox": (recipes.equinox(), times(3**-0.5, FAN_IN), 1.0),
    "pytorch": (recipes.pytorch(), times(3**-0.5, FAN_IN), 1.0),
    "keras": (recipes.keras(), XAVIER, 0.05 / math.sqrt(3)),
    "haiku": (recipes.haiku(), times(STD_CUT_AT_2, FAN_IN), STD_CUT_AT_2),
}
BLOCK_KERNELS = [
    "attention/query/kernel",
    "attention/value/kernel",
    "attention/out/kernel",
    "up/kernel",
    "down/kernel",
]


@pytest.mark.parametrize("name", GPT2)
def test_standard_deviations_on_gpt2(gpt2, name):
    recipe, expected, embedding = GPT2[name]
    stated = stds(gpt2, recipe)
    for layer in range(LAYERS):
        block = [stated[f"block_{layer}/{name}"] for name in BLOCK_KERNELS]
        assert block == pytest.approx(expected[:5], rel=1e-4)
    others = [stated["head/kernel"], stated["tokens/embedding"]]
    assert others == pytest.approx([expected[5], embedding], rel=1e-4)


def test_biases_of_pytorch_depend_on_the_fan_in_of_their_kernel(gpt2):
    stated = stds(gpt2, recipes.pytorch())
    assert stated["block_0/up/bias"] == pytest.approx(SMALL / math.sqrt(3))
    assert stated["block_0/down/bias"] == pytest.approx(LARGE / math.sqrt(3))
    assert stated["block_0/norm_1/bias"] == 0.0


def test_standard_deviations_on_a_vision_network(images):
    timm, jax_ = stds(images, recipes.vit_timm()), stds(images, recipes.vit_jax())
    patches = 1 / math.sqrt(48)
    assert timm["patches/kernel"] == pytest.approx(patches / math.sqrt(3), rel=1e-4)
    assert timm["positions"] == timm["up/kernel"] == pytest.approx(0.02, rel=1e-3)
    assert timm["token"] == pytest.approx(1e-6, rel=1e-4)
    assert jax_["patches/kernel"] == pytest.approx(patches, rel=1e-4)
    assert jax_["head/kernel"] == 0.0
    assert jax_["up/kernel"] == pytest.approx(math.sqrt(2 / 80), rel=1e-4)
    assert jax_["up/bias"] == pytest.approx(1e-6, rel=1e-4)


@pytest.mark.parametrize(
    "name", ["pytorch", *(pytest.param(name, marks=pytest.mark.slow) for name in GPT2)]
)
def test_parameters_have_the_stated_standard_deviations(gpt2, name):
    """The false-alarm probability is far below 1e-6: eight standard errors of a normal sample."""
    recipe, *_ = GPT2[name]
    params = jinit.init(gpt2, jax.random.key(0), recipe)
    stated = {row.path: row.std for row in plan(gpt2, recipe).rows}
    for path, leaf in gpt2.by_path(params).items():
        assert bool(jnp.isfinite(leaf).all())
        if stated[path] and leaf.size > 500:
            assert float(leaf.std()) == pytest.approx(stated[path], rel=8 / (2 * leaf.size) ** 0.5)
