"""Recipes that depend on the position of a parameter: branches, blocks, experts, and pairs."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures.gpt2 import Config, LinenGPT2, NnxGPT2
from flax import linen as nn
from networks import Images, Mixture, ResNet, Stack, image, sequence

import jinit
from jinit import RuleError, recipes
from jinit.rules import plan

STD_CUT_AT_3 = 0.9865783  # of a standard normal truncated at ±3
TINY = Config(vocabulary=50, positions=16, width=32, heads=4, layers=3, tied=False)
TOKENS = jax.ShapeDtypeStruct((2, 8), jnp.int32)


def stds(model, recipe):
    """Return the standard deviations stated by the plan, by path; 0 for constants."""
    rows = plan(model, recipe).rows
    return {row.path.removeprefix("params/"): row.std or 0.0 for row in rows}


@pytest.fixture(scope="module", params=["linen", "nnx"])
def gpt2(request):
    if request.param == "linen":
        return jinit.linen.trace(LinenGPT2(TINY), TOKENS)
    return jinit.nnx.trace(lambda rngs: NnxGPT2(TINY, rngs), TOKENS)


@pytest.fixture(scope="module")
def stack():
    return jinit.linen.trace(Stack(), sequence())


@pytest.fixture(scope="module")
def resnet():
    return jinit.linen.trace(ResNet(), image())


def test_mitchell_scales_by_block(gpt2):
    stated = stds(gpt2, recipes.mitchell())
    for layer in range(3):
        block = f"block_{layer}"
        end = STD_CUT_AT_3 / math.sqrt(2 * (layer + 1))
        assert stated[f"{block}/up/kernel"] == pytest.approx(STD_CUT_AT_3 / 32**0.5, rel=1e-4)
        assert stated[f"{block}/attention/out/kernel"] == pytest.approx(end / 32**0.5, rel=1e-4)
        assert stated[f"{block}/down/kernel"] == pytest.approx(end / 128**0.5, rel=1e-4)
    assert stated["head/kernel"] == pytest.approx(STD_CUT_AT_3 / 32**0.5, rel=1e-4)
    assert stated["tokens/embedding"] == pytest.approx(STD_CUT_AT_3 / 32**0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("recipe", "std"),
    [(recipes.mitchell(), STD_CUT_AT_3 / 32**0.5), (recipes.beit(), 0.02)],
    ids=["mitchell", "beit"],
)
def test_stacked_blocks_are_counted_separately(stack, recipe, std):
    params = jinit.init(stack, jax.random.key(0), recipe)["params"]
    ends = [*params["loop"]["down"]["kernel"], params["last"]["down"]["kernel"]]
    for block, kernel in enumerate(ends):  # 512 entries: 4 standard errors are 13 %
        assert float(kernel.std()) == pytest.approx(std / math.sqrt(2 * (block + 1)), rel=0.13)
    assert float(params["loop"]["up"]["kernel"].std()) > 0.9 * min(std, 0.25)


def test_beit_scales_by_block(gpt2):
    stated = stds(gpt2, recipes.beit())
    ends = [stated[f"block_{layer}/attention/out/kernel"] for layer in range(3)]
    expected = [0.02 / math.sqrt(2 * (layer + 1)) for layer in range(3)]
    assert ends == pytest.approx(expected, rel=1e-4)
    assert stated["block_2/attention/query/kernel"] == pytest.approx(0.02, rel=1e-4)


def test_a_single_branch_is_block_zero():
    model = jinit.trace(lambda w, x: x + x @ w, jnp.ones((4, 4)), jnp.ones((2, 4)))
    assert stds(model, recipes.mitchell())[""] == pytest.approx(STD_CUT_AT_3 / 8**0.5, rel=1e-4)


@pytest.mark.parametrize("kernels", [2, 3])
def test_fixup_counts_branches_and_their_kernels(kernels):
    stated = stds(jinit.linen.trace(ResNet(kernels), image()), recipes.fixup())
    shrink = 2 ** (-1 / (2 * kernels - 2))
    inner = shrink * math.sqrt(2 / 72)
    assert stated["stage_0/conv_0/kernel"] == pytest.approx(inner, rel=1e-4)
    assert stated[f"stage_0/conv_{kernels - 2}/kernel"] == pytest.approx(inner, rel=1e-4)
    assert stated[f"stage_1/conv_{kernels - 1}/kernel"] == stated["head/kernel"] == 0
    assert stated["stem/kernel"] == pytest.approx(math.sqrt(2 / 27), rel=1e-4)
    assert stated["stage_1/projection/kernel"] == pytest.approx(math.sqrt(2 / 8), rel=1e-4)


def test_the_projection_of_a_residual_stream_is_not_zero(resnet):
    stated = stds(resnet, recipes.zero_branches())
    assert stated["stage_1/conv_1/kernel"] == 0
    assert stated["stage_1/projection/kernel"] > 0


def test_gates_are_the_last_scales_of_branches(resnet):
    params = jinit.init(resnet, jax.random.key(0), recipes.gated_branches())["params"]
    stage = params["stage_1"]
    assert float(jnp.abs(stage["norm_1"]["scale"]).max()) == 0
    assert float(stage["norm_0"]["scale"].min()) == float(stage["projected"]["scale"].min()) == 1
    mixture = jinit.linen.trace(Mixture(), sequence())
    gate = jinit.init(mixture, jax.random.key(0), recipes.gated_branches(1e-5))["params"]["gate"]
    assert float(gate) == pytest.approx(1e-5)


def test_gated_branches_without_gates_raise(gpt2):
    with pytest.raises(RuleError, match="no parameter matches Rule"):
        plan(gpt2, recipes.gated_branches())


def test_experts_use_the_fan_in_of_one_expert():
    model = jinit.linen.trace(Mixture(), sequence())
    stated = stds(model, recipes.switch_transformer(router=jinit.normal(0.02)))
    assert stated["router/kernel"] == pytest.approx(0.02)
    assert stated["up"] == pytest.approx(math.sqrt(0.1 / 16), rel=1e-4)
    assert stated["down"] == pytest.approx(math.sqrt(0.1 / 32), rel=1e-4)
    assert stds(model, recipes.switch_transformer())["router/kernel"] == pytest.approx(
        math.sqrt(0.1 / 16), rel=1e-4
    )


class Fused(nn.Module):
    """Queries, keys and values in one fused kernel."""

    @nn.compact
    def __call__(self, x):
        query, key, value = jnp.split(nn.Dense(48, name="qkv")(x), 3, -1)
        weights = nn.softmax(jnp.einsum("btd,bsd->bts", query, key) / 4)
        return x + nn.Dense(16, name="out")(jnp.einsum("bts,bsd->btd", weights, value))


def test_moco_treats_fused_kernels_as_three():
    stated = stds(jinit.linen.trace(Fused(), sequence()), recipes.vit_moco())
    assert stated["qkv/kernel"] == pytest.approx(math.sqrt(2 / 32), rel=1e-4)
    assert stated["out/kernel"] == pytest.approx(math.sqrt(2 / 32), rel=1e-4)


def test_moco_draws_patches_as_a_dense_layer():
    stated = stds(jinit.linen.trace(Images(), image()), recipes.vit_moco())
    assert stated["patches/kernel"] == pytest.approx(math.sqrt(2 / (48 + 16)), rel=1e-4)
    assert stated["token"] == pytest.approx(1e-6, rel=1e-4)


class Translation(nn.Module):
    """An encoder and a decoder of one branch each."""

    @nn.compact
    def __call__(self, x):
        for name in ("encoder", "decoder"):
            x = x + nn.MultiHeadDotProductAttention(2, name=f"{name}_attention")(x)
        return x


@pytest.mark.parametrize(
    ("recipe", "encoder", "decoder"),
    [
        (
            recipes.deepnorm_encoder_decoder(4, 9),
            0.87 * (4**4 * 9) ** (-1 / 16),
            (12 * 9) ** -0.25,
        ),
        (
            recipes.sub_ln_encoder_decoder(4, 9),
            math.sqrt(math.log(27) * math.log(8) / 3),
            math.sqrt(math.log(27)),
        ),
        (recipes.t_fixup(4, encoder="encoder"), 0.67 * 4**-0.25, 36**-0.25),
    ],
    ids=["deepnorm", "sub_ln", "t_fixup"],
)
def test_encoder_and_decoder_have_different_factors(recipe, encoder, decoder):
    stated = stds(jinit.linen.trace(Translation(), sequence()), recipe)
    xavier = math.sqrt(1 / 16)
    for side, factor in (("encoder", encoder), ("decoder", decoder)):
        assert stated[f"{side}_attention/value/kernel"] == pytest.approx(factor * xavier, rel=1e-4)
        assert stated[f"{side}_attention/out/kernel"] == pytest.approx(factor * xavier, rel=1e-4)
        assert stated[f"{side}_attention/query/kernel"] == pytest.approx(xavier, rel=1e-4)


class Cells(nn.Module):
    """A recurrent layer and a head."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="head")(nn.RNN(nn.LSTMCell(64, name="LSTMCell_0"))(x))


