"""Recipes that depend on the position of a parameter: branches, blocks, experts, and pairs."""

import math

import jax
import jax.numpy as jnp
import pytest
from architectures.gpt2 import Config, LinenGPT2, NnxGPT2
from flax import linen as nn
from networks import Mixture, ResNet, Stack, image, sequence

import jinit
from jinit import RuleError, recipes
from jinit.rules import plan

STD_CUT_AT_3 = 0.9865783  # of a standard normal truncated at ±3
STD_CUT_AT_1 = 0.5395598
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


@pytest.mark.parametrize(
    ("recipe", "std"),
    [(recipes.mitchell(), STD_CUT_AT_3 / 32**0.5), (recipes.beit(), 0.02 * STD_CUT_AT_1)],
    ids=["mitchell", "beit"],
)
def test_stacked_blocks_are_counted_separately(stack, recipe, std):
    params = jinit.init(stack, jax.random.key(0), recipe)["params"]
    ends = [*params["loop"]["down"]["kernel"], params["last"]["down"]["kernel"]]
    for block, kernel in enumerate(ends):  # 512 entries: 4 standard errors are 13 %
        assert float(kernel.std()) == pytest.approx(std / math.sqrt(2 * (block + 1)), rel=0.13)
    assert float(params["loop"]["up"]["kernel"].std()) > 0.9 * std


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
