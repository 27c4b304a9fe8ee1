"""init with unusual parameters, keys, initializers and meshes; and mistakes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax.sharding import AxisType

import jinit
from jinit.rules import init

KEY = jax.random.key(7)
X = jax.ShapeDtypeStruct((2, 16), jnp.float32)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(16, name="a", bias_init=nn.initializers.normal())(x))
        return nn.Dense(4, name="head")(x)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "name", ["zeros", "ones", "constant", "normal", "lecun_normal", "orthogonal"]
)
def test_parameters_of_one_entry(name):
    kernel = getattr(nn.initializers, name)
    if name not in ("zeros", "ones"):
        kernel = kernel(3.0) if name == "constant" else kernel()
    bias = kernel if name in ("zeros", "ones", "constant") else nn.initializers.ones
    x, options = jnp.ones((2, 1)), {"kernel_init": kernel, "bias_init": bias}
    module = nn.Dense(1, **options)
    model = jinit.linen.trace(module, x)
    jitted, linen = jax.jit(lambda key: init(model, key))(KEY), init(model, KEY)["params"]
    in_nnx = init(jinit.nnx.trace(lambda rngs: nnx.Linear(1, 1, rngs=rngs, **options), x), KEY)
    for path, shape in (("kernel", (1, 1)), ("bias", (1,))):
        assert linen[path].shape == shape
        np.testing.assert_array_equal(linen[path], jitted["params"][path])
        np.testing.assert_array_equal(linen[path], getattr(in_nnx, path)[...])
    fast = jinit.fast_init(module.init)(KEY, x)
    jax.tree.map(np.testing.assert_array_equal, fast, module.init(KEY, x))
    assert init(model, KEY, {"**": jinit.ones})["params"]["bias"].shape == (1,)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [pytest.param(None, marks=pytest.mark.slow), {"**": "normal"}])
def test_keys_whose_random_bits_only_jax_can_draw(rules):
    model, key = jinit.linen.trace(Net(), X), jax.random.key(0, impl="rbg")
    eager, traced = init(model, key, rules), jax.jit(lambda key: init(model, key, rules))(key)
    jax.tree.map(np.testing.assert_array_equal, eager, traced)
    assert float(jnp.std(eager["params"]["a"]["kernel"])) > 0.005
    with jax.threefry_partitionable(False):
        drawn = init(model, KEY, rules)
    assert jax.tree.map(jnp.shape, drawn) == jax.tree.map(jnp.shape, eager)


@pytest.mark.parametrize(
    "cast",
    [
        lambda key: jnp.full(3, 0.1).astype(jnp.bfloat16).astype(jnp.float32),
        lambda key: jnp.full(3, 1.7).astype(jnp.int32).astype(jnp.float32),
        lambda key: jnp.full(3, 300.0).astype(jnp.int8).astype(jnp.float32),
        lambda key: jnp.full(3, jnp.inf).astype(jnp.int32),
        lambda key: jax.lax.reduce_precision(jnp.full(3, 0.1), 5, 2),
    ],
)
def test_constants_are_cast_as_in_the_model(cast):
    model = jinit.trace(lambda w, x: x * w, jax.eval_shape(cast, KEY), jnp.ones(3), init=cast)
    expected = jax.jit(cast)(KEY)
    np.testing.assert_array_equal(init(model, KEY), expected)
    np.testing.assert_array_equal(jinit.fast_init(cast)(KEY), expected)


def test_modules_and_boxed_parameters_can_be_kept():
    def build(rngs):
        return nnx.Sequential(
            nnx.Linear(16, 4, rngs=rngs), nnx.Dropout(0.1, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)
        )

    model = jinit.nnx.trace(build, X)
    module = init(model, KEY)
    for keep in (module, nnx.state(module)):
        again = init(model, jax.random.key(1), only="**/2/kernel", keep=keep)
        np.testing.assert_array_equal(again.layers[0].kernel[...], module.layers[0].kernel[...])
        assert not np.array_equal(again.layers[2].kernel[...], module.layers[2].kernel[...])
    boxed = nn.with_partitioning(nn.initializers.lecun_normal(), ("a", "b"))
    model = jinit.linen.trace(nn.Dense(4, kernel_init=boxed), X)
    params = init(model, KEY)
    again = init(model, jax.random.key(1), only="**/bias", keep=params)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_the_rngs_of_a_trace_do_not_change_the_values():
    rngs = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    model, plain = jinit.linen.trace(Net(), X, rngs=rngs), jinit.linen.trace(Net(), X)
    jax.tree.map(np.testing.assert_array_equal, init(model, KEY), init(plain, KEY))


class Averaged(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.normal(), (16, 3))
        average = self.variable("average", "kernel", lambda: kernel)
        return x @ kernel + x @ average.value


def test_a_copy_of_a_parameter_is_initialized_to_its_value():
    model = jinit.linen.trace(Averaged(), X)
    for drawn in (init(model, KEY), jax.jit(lambda key: init(model, key))(KEY)):
        np.testing.assert_array_equal(drawn["params"]["kernel"], drawn["average"]["kernel"])
    kept = init(model, KEY, keep={"params": {"kernel": jnp.ones((16, 3))}})
    np.testing.assert_array_equal(kept["average"]["kernel"], np.ones((16, 3)))


def test_a_copy_of_a_parameter_has_its_own_memory():
    model = jinit.linen.trace(Averaged(), X)
    for keep in (None, {"params": {"kernel": jnp.ones((16, 3))}}):
        params = init(model, KEY, keep=keep)
        expected = np.array(params["params"]["kernel"])
        jax.jit(lambda kernel: kernel + 1, donate_argnums=0)(params["params"]["kernel"])
        np.testing.assert_array_equal(params["average"]["kernel"], expected)


@pytest.mark.slow
def test_eight_bits_keep_their_subnormal_numbers():
    def draw(key):
        return (0.01 * jax.random.normal(key, (200, 30))).astype(jnp.float8_e4m3fn)

    shares = [
        float(jnp.mean(function(KEY).astype(jnp.float32) == 0))
        for function in (draw, jinit.fast_init(draw))
    ]
    assert shares[0] == shares[1] < 0.2


@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (lambda key, shape, dtype: jax.random.normal(key, shape[::-1], dtype), "(4, 16)"),
        (lambda key, shape, dtype: jax.random.normal(key), "()"),
        (lambda key, shape, dtype: jax.random.gamma(key, 2.0, (3,)), "(3,)"),
    ],
)
def test_an_initializer_that_returns_another_shape_is_an_error(initializer, shape):
    model = jinit.linen.trace(nn.Dense(4, use_bias=False), X)
    rules = {"**": initializer}
    for draw in (
        lambda key: init(model, key, rules),
        jax.jit(lambda key: init(model, key, rules)),
    ):
        with pytest.raises(ValueError, match=re.escape(f"an array of shape {shape}, but the")):
            draw(KEY)


def test_an_init_function_for_other_parameters_is_an_error():
    w = jnp.ones((16, 3))
    model = jinit.trace(lambda p, x: x @ p["w"], {"w": w}, X, init=lambda key: {"a": w, "w": w})
    with pytest.raises(ValueError, match=r"makes other parameters .* difference is \['a'\]"):
        init(model, KEY)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: init(nn.Dense(3), KEY), "init: expected a Model, got Dense"),
        (lambda: jinit.nnx.trace(nnx.Linear(16, 3, rngs=nnx.Rngs(0)), X), "drawn already"),
        (lambda: jinit.linen.trace(lambda x: x, X), "expected a Linen module, got function"),
    ],
)
def test_arguments_that_are_not_models(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_an_initializer_that_cannot_draw_a_shape_names_the_parameter():
    with pytest.raises(ValueError, match="params/a/bias: "):
        init(jinit.linen.trace(Net(), X), KEY, {"**": jinit.orthogonal()})


def test_values_do_not_depend_on_a_mesh_that_is_set():
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    boxed = nn.with_partitioning(nn.initializers.lecun_normal(), ("a", "b"))
    annotated = nn.Dense(4, kernel_init=boxed)
    outside = jinit.linen.trace(annotated, X)
    plain = init(jinit.linen.trace(Net(), X), KEY)
    expected = init(outside, KEY)

    def build(rngs):
        partitioned = nnx.with_partitioning(nnx.initializers.lecun_normal(), ("a", "b"))
        return nnx.Linear(16, 4, kernel_init=partitioned, rngs=rngs)

    with jax.set_mesh(mesh):
        again = init(jinit.linen.trace(Net(), X), KEY)
        annotated_params = [
            init(jinit.linen.trace(annotated, X), KEY),
            init(outside, KEY, sharding=mesh),
        ]
        in_nnx = init(jinit.nnx.trace(build, X), KEY)
    jax.tree.map(np.testing.assert_array_equal, again, plain)
    for params in annotated_params:
        jax.tree.map(np.testing.assert_array_equal, params, expected)
    np.testing.assert_array_equal(in_nnx.kernel[...], expected["params"]["kernel"].value)
