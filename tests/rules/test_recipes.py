"""Recipes: the published formulas, on a GPT-2 and on a small convolutional network."""

import math

import jax
import jax.numpy as jnp
import pytest
from architectures.gpt2 import Config, LinenGPT2, NnxGPT2
from flax import linen as nn

import jinit
from jinit import recipes
from jinit.rules import plan

LAYERS, WIDTH = 3, 32
CONFIG = Config(vocabulary=50, positions=16, width=WIDTH, heads=4, layers=LAYERS, tied=False)
TOKENS = jax.ShapeDtypeStruct((2, 8), jnp.int32)


class Images(nn.Module):
    """Patches, a class token, positions, one residual branch and a head."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(16, (4, 4), strides=(4, 4), name="patches")(x).reshape(x.shape[0], -1, 16)
        token = self.param("token", nn.initializers.zeros, (1, 1, 16))
        x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], 1)
        x = x + self.param("positions", nn.initializers.normal(), (1, 5, 16))
        x = x + nn.Dense(16, name="down")(nn.gelu(nn.Dense(64, name="up")(nn.LayerNorm()(x))))
        return nn.Dense(10, name="head")(x[:, 0])


@pytest.fixture(scope="module", params=["linen", "nnx"])
def gpt2(request):
    if request.param == "linen":
        return jinit.linen.trace(LinenGPT2(CONFIG), TOKENS)
    return jinit.nnx.trace(lambda rngs: NnxGPT2(CONFIG, rngs), TOKENS)


@pytest.fixture(scope="module")
def images():
    return jinit.linen.trace(Images(), jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32))


def stds(model, recipe):
    """By path, the standard deviation that the plan states; 0 for constants."""
    rows = plan(model, recipe).rows
    return {row.path.removeprefix("params/"): row.std or 0.0 for row in rows}


SMALL, LARGE = WIDTH**-0.5, (4 * WIDTH) ** -0.5  # 1/√fan_in, of all kernels and of the one down
XAVIER = [WIDTH**-0.5] * 3 + [(2 / 5 / WIDTH) ** 0.5] * 2 + [(2 / (WIDTH + 50)) ** 0.5]
FAN_IN = [SMALL, SMALL, SMALL, SMALL, LARGE, SMALL]
CUT = 0.87962566103423978  # of a standard normal at ±2


def times(factor, values):
    return [factor * value for value in values]


def branches(inner, end):
    """The two ends of branches differ from the rest."""
    return [inner, inner, end, inner, end, inner]


DEEP = [1, *[(8 * LAYERS) ** -0.25] * 4, 1]
# Query, value, attention's output, the layer that widens, the one that narrows, head; embedding.
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
        math.sqrt(2 / (1 + WIDTH)),
    ),
    "zero_branches": (recipes.zero_branches(jinit.lecun_normal()), branches(SMALL, 0.0), 1.0),
    "everywhere": (recipes.everywhere(jinit.he_normal()), times(2**0.5, FAN_IN), 2**0.5),
    "pytorch": (recipes.pytorch(), times(3**-0.5, FAN_IN), 1.0),
    "keras": (recipes.keras(), XAVIER, 0.05 / math.sqrt(3)),
    "haiku": (recipes.haiku(), times(CUT, FAN_IN), CUT),
}
PLACES = [
    *("attention/query/kernel", "attention/value/kernel", "attention/out/kernel"),
    *("up/kernel", "down/kernel"),
]


@pytest.mark.parametrize("name", GPT2)
def test_on_gpt2(gpt2, name):
    recipe, expected, embedding = GPT2[name]
    found = stds(gpt2, recipe)
    for layer in range(LAYERS):
        seen = [found[f"block_{layer}/{place}"] for place in PLACES]
        assert seen == pytest.approx(expected[:5], rel=1e-4)
    last = [found["head/kernel"], found["tokens/embedding"]]
    assert last == pytest.approx([expected[5], embedding], rel=1e-4)


def test_biases_of_pytorch_know_their_kernel(gpt2):
    found = stds(gpt2, recipes.pytorch())
    assert found["block_0/up/bias"] == pytest.approx(SMALL / math.sqrt(3))
    assert found["block_0/down/bias"] == pytest.approx(LARGE / math.sqrt(3))
    assert found["block_0/norm_1/bias"] == 0.0


def test_on_images(images):
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
def test_they_draw(gpt2, name):
    recipe, *_ = GPT2[name]
    started = jinit.init(gpt2, jax.random.key(0), recipe)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(started))
