"""Parameters that the source of a recipe does not know keep the model's own initializer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit import RuleError, recipes
from jinit.rules import plan

D, HEADS = 16, 2


def normalize(x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def attend(query, key, value):
    query, key, value = (a.reshape(*a.shape[:-1], HEADS, -1) for a in (query, key, value))
    weights = jax.nn.softmax(jnp.einsum("bthd,bshd->bhts", query, key) / 3)
    return jnp.einsum("bhts,bshd->bthd", weights, value).reshape(*query.shape[:-2], -1)


def network(params, x):
    """A transformer block, and parameters of which only the author of a model knows the use."""

    def wide(name):
        return jnp.broadcast_to(params[name], x.shape)

    h = normalize(x) * wide("norm") + wide("norm_bias")
    h = attend(*(h @ params[name] for name in ("query", "key", "value"))) @ params["out"]
    x = x + h * wide("gate")
    h = normalize(x) * (1 + wide("offset"))  # as in Gemma, whose scales begin at zero
    x = x + jax.nn.gelu(h @ params["up"] + wide("up_bias")) @ params["down"]
    x = x * jnp.exp(-jnp.exp(wide("log_decay"))) * wide("mask")
    mean, variance = wide("mean"), wide("variance")
    x = (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * wide("batch_scale"))
    return x @ jnp.sort(params["sorted"], 0), params["output"]


UNKNOWN = ("gate", "offset", "log_decay", "mask", "sorted", "output", "unused")
VECTORS = ("norm", "norm_bias", "up_bias", *UNKNOWN[:4], "mean", "variance", "batch_scale")
KERNELS = ("query", "key", "value", "out", "up", "down", "sorted")


def own_values(key):
    keys = iter(jax.random.split(key, 32))
    vectors = {name: jax.random.normal(next(keys), (D,)) for name in VECTORS}
    kernels = {name: jax.random.normal(next(keys), (D, D)) for name in KERNELS}
    extra = {name: jax.random.normal(next(keys), (3,)) for name in ("output", "unused")}
    return vectors | kernels | extra


@pytest.fixture(scope="module")
def model():
    params = jax.eval_shape(own_values, jax.random.key(0))
    return jinit.trace(network, params, jnp.ones((2, 5, D)), init=own_values)


SHAPES = dict.fromkeys(KERNELS, (D, D)) | dict.fromkeys(VECTORS, (D,))
SHAPES |= {"output": (3,), "unused": (3,)}
RECIPES = {
    "beit": recipes.beit(),
    "deepnorm": recipes.deepnorm(2),
    "equinox": recipes.equinox(),
    "everywhere": recipes.everywhere(jinit.he_normal()),
    "everywhere normal": recipes.everywhere(jinit.normal(0.1)),
    "fixup": recipes.fixup(),
    "full_megatron": recipes.full_megatron(2),
    "gpt2": recipes.gpt2(2),
    "haiku": recipes.haiku(),
    "keras": recipes.keras(),
    "megatron": recipes.megatron(2),
    "mimetic": recipes.mimetic(),
    "mitchell": recipes.mitchell(),
    "modded_nanogpt": recipes.modded_nanogpt(),
    "mup": recipes.mup(SHAPES),
    "pytorch": recipes.pytorch(),
    "small_init_wang": recipes.small_init_wang(2),
    "sub_ln": recipes.sub_ln(2),
    "switch_transformer": recipes.switch_transformer(),
    "t5": recipes.t5(),
    "t_fixup": recipes.t_fixup(2),
    "vit_jax": recipes.vit_jax(),
    "vit_moco": recipes.vit_moco(),
    "vit_timm": recipes.vit_timm(),
    "zero_branches": recipes.zero_branches(),
}
SPECIAL = {"coordinate_check", "mup_multipliers", "scale_by_mup", "CoordinateCheck"}


def test_every_recipe_is_in_the_table():
    elsewhere = {"deepnorm_encoder_decoder", "sub_ln_encoder_decoder", "gated_branches"}
    names = {name.split(" ")[0] for name in RECIPES}
    assert names == set(recipes.__all__) - SPECIAL - elsewhere


@pytest.mark.parametrize("name", RECIPES)
def test_unknown_parameters_keep_the_models_own_initializer(model, name):
    planned = plan(model, RECIPES[name])
    rows = {row.path: row for row in planned.rows}
    assert {path for path in UNKNOWN if rows[path].initializer is not None} == set()
    assert {path for path in (*KERNELS[:6], "norm") if rows[path].initializer is None} == set()
    assert str(planned).count("model's own") >= len(UNKNOWN)


def test_their_values_are_those_of_the_model():
    def own(key):
        first, second = jax.random.split(key)
        return {"w": jax.random.normal(first, (D, D)), "decay": jax.random.uniform(second, (D,))}

    def apply(params, x):
        return x @ params["w"] * jnp.exp(-jnp.exp(jnp.broadcast_to(params["decay"], x.shape)))

    params = jax.eval_shape(own, jax.random.key(0))
    model = jinit.trace(apply, params, jnp.ones((2, D)), init=own)
    plain, drawn = (jinit.init(model, jax.random.key(3), chosen) for chosen in (None, recipes.t5()))
    np.testing.assert_array_equal(plain["decay"], drawn["decay"])
    assert not np.allclose(plain["w"], drawn["w"])


@pytest.mark.parametrize(("count", "is_known"), [(1, True), (3, False)])
def test_several_tokens_do_not_become_equal(count, is_known):
    def own(key):
        return {"tokens": jax.random.normal(key, (1, count, D)), "w": jnp.ones((D, D))}

    def apply(params, x):
        tokens = jnp.broadcast_to(params["tokens"], (2, count, D))
        return jnp.concatenate([tokens, x], 1) @ params["w"]

    params = jax.eval_shape(own, jax.random.key(0))
    model = jinit.trace(apply, params, jnp.ones((2, 5, D)), init=own)
    rows = {row.path: row.initializer for row in plan(model, recipes.vit_jax()).rows}
    assert rows["tokens"] == (jinit.zeros if is_known else None)


def test_the_gate_of_a_branch_is_known_to_gated_branches(model):
    rows = {row.path: row for row in plan(model, recipes.gated_branches()).rows}
    assert rows["gate"].initializer == jinit.zeros
    assert rows["mask"].initializer is None


def test_a_model_without_initializers_needs_rules_for_them():
    params = jax.eval_shape(own_values, jax.random.key(0))
    model = jinit.trace(network, params, jnp.ones((2, 5, D)))
    with pytest.raises(RuleError) as caught:
        plan(model, recipes.t5())
    for text in ("log_decay (", "path='", "init=...", "model's own"):
        assert text in str(caught.value)
    first = [
        jinit.Rule("ones", path=name) for name in (*UNKNOWN, "batch_scale", "mean", "variance")
    ]
    rows = {row.path: row.initializer for row in plan(model, (*first, *recipes.t5())).rows}
    assert rows["mask"] == jinit.ones


def test_rules_written_by_hand_stay_strict(model):
    with pytest.raises(RuleError, match="no rule matches unused"):
        plan(model, [jinit.Rule("zeros", role=role) for role in ("kernel", "bias", "scale")])
