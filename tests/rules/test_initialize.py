"""Whole models: each parameter from its own key, whatever surrounds it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from jinit.model import key_of, path_words
from jinit.rules import Rule, init, plan
from jinit.rules.programs import submitted

KEY = jax.random.key(7)
X = jax.ShapeDtypeStruct((2, 16), jnp.float32)


class Net(nn.Module):
    widths: tuple[int, ...] = (16, 16)
    names: tuple[str, ...] = ("a", "b")

    @nn.compact
    def __call__(self, x):
        for width, name in zip(self.widths, self.names, strict=True):
            x = nn.relu(nn.Dense(width, name=name, bias_init=nn.initializers.normal())(x))
        return nn.Dense(4, name="head")(x)


class Twin(nnx.Module):
    def __init__(self, rngs):
        bias = nnx.initializers.normal()
        self.head = nnx.Linear(16, 4, rngs=rngs)  # in another order
        self.b = nnx.Linear(16, 16, bias_init=bias, rngs=rngs)
        self.a = nnx.Linear(16, 16, bias_init=bias, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.b(nnx.relu(self.a(x)))))


def trace(module):
    return jinit.linen.trace(module, X)


def flat(params):
    found, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in found}


def equal(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_without_rules_each_parameter_is_its_own_initializer_from_its_own_key():
    drawn = flat(init(trace(Net()), KEY))
    theirs = jax.nn.initializers
    for path, value in drawn.items():
        own = key_of(KEY, path_words(path))
        make = theirs.normal() if path.endswith(("a/bias", "b/bias")) else theirs.lecun_normal()
        expected = jnp.zeros(4) if path == "params/head/bias" else make(own, value.shape)
        np.testing.assert_allclose(value, expected, rtol=2e-7)


def test_with_rules_the_values_are_those_of_calling_the_initializer():
    model = trace(Net())
    rules = [Rule(jinit.he_normal(), role="kernel"), Rule(jinit.uniform(0.1))]
    drawn = flat(init(model, KEY, rules))
    for path, value in drawn.items():
        make = jinit.he_normal() if path.endswith("kernel") else jinit.uniform(0.1)
        np.testing.assert_array_equal(value, make(key_of(KEY, path_words(path)), value.shape))
    equal(init(model, KEY, plan(model, rules)), init(model, KEY, rules))


def test_inserting_removing_and_reordering_layers_leaves_the_others():
    before = flat(init(trace(Net()), KEY))
    for names in (("a", "new", "b"), ("b", "a"), ("b",)):
        after = flat(init(trace(Net((16,) * len(names), names)), KEY))
        shared = before.keys() & after.keys()
        assert len(shared) >= 4
        for path in shared:
            np.testing.assert_array_equal(before[path], after[path])


def test_linen_and_nnx_twins_agree():
    linen = init(trace(Net()), KEY)["params"]
    twin = init(jinit.nnx.trace(Twin, X), KEY)
    assert isinstance(twin, Twin)
    equal(linen, nnx.to_pure_dict(nnx.state(twin, nnx.Param)))


def test_parameters_differ_from_each_other_and_between_keys():
    drawn = init(trace(Net()), KEY)["params"]
    assert not np.array_equal(drawn["a"]["kernel"], drawn["b"]["kernel"])
    other = init(trace(Net()), jax.random.key(8))["params"]
    assert not np.array_equal(drawn["a"]["kernel"], other["a"]["kernel"])
    equal(init(trace(Net()), KEY), init(trace(Net()), KEY))


def test_any_kind_of_key_under_jit_and_vmap():
    model, rules = trace(Net()), {"**/kernel": "he_normal", "**": "zeros"}
    for asked, error in ((None, 1e-6), (rules, 0)):
        plain = init(model, KEY, asked)
        equal(init(model, jax.random.key_data(KEY), asked), plain)
        jitted = jax.jit(lambda key, asked=asked: init(model, key, asked))(KEY)
        keys = jax.random.split(KEY, 2)
        lanes = jax.vmap(lambda key, asked=asked: init(model, key, asked))(keys)
        second = jax.tree.map(lambda leaf: leaf[1], lanes)
        for found, wanted in ((jitted, plain), (second, init(model, keys[1], asked))):
            for left, right in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
                np.testing.assert_allclose(left, right, rtol=0, atol=error)
    with pytest.raises(TypeError, match=r"expected a random key, got int: make one with"):
        init(model, 0)
    with pytest.raises(ValueError, match=r"expected one key, got \(2,\) of them"):
        init(model, keys)


def test_a_model_jinit_cannot_draw_by_itself():
    model = jinit.trace(lambda w, x: x @ w, jnp.ones((16, 3)), X)
    with pytest.raises(ValueError, match="does not know its own initializers; give rules"):
        init(model, KEY)
    assert init(model, KEY, {"**": "he_normal"}).shape == (16, 3)


def test_the_number_of_programs_does_not_grow_with_depth():
    def programs(depth: int) -> int:
        names = tuple(f"layer_{layer}" for layer in range(depth))
        submitted.cache_clear()
        init(trace(Net((16,) * depth, names)), KEY)
        return submitted.cache_info().misses

    assert programs(3) == programs(12)


def test_dtype():
    model = trace(Net())
    full, low = init(model, KEY), init(model, KEY, dtype="bfloat16")
    equal(low, jax.tree.map(lambda leaf: leaf.astype("bfloat16"), full))
    rules = {
        "**": "he_uniform",
    }
    kernels = jinit.trace(lambda w, x: x @ w, jnp.ones((16, 3)), X)
    equal(init(kernels, KEY, rules, dtype="float16"), init(kernels, KEY, rules).astype("float16"))


@pytest.mark.parametrize(
    "rules", [None, [Rule(jinit.orthogonal(), role="kernel"), Rule(jinit.zeros)]]
)
def test_sharded_values_are_the_same(rules):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    model = trace(Net())
    shardings = jax.tree.map(
        lambda leaf: NamedSharding(mesh, PartitionSpec(*["model"] * (leaf.ndim == 2))), model.params
    )
    drawn = init(model, KEY, rules, sharding=shardings)
    equal(drawn, init(model, KEY, rules))
    jax.tree.map(
        lambda leaf, asked: (
            leaf.sharding.is_equivalent_to(asked, leaf.ndim) or pytest.fail(str(leaf.sharding))
        ),
        drawn,
        shardings,
    )


def test_a_part_is_drawn_anew_and_the_rest_left_untouched():
    model = trace(Net())
    loaded = init(model, jax.random.key(1))
    drawn = init(model, KEY, only="**/head/**", keep=loaded)
    fresh = init(model, KEY)
    equal(drawn["params"]["head"], fresh["params"]["head"])
    assert drawn["params"]["a"]["kernel"] is loaded["params"]["a"]["kernel"]
    partly = init(model, KEY, keep={"params": {"a": loaded["params"]["a"]}})
    assert partly["params"]["a"]["kernel"] is loaded["params"]["a"]["kernel"]
    equal(partly["params"]["b"], fresh["params"]["b"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"only": "**/haed/**"}, "matches no parameter; there are params/a/bias"),
        ({"only": "**/head/**"}, "has to come from keep"),
        ({"keep": {"params": {"a": {"bias": np.ones(3)}}}}, "params/a/bias has shape (3,), but"),
        ({"keep": {"params": {"c": np.ones(3)}}}, "keep: params/c is no parameter of the model"),
    ],
)
def test_what_does_not_fit_the_model(options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        init(trace(Net()), KEY, **options)


def test_a_scan_over_layers_is_drawn_without_its_forward_pass():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return x + nn.Dense(16)(nn.LayerNorm()(x)), None

    class Stack(nn.Module):
        @nn.compact
        def __call__(self, x):
            scan = nn.scan(
                Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=5
            )
            return scan(name="blocks")(x, None)[0]

    params = init(trace(Stack()), KEY)["params"]["blocks"]
    kernels = params["Dense_0"]["kernel"]
    assert kernels.shape == (5, 16, 16)
    assert len({kernel.tobytes() for kernel in np.asarray(kernels)}) == 5
    assert abs(float(kernels.std()) - 0.25) < 0.03
    equal(params["LayerNorm_0"]["scale"], jnp.ones((5, 16)))


class Boxed(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(x)
        split = nn.with_partitioning(nn.initializers.lecun_normal(), ("data", None))
        logical = nn.with_logical_partitioning(nn.initializers.zeros, ("features",))
        return nn.Dense(8, kernel_init=split, bias_init=logical)(x)


def test_boxes_state_and_annotations():
    model = trace(Boxed())
    theirs = Boxed().init(KEY, jnp.ones(X.shape))
    for drawn in (init(model, KEY), init(model, KEY, {"**/kernel": "he_normal", "**": "zeros"})):
        assert jax.tree.structure(drawn) == jax.tree.structure(theirs)
        equal(drawn["batch_stats"], theirs["batch_stats"])
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    with nn.logical_axis_rules([("features", "data")]):
        layer = init(model, KEY, sharding=mesh)["params"]["Dense_0"]
    kernel = layer["kernel"].value
    assert kernel.sharding.spec == PartitionSpec("data", None)
    assert layer["bias"].value.sharding.spec == PartitionSpec("data")
    with pytest.raises(ValueError, match="no annotations of its own"):
        init(jinit.trace(lambda w, x: x @ w, kernel, X), KEY, {"**": "zeros"}, sharding=mesh)


def test_an_nnx_module_comes_with_its_state():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(16, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.norm(self.dense(x)))

    module = init(jinit.nnx.trace(Net, X), KEY, {"**/kernel": "he_normal", "**": "zeros"})
    equal(module.norm.var[...], jnp.ones(4))
    equal(module.norm.scale[...], jnp.zeros(4))
    assert module(jnp.ones(X.shape)).shape == (2, 4)
    other = init(jinit.nnx.trace(Net, X), jax.random.key(8))
    streams = [jax.random.key_data(m.dropout.rngs.key[...]) for m in (module, other)]
    assert (streams[0] != streams[1]).any()


def test_double_precision():
    """Settings of JAX that hold in this thread only reach the compiler's threads as well."""
    with jax.enable_x64(True):
        model = jinit.linen.trace(nn.Dense(3, param_dtype="float64"), X)
        for rules in (None, {"**/kernel": "lecun_normal", "**": "zeros"}):
            kernel = init(model, KEY, rules)["params"]["kernel"]
            own = key_of(KEY, path_words("kernel"))
            expected = jax.nn.initializers.lecun_normal()(own, (16, 3), "float64")
            assert kernel.dtype == np.float64
            np.testing.assert_allclose(kernel, expected, rtol=1e-14)
