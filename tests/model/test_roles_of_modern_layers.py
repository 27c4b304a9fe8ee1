"""Roles and fans in grouped products, ensembles, projected latents and normalizations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax
from model.roles import IMAGE, SEQUENCE, check, floats

import jinit

SIZES = np.array([3, 5, 2, 6])


def ragged(params, x, contracted=(1, 1), group=(0,), rows=0):
    numbers = lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=(([contracted[0]], [contracted[1]]), ([], [])),
        lhs_ragged_dimensions=[rows],
        rhs_group_dimensions=list(group),
    )
    return lax.ragged_dot_general(x, params["w"], jnp.asarray(SIZES), numbers)


def convolve(params, x, reverse=False, **groups):
    left, right = (params["w"], x) if reverse else (x, params["w"])
    numbers = ("NHWC", "HWIO", "NHWC")
    strides = groups.pop("strides", (1, 1))
    return lax.conv_general_dilated(
        left, right, strides, "VALID", dimension_numbers=numbers, **groups
    )


CONTRACTIONS = {
    "experts": (ragged, floats(4, 8, 6), floats(16, 8), "kernel batch,in,out 8 6"),
    "transposed experts": (
        lambda p, x: ragged(p, x, (1, 2)), floats(4, 6, 8), floats(16, 8),
        "kernel batch,out,in 8 6",
    ),
    "sums over groups of rows": (
        lambda p, x: ragged(p, x, (1, 0), (), 1), floats(16, 5), floats(7, 16),
        "kernel in,out 4 5",
    ),
    "an image of weights": (
        lambda p, x: convolve(p, x, reverse=True), floats(6, 5, 5, 3), floats(4, 4, 3, 7),
        "kernel out,spatial,spatial,in 48 24",
    ),
    "an image of weights, in groups": (
        lambda p, x: convolve(p, x, reverse=True, feature_group_count=2),
        floats(6, 5, 5, 4), floats(2, 2, 2, 8), "kernel out,spatial,spatial,in 8 96",
    ),
    "groups of the batch": (
        lambda p, x: convolve(p, x, batch_group_count=2), floats(3, 3, 4, 6), floats(4, 8, 8, 4),
        "kernel spatial,spatial,in,out 36 27",
    ),
    "groups of features, with strides": (
        lambda p, x: convolve(p, x, feature_group_count=2, strides=(2, 2)),
        floats(4, 4, 2, 6), floats(4, 8, 8, 4), "kernel spatial,spatial,in,out 32 12",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_fans_follow_from_the_definition_of_a_contraction(name):
    apply, weights, example, expected = CONTRACTIONS[name]
    check(jinit.trace(apply, {"w": weights}, example), {"w": expected})


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_the_fan_in_is_the_variance_of_outputs_of_unit_inputs(name):
    """The product with ones sums fan-in independent weights; false alarms: below 1e-6 in all."""
    apply, weights, example, _ = CONTRACTIONS[name]
    model = jinit.trace(apply, {"w": weights}, example)
    draws, ones = np.random.default_rng(0), jnp.ones(example.shape)
    compiled = jax.jit(lambda w: (apply({"w": w}, ones) ** 2).mean())
    squares = [float(compiled(draws.normal(size=weights.shape))) for _ in range(128)]
    assert np.mean(squares) == pytest.approx(model.leaf("w").fan_in, rel=0.25)


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(12)(nn.relu(nn.Dense(12)(x)))))


class Pixels(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3, 3))(nn.relu(nn.Conv(4, (3, 3))(x))))
        return nn.Dense(2)(x.mean((1, 2)))


def ensemble(module):
    wrapped = nn.vmap(
        module, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=None, axis_size=3
    )
    return wrapped()


def mixture(params, x):
    hidden = jax.nn.relu(jnp.einsum("bd,edf->ebf", x, params["up"]))
    gates = jax.nn.softmax(x @ params["router"])
    return jnp.einsum("ebd,be->bd", jnp.einsum("ebf,efd->ebd", hidden, params["down"]), gates)


def multiplied_heads(params, x):
    heads = jax.nn.relu(jnp.einsum("bd,dhk->bhk", x, params["w"]))
    return jnp.einsum("bhk,hkj->bj", heads, params["v"])


def mixed_heads(params, x):
    heads = jax.nn.relu(jnp.einsum("bd,dhk->bhk", x, params["w"]))
    heads = jax.nn.relu(jnp.einsum("bhk,hkj->bhj", heads, params["v"]))
    return heads.reshape(8, -1) @ params["u"]


def members(params, x):
    return jax.vmap(lambda w, v: jnp.tanh(x @ w) @ v)(params["w"], params["v"]).mean(0)


VECTORS = floats(8, 16)
FANS = {
    "critics": (
        jinit.linen.trace(ensemble(Critic), VECTORS),
        {
            "Dense_2/kernel": "kernel batch,in,out 16 12",
            "Dense_1/kernel": "kernel batch,in,out 12 12",
        },
    ),
    "convolutional members": (
        jinit.linen.trace(ensemble(Pixels), floats(2, 8, 8, 3)),
        {"Conv_1/kernel": "kernel batch,spatial,spatial,in,out 27 36"},
    ),
    "members of a pure function": (
        jinit.trace(members, {"w": floats(3, 16, 5), "v": floats(3, 5, 2)}, VECTORS),
        {"w": "kernel batch,in,out 16 5", "v": "kernel batch,in,out 5 2"},
    ),
    "experts that are fed alike": (
        jinit.trace(
            mixture,
            {"up": floats(4, 16, 5), "down": floats(4, 5, 16), "router": floats(16, 4)},
            VECTORS,
        ),
        {"up": "kernel batch,in,out 16 5", "down": "kernel batch,in,out 5 16"},
    ),
    "heads": (
        jinit.trace(multiplied_heads, {"w": floats(16, 4, 5), "v": floats(4, 5, 6)}, VECTORS),
        {"w": "kernel in,out,out 16 20", "v": "kernel in,in,out 20 6"},
    ),
    "heads that are mixed later": (
        jinit.trace(
            mixed_heads, {"w": floats(16, 4, 5), "v": floats(4, 5, 6), "u": floats(24, 3)}, VECTORS
        ),
        {"w": "kernel in,out,out 16 20", "v": "kernel batch,in,out 5 6"},
    ),
}


@pytest.mark.parametrize("name", FANS)
def test_members_of_an_ensemble_have_kernels_of_their_own(name):
    check(*FANS[name])


def test_an_orthogonal_ensemble_has_an_orthogonal_matrix_for_each_member():
    model = FANS["members of a pure function"][0]
    params = jinit.init(model, jax.random.key(0), {"**": "orthogonal"})
    for member in params["w"]:
        np.testing.assert_allclose(member.T @ member, np.eye(5), atol=1e-5)


class Pooling(nn.Module):
    """A learned probe that attends to the inputs, as in the head of SigLIP."""

    @nn.compact
    def __call__(self, x):
        probe = self.param("probe", nn.initializers.xavier_uniform(), (1, 1, 16))
        probe = jnp.tile(probe, [x.shape[0], 1, 1])
        return nn.MultiHeadDotProductAttention(4, name="attention")(probe, nn.Dense(16)(x))[:, 0]


class Perceiver(nn.Module):
    """Latents that are normalized, attend to the inputs, and carry a residual stream."""

    bias: bool = True

    @nn.compact
    def __call__(self, x):
        latents = self.param("latents", nn.initializers.normal(), (4, 16))
        latents = jnp.broadcast_to(latents[None], (x.shape[0], 4, 16))
        attention = nn.MultiHeadDotProductAttention(2, use_bias=self.bias, name="attention")
        return latents + attention(nn.LayerNorm(name="norm")(latents), nn.Dense(16)(x))


def decoder_queries(params, memory):
    queries = params["queries"] @ params["wq"] + params["bq"]
    scores = jax.nn.softmax(jnp.einsum("qd,bkd->bqk", queries, memory @ params["wk"]))
    return scores @ memory


def prompt(params, x):
    prompts = params["prompt"] @ params["projection"] + params["bias"]
    prompts = jnp.broadcast_to(prompts[None], (2, *prompts.shape))
    return jnp.concatenate([prompts, x], 1) @ params["w"]


def low_rank(params, x):
    return x @ (params["w"] + params["a"] @ params["b"])


QUERY = {"attention/query/kernel": "kernel in,out,out 16 16"}
LATENTS = {
    "a probe": (
        jinit.linen.trace(Pooling(), SEQUENCE),
        QUERY | {"probe": "token unit,unit,out", "attention/query/bias": "bias out,out 16"},
    ),
    "normalized latents": (
        jinit.linen.trace(Perceiver(), SEQUENCE),
        QUERY | {"latents": "token out,out", "norm/scale": "scale out", "norm/bias": "bias out"},
    ),
    "latents without biases": (
        jinit.linen.trace(Perceiver(bias=False), SEQUENCE), QUERY | {"latents": "token out,out"},
    ),
    "queries of a decoder": (
        jinit.trace(
            decoder_queries,
            {"queries": floats(6, 16), "bq": floats(1, 8)}
            | {name: floats(16, 8) for name in ("wq", "wk")},
            SEQUENCE,
        ),
        {"queries": "token out,out", "wq": "kernel in,out 16 8", "bq": "bias unit,out 16"},
    ),
    "prompts": (
        jinit.trace(
            prompt,
            {
                "prompt": floats(3, 4),
                "projection": floats(4, 16),
                "bias": floats(1, 16),
                "w": floats(16, 5),
            },
            SEQUENCE,
        ),
        {
            "prompt": "token out,out",
            "projection": "kernel in,out 4 16",
            "bias": "bias unit,out 4",
            "w": "kernel in,out 16 5",
        },
    ),
    "low rank is not a latent": (
        jinit.trace(
            low_rank, {"w": floats(16, 5), "a": floats(16, 2), "b": floats(2, 5)}, VECTORS
        ),
        {"w": "kernel in,out 16 5", "a": "kernel in,out 16 2", "b": "kernel in,out 2 5"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LATENTS)
def test_latents_are_tokens_and_their_projections_kernels(name):
    check(*LATENTS[name])


def evaluated(params, x):
    inverse = lax.rsqrt(params["var"] + 1e-5)
    x = (x - params["mean"][None]) * (inverse * params["scale"])[None] + params["bias"][None]
    return jax.nn.relu(x) @ params["w"]


def two_axes(params, x):
    x = x - x.mean((1, 2), keepdims=True)
    x = x / jnp.sqrt((x * x).mean((1, 2), keepdims=True) + 1e-5)
    return (x + params["bias"][None]).reshape(2, -1) @ params["w"]


def positions_after_a_norm(params, x):
    x = x / jnp.sqrt((x * x).mean(2, keepdims=True) + 1e-5)
    return (x + params["positions"][None]) @ params["w"]


class Evaluated(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True, name="norm")(nn.Conv(4, (3, 3), name="conv")(x))
        return nn.relu(x).mean((1, 2))


AFFINE = {"scale": "scale out", "bias": "bias out"}
NORMALIZATIONS = {
    "an evaluated BatchNorm": (
        jinit.linen.trace(Evaluated(), IMAGE),
        {f"norm/{name}": role for name, role in AFFINE.items()}
        | {"batch_stats/norm/mean": "state out 144", "batch_stats/norm/var": "state"},
    ),
    "an evaluated BatchNorm in NNX": (
        jinit.nnx.trace(
            lambda rngs: nnx.BatchNorm(16, use_running_average=True, rngs=rngs), VECTORS
        ),
        AFFINE,
    ),
    "a BatchNorm with parameters as statistics": (
        jinit.trace(
            evaluated,
            {name: floats(16) for name in ("mean", "var", "scale", "bias")} | {"w": floats(16, 5)},
            VECTORS,
        ),
        AFFINE | {"w": "kernel in,out 16 5"},
    ),
    "a LayerNorm over two axes": (
        jinit.linen.trace(nn.LayerNorm(reduction_axes=(1, 2), feature_axes=(1, 2)), SEQUENCE),
        {"scale": "scale out,out", "bias": "bias out,out"},
    ),
    "two axes without a scale": (
        jinit.trace(two_axes, {"bias": floats(7, 16), "w": floats(112, 5)}, SEQUENCE),
        {"bias": "bias out,out"},
    ),
    "positions": (
        jinit.trace(
            positions_after_a_norm, {"positions": floats(7, 16), "w": floats(16, 5)}, SEQUENCE
        ),
        {"positions": "position out,out"},
    ),
}


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_parameters_of_normalizations_are_read(name):
    check(*NORMALIZATIONS[name])