def test_recurrent_cells_of_equinox_scale_by_their_units():
    stated = stds(jinit.linen.trace(Cells(), sequence()), recipes.equinox(64))
    cell = [std for path, std in stated.items() if "Cell" in path]
    assert cell == pytest.approx([1 / 8 / 3**0.5] * len(cell))
    assert stated["head/bias"] == pytest.approx(1 / 8 / 3**0.5)


def parameter(params, *names):
    for name in names:
        params = params[name] if isinstance(params, dict) else getattr(params, name)
    return np.asarray(params)


@pytest.mark.parametrize("beta", [0.4, pytest.param(-0.4, marks=pytest.mark.slow)])
def test_mimetic_pairs_share_one_draw(gpt2, beta):
    params = jinit.init(gpt2, jax.random.key(0), recipes.mimetic(beta=beta))
    params = params["params"] if isinstance(params, dict) else params
    for layer in range(3):
        kernels = [
            parameter(params, f"block_{layer}", "attention", name, "kernel")
            for name in ("query", "key", "value", "out")
        ]
        query, key, value, out = kernels
        products = np.einsum("ihk,jhk->hij", query, key)
        traces = products.trace(axis1=1, axis2=2) / 8  # rank 8 approximation of 0.7 (Z + I)
        assert (traces > 0.7).all()
        both = value.reshape(32, 32) @ out.reshape(32, 32)
        assert both.trace() / 32 == pytest.approx(-beta, abs=0.1)
        assert np.linalg.norm(both + beta * np.eye(32)) / 32**0.5 == pytest.approx(0.4, rel=0.2)
    first, second = (
        parameter(params, f"block_{n}", "attention", "query", "kernel") for n in (0, 1)
    )
    assert not np.allclose(first, second)


