"""Every recipe against the rule of its source, written as numbers, parameter by parameter."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from architectures import gpt2, vit
from networks import image
from recipe_laws import (
    ONE,
    ZERO,
    Law,
    assert_draws,
    assert_laws,
    corrected,
    cut,
    stated_law,
    uniform,
    xavier,
)

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
def tied_language():
    return jinit.linen.trace(gpt2.LinenGPT2(replace(CONFIG, tied=True)), TEXT)


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
UNIT = normal(D**-0.5)
TIED = {
    "gpt2": (recipes.gpt2(LAYERS), normal(0.02)),
    "full_megatron": (recipes.full_megatron(LAYERS), cut(0.02, 3)),
    "mitchell": (recipes.mitchell(), cut(D**-0.5, 3)),
    "t5": (recipes.t5(), normal(1)),
    "switch": (recipes.switch_transformer(), normal(1)),
    "deepnorm": (recipes.deepnorm(LAYERS), UNIT),
    "sub_ln": (recipes.sub_ln(LAYERS), UNIT),
    "t_fixup": (recipes.t_fixup(LAYERS), normal((9 * LAYERS) ** -0.25 * D**-0.5)),
    "fixup": (recipes.fixup(), UNIT),
    "pytorch": (recipes.pytorch(), normal(1)),
    "keras": (recipes.keras(), uniform(0.05)),
    "haiku": (recipes.haiku(), cut(1, 2)),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_laws_on_a_language_model(language, nnx_language, name):
    recipe, laws = LANGUAGE[name]
    assert_laws(language, recipe, first(laws, MINOR))
    assert_laws(nnx_language, recipe, first(laws, MINOR))


@pytest.mark.parametrize("name", TIED)
def test_a_table_that_is_tied_to_the_output_layer_is_an_embedding(tied_language, name):
    recipe, law = TIED[name]
    (row,) = (row for row in jinit.plan(tied_language, recipe).rows if row.shape == (TOKENS, D))
    assert stated_law(row) == pytest.approx(law, rel=1e-4)


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
