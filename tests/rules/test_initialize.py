"""init draws each parameter of a model from a key that depends on its path only."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from jinit.model import parameter_key, path_bits
from jinit.programs import count_compilations
from jinit.rules import Rule, RuleError, init, plan

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


class NnxNet(nnx.Module):
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


def test_without_rules_the_values_are_those_of_the_models_initializers():
    drawn = flat(init(trace(Net()), KEY))
    theirs = jax.nn.initializers
    for path, value in drawn.items():
        key = parameter_key(KEY, path_bits(path))
        is_bias = path.endswith(("a/bias", "b/bias"))
        initializer = theirs.normal() if is_bias else theirs.lecun_normal()
        expected = jnp.zeros(4) if path == "params/head/bias" else initializer(key, value.shape)
        np.testing.assert_allclose(value, expected, rtol=2e-7)


def test_with_rules_the_values_are_those_of_calling_the_initializer():
    model = trace(Net())
    rules = [Rule(jinit.he_normal(), role="kernel"), Rule(jinit.uniform(0.1))]
    drawn = flat(init(model, KEY, rules))
    for path, value in drawn.items():
        initializer = jinit.he_normal() if path.endswith("kernel") else jinit.uniform(0.1)
        key = parameter_key(KEY, path_bits(path))
        np.testing.assert_array_equal(value, initializer(key, value.shape))
    equal(init(model, KEY, plan(model, rules)), init(model, KEY, rules))


def test_other_layers_do_not_change_when_layers_are_inserted_removed_or_reordered():
    before = flat(init(trace(Net()), KEY))
    for names in (("a", "new", "b"), ("b", "a"), ("b",)):
        after = flat(init(trace(Net((16,) * len(names), names)), KEY))
        shared = before.keys() & after.keys()
        assert len(shared) >= 4
        for path in shared:
            np.testing.assert_array_equal(before[path], after[path])


def test_the_same_network_in_linen_and_nnx_has_the_same_values():
    linen = init(trace(Net()), KEY)["params"]
    drawn = init(jinit.nnx.trace(NnxNet, X), KEY)
    assert isinstance(drawn, NnxNet)
    equal(linen, nnx.to_pure_dict(nnx.state(drawn, nnx.Param)))


def test_parameters_differ_from_each_other_and_between_keys():
    drawn = init(trace(Net()), KEY)["params"]
    assert not np.array_equal(drawn["a"]["kernel"], drawn["b"]["kernel"])
    other = init(trace(Net()), jax.random.key(8))["params"]
    assert not np.array_equal(drawn["a"]["kernel"], other["a"]["kernel"])
    equal(init(trace(Net()), KEY), init(trace(Net()), KEY))


def test_any_kind_of_key_under_jit_and_vmap():
    model, rules = trace(Net()), {"**/kernel": "he_normal", "**": "zeros"}
    keys = jax.random.split(KEY, 2)
    for given, error in ((None, 1e-6), (rules, 0)):
        plain = init(model, KEY, given)
        equal(init(model, jax.random.key_data(KEY), given), plain)
        jitted = jax.jit(lambda key, given=given: init(model, key, given))(KEY)
        batched = jax.vmap(lambda key, given=given: init(model, key, given))(keys)
        second = jax.tree.map(lambda leaf: leaf[1], batched)
        for actual, expected in ((jitted, plain), (second, init(model, keys[1], given))):
            for left, right in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
                np.testing.assert_allclose(left, right, rtol=0, atol=error)


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        (0, TypeError, "expected a random key, got 0: make one with jax.random.key(0)"),
        (None, TypeError, "expected a random key, got None: make one with"),
        (np.uint32(3), TypeError, "expected a random key, got an array of shape ()"),
        (np.zeros(3, "u4"), TypeError, "expected a random key, got an array of shape (3,)"),
        (
            jax.random.split(KEY, 2),
            ValueError,
            "expected one random key, got an array of keys of shape (2,",
        ),
        (np.zeros((5, 2), "u4"), ValueError, "expected one random key, got an array of keys of"),
    ],
)
def test_a_wrong_key_is_an_error(key, error, text):
    model = jinit.trace(lambda w, x: x @ w, jnp.ones((16, 3)), X)
    for draw in (init, lambda model, key, rules: plan(model, rules).init(key)):
        with pytest.raises(error, match=re.escape(text)):
            draw(model, key, {"**": "he_normal"})


def test_parameters_without_entries_are_drawn():
    kernel = jnp.ones((16, 0))
    model = jinit.trace(lambda w, x: x @ w, kernel, X, init=lambda key: kernel)
    for rules in (None, {"**": "zeros"}, {"**": "he_normal"}, {"**": "orthogonal"}):
        assert init(model, KEY, rules).shape == (16, 0)


def test_a_plan_takes_the_options_of_init():
    model = trace(Net())
    planned = plan(model, {"**/kernel": "he_normal", "**": "zeros"})
    loaded = init(model, jax.random.key(1))
    options = {"dtype": "bfloat16", "only": "**/head/**", "keep": loaded}
    equal(planned.init(KEY, **options), init(model, KEY, planned, **options))


def test_a_plan_for_another_model_is_an_error():
    planned = plan(trace(Net((16,), ("a",))), {"**/kernel": "he_normal", "**": "zeros"})
    with pytest.raises(RuleError, match="plan is for another model, which does not have params/b/"):
        init(trace(Net()), KEY, planned)


def test_a_model_without_initializers_needs_rules():
    model = jinit.trace(lambda w, x: x @ w, jnp.ones((16, 3)), X)
    with pytest.raises(ValueError, match="does not know its own initializers; give rules"):
        init(model, KEY)
    assert init(model, KEY, {"**": "he_normal"}).shape == (16, 3)


def test_the_number_of_programs_does_not_grow_with_depth():
    def programs(depth: int) -> int:
        names = tuple(f"layer_{layer}" for layer in range(depth))
        with count_compilations() as compilations:
            init(trace(Net((16,) * depth, names)), KEY)
        return compilations.count

    assert programs(3) == programs(12)


def test_a_lower_precision_is_the_full_precision_rounded():
    model = trace(Net())
    full, low = init(model, KEY), init(model, KEY, dtype="bfloat16")
    equal(low, jax.tree.map(lambda leaf: leaf.astype("bfloat16"), full))
    rules = {"**": "he_uniform"}
    kernels = jinit.trace(lambda w, x: x @ w, jnp.ones((16, 3)), X)
    equal(init(kernels, KEY, rules, dtype="float16"), init(kernels, KEY, rules).astype("float16"))


@pytest.mark.few(1)
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
    for leaf, sharding in zip(*map(jax.tree.leaves, (drawn, shardings)), strict=True):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def test_only_and_keep_draw_some_parameters_and_keep_the_others():
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
        (
            {"keep": {"params": {"c": np.ones(3)}}},
            "keep: the model does not have params/c; there are params/a/bias",
        ),
    ],
)
def test_options_that_do_not_fit_the_model(options, text):
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


def test_boxed_parameters_state_and_annotations():
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


def test_an_nnx_module_has_its_state():
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
    keys = [jax.random.key_data(each.dropout.rngs.key[...]) for each in (module, other)]
    assert (keys[0] != keys[1]).any()


@pytest.mark.slow
def test_double_precision():
    """Settings of JAX that hold in this thread only also reach the compiler's threads."""
    with jax.enable_x64(True):
        model = jinit.linen.trace(nn.Dense(3, param_dtype="float64"), X)
        for rules in (None, {"**/kernel": "lecun_normal", "**": "zeros"}):
            kernel = init(model, KEY, rules)["params"]["kernel"]
            key = parameter_key(KEY, path_bits("kernel"))
            expected = jax.nn.initializers.lecun_normal()(key, (16, 3), "float64")
            assert kernel.dtype == np.float64
            np.testing.assert_allclose(kernel, expected, rtol=1e-14)