@pytest.mark.slow  # the compilation of singular values of several matrices at once
def test_mimetic_in_a_loop(stack):
    params = jinit.init(stack, jax.random.key(0), recipes.mimetic())["params"]
    attention = params["loop"]["attention"]
    value, out = attention["value"]["kernel"], attention["out"]["kernel"]
    both = value.reshape(3, 16, 16) @ out.reshape(3, 16, 16)
    assert (np.trace(both, axis1=1, axis2=2) / 16 < -0.2).all()
    assert not np.allclose(both[0], both[1])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"keys": "**/block_0/**/key/kernel"}, "3 kernels match"),
        ({"values": "**/up/kernel"}, "have to be square"),
        (
            {"queries": "**/up/kernel", "keys": "**/down/kernel"},
            "does not show its heads; give their number, such as mimetic(heads=8)",
        ),
        ({"queries": "**/up/kernel", "keys": "**/down/kernel", "heads": 4}, "differ in features"),
    ],
)
def test_mimetic_rejects_kernels_that_are_not_pairs(gpt2, options, text):
    with pytest.raises(RuleError) as caught:
        plan(gpt2, recipes.mimetic(**options))
    assert text in str(caught.value)


def test_the_kernels_of_a_pair_can_be_printed(gpt2):
    text = " ".join(repr(row.initializer) for row in plan(gpt2, recipes.mimetic()).rows)
    assert "mimetic('query_key', 0, 0.7, 0.7" in text
    assert "mimetic('value_output', 1, 0.4, 0.4" in text
