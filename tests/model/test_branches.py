"""Residual branches, residual streams and ends of paths."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from networks import Mixture, ResNet, Stack, image, sequence

import jinit


def branches_and_ends(model):
    return {leaf.path.removeprefix("params/"): (leaf.branch, leaf.end) for leaf in model.leaves}


def test_branches_of_a_residual_network_with_projections():
    leaves = branches_and_ends(jinit.linen.trace(ResNet(), image()))
    assert leaves["stem/kernel"] == (None, "product")
    assert leaves["stage_0/conv_0/kernel"] == (0, "product")
    assert leaves["stage_0/conv_1/kernel"] == (0, "residual")
    assert leaves["stage_1/conv_1/kernel"] == (1, "residual")
    assert leaves["stage_1/projection/kernel"] == (None, "shortcut")
    assert leaves["head/kernel"] == (None, "output")


def test_scales_have_an_end():
    leaves = branches_and_ends(jinit.linen.trace(ResNet(), image()))
    assert leaves["stage_1/norm_0/scale"][1] == "product"
    assert leaves["stage_1/norm_1/scale"][1] == "residual"
    assert leaves["stage_1/projected/scale"][1] == "shortcut"
    assert branches_and_ends(jinit.linen.trace(Mixture(), sequence()))["gate"][1] == "residual"


def test_branches_in_a_loop_and_after_it():
    leaves = branches_and_ends(jinit.linen.trace(Stack(), sequence()))
    places = ("attention/query", "attention/out", "up", "down")
    assert [leaves[f"loop/{place}/kernel"][0] for place in places] == [0, 0, 1, 1]
    assert [leaves[f"last/{place}/kernel"][0] for place in places] == [2, 2, 3, 3]


class Parallel(nn.Module):
    """Attention and dense layers on the same residual stream, as in GPT-J."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(16, name="down")(nn.gelu(nn.Dense(32, name="up")(x)))
        return x + nn.MultiHeadDotProductAttention(2, name="attention")(x) + y


class Recurrent(nn.Module):
    """A cell whose two products are added; neither is a residual stream."""

    @nn.compact
    def __call__(self, x):
        return nn.RNN(nn.SimpleCell(16, name="cell"))(x)


def test_parallel_branches_have_different_numbers():
    leaves = branches_and_ends(jinit.linen.trace(Parallel(), sequence()))
    assert leaves["up/kernel"] == (0, "product")
    assert leaves["down/kernel"] == (0, "residual")
    assert leaves["attention/value/kernel"] == (1, "attention")
    assert leaves["attention/out/kernel"] == (1, "residual")


@pytest.mark.parametrize("bias", [True, False])
def test_a_mask_computed_from_the_input_is_not_a_residual_stream(bias):
    def apply(params, tokens):
        x = params["table"][tokens]
        scores = jnp.einsum("btd,bsd->bts", x @ params["query"], x @ params["key"])
        masked = jnp.where(tokens[:, None, :] > 0, 0.0, -1e9)
        scores = scores + masked if bias else jnp.where(tokens[:, None, :] > 0, scores, -1e9)
        return x + (jax.nn.softmax(scores) @ x) @ params["out"]

    square = jnp.ones((8, 8))
    params = {"table": jnp.ones((5, 8)), "query": square, "key": square, "out": square}
    leaves = branches_and_ends(jinit.trace(apply, params, jnp.ones((2, 3), int)))
    assert {path: branch for path, (branch, _) in leaves.items()} == {
        "table": None,
        "query": 0,
        "key": 0,
        "out": 0,
    }
    assert leaves["query"][1] == "attention"


def test_a_sum_of_two_products_has_no_branch():
    leaves = branches_and_ends(jinit.linen.trace(Recurrent(), sequence()))
    assert {branch for branch, _ in leaves.values()} == {None}
