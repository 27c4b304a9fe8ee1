"""The function found after a kernel equals the activation in the source."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit
from jinit.hooks import as_model
from jinit.theory import moments

X = jax.ShapeDtypeStruct((2, 7, 16), jnp.float32)
IMAGE = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
POINTS = jnp.linspace(-4, 4, 33)
W = jax.ShapeDtypeStruct((16, 16), jnp.float32)

FUNCTIONS = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "mish": jax.nn.mish,
    "softplus": jax.nn.softplus,
    "soft_sign": jax.nn.soft_sign,
    "squareplus": jax.nn.squareplus,
    "hard_tanh": jax.nn.hard_tanh,
    "hard_silu": jax.nn.hard_silu,
    "log_sigmoid": jax.nn.log_sigmoid,
    "sin": jnp.sin,
    "square": jnp.square,
    "squared relu": lambda x: jax.nn.relu(x) ** 2,
    "step": lambda x: (x > 0).astype(x.dtype),
    "straight-through round": lambda x: x - jax.lax.stop_gradient(x - jnp.round(x)),
    "custom function": lambda x: jnp.where(x > 1, jnp.log1p(jnp.abs(x)), x * jnp.exp(-x) / 3),
}


def first_activation(apply, params=W, *inputs):
    """Return the activation of the first kernel."""
    model = jinit.trace(apply, params, *(inputs or (X,)))
    return next(leaf.activation for leaf in model.leaves if leaf.role == "kernel")


def activation_of(module, path, example=X):
    """Return the activation of the kernel at this path."""
    leaves = {leaf.path: leaf for leaf in as_model(module, example).leaves}
    return leaves[path].activation


@pytest.mark.few(12)
@pytest.mark.parametrize(
    ("name", "wrap"),
    [*((name, None) for name in FUNCTIONS), ("relu", jax.jit), ("gelu", jax.checkpoint)],
)
def test_the_activation_is_the_one_written(name, wrap):
    function = wrap(FUNCTIONS[name]) if wrap else FUNCTIONS[name]
    activation = first_activation(lambda w, x: function(x @ w) @ w)
    assert (activation.end, activation.argument_count) == ("product", 1)
    np.testing.assert_allclose(activation(POINTS), function(POINTS), rtol=1e-6, atol=1e-6)


@pytest.mark.once
def test_its_moments_are_those_of_the_activation():
    for name in ("relu", "gelu", "tanh"):
        measured = moments(first_activation(lambda w, x, f=FUNCTIONS[name]: f(x @ w) @ w))
        expected = moments(FUNCTIONS[name])
        assert measured.second == pytest.approx(expected.second, rel=1e-6)
        assert measured.slope2 == pytest.approx(expected.slope2, rel=1e-6)


def test_equal_layers_share_one_activation():
    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in (16, 16, 8):
                x = nn.gelu(nn.Dense(width)(x))
            return nn.Dense(4)(x)

    activations = [leaf.activation for leaf in as_model(Deep(), X).leaves if leaf.role == "kernel"]
    assert len(set(activations[:3])) == 1
    assert activations[3].is_identity
    assert activations[3].end == "output"


def test_biases_scales_and_reshapes_are_left_out():
    params = {
        "w": W,
        "b": jax.ShapeDtypeStruct((16,), "float32"),
        "s": jax.ShapeDtypeStruct((16,), "float32"),
    }

    def apply(p, x):
        h = (x @ p["w"] + p["b"][None, None]).reshape(14, 4, 4).swapaxes(1, 2) * p["s"].reshape(
            1, 4, 4
        )
        return jnp.tanh(h).reshape(14, 16) @ p["w"]

    np.testing.assert_allclose(first_activation(apply, params)(POINTS), jnp.tanh(POINTS), rtol=1e-6)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, lambda: nn.GroupNorm(4)])
def test_a_normalization_is_the_identity_on_a_standard_normal(norm):
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(8)(nn.relu(norm()(nn.Dense(16, name="first")(x))))

    activation = activation_of(Block(), "params/first/kernel")
    assert activation.end == "product"
    np.testing.assert_allclose(activation(POINTS), jax.nn.relu(POINTS), atol=1e-4)


def test_a_random_mask_is_the_root_of_its_share():
    key = jax.random.key(0)

    def apply(w, x):
        keep = jax.random.bernoulli(key, 0.5, (2, 7, 16))
        return jnp.where(keep, jax.nn.relu(x @ w), 0) @ w

    np.testing.assert_allclose(first_activation(apply)(POINTS), jax.nn.relu(POINTS) * 0.5**0.5)


def test_gated_units_take_two_pre_activations():
    class Gated(nn.Module):
        @nn.compact
        def __call__(self, x):
            gated = nn.silu(nn.Dense(32, name="gate")(x)) * nn.Dense(32, name="up")(x)
            return nn.Dense(16, name="down")(gated)

    for name, order in (("gate", 1), ("up", -1)):
        activation = activation_of(Gated(), f"params/{name}/kernel")
        a, b = (POINTS, jnp.flip(POINTS) / 2)[::order]
        assert (activation.argument_count, activation.end) == (2, "product")
        np.testing.assert_allclose(
            activation(a, b), jax.nn.silu(POINTS) * jnp.flip(POINTS) / 2, rtol=1e-5, atol=1e-6
        )
    assert activation_of(Gated(), "params/down/kernel").is_identity


@pytest.mark.parametrize("gate", [nn.glu, lambda x: nn.gelu(x[..., :8]) * x[..., 8:]])
def test_gated_units_of_a_fused_kernel_take_two_pre_activations(gate):
    activation = first_activation(lambda w, x: gate(x @ w) @ w[:8])
    pairs = jnp.stack([POINTS, jnp.flip(POINTS) / 2], -1)
    expected = gate(jnp.repeat(pairs, 8, -1))[..., 0]
    assert activation.argument_count == 2
    np.testing.assert_allclose(activation(pairs[:, 0], pairs[:, 1]), expected, rtol=1e-5, atol=1e-6)


def test_ends_of_paths_in_a_transformer_block():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(16, name="first")(x)
            x = x + nn.MultiHeadDotProductAttention(2, name="mix")(nn.LayerNorm()(x))
            return x + nn.Dense(16, name="back")(nn.gelu(nn.Dense(32, name="wide")(x)))

    ends = {
        leaf.path.removeprefix("params/"): leaf.activation and leaf.activation.end
        for leaf in as_model(Block(), X).leaves
        if leaf.role == "kernel"
    }
    assert ends == {
        "first/kernel": "product",
        "mix/query/kernel": "attention",
        "mix/key/kernel": "attention",
        "mix/value/kernel": "attention",
        "mix/out/kernel": "residual",
        "wide/kernel": "product",
        "back/kernel": "residual",
    }


def test_kernels_whose_products_are_summed_are_counted():
    def apply(w, x):
        return jnp.tanh(x @ w["a"] + x @ w["b"] + x @ w["c"]) @ w["d"]

    leaves = jinit.trace(apply, dict.fromkeys("abcd", W), X).leaves
    activations = {leaf.path: leaf.activation for leaf in leaves}
    assert [activations[name].kernel_count for name in "abcd"] == [3, 3, 3, 1]
    assert activations["a"] == activations["b"] == activations["c"]
    np.testing.assert_allclose(activations["c"](POINTS), jnp.tanh(POINTS), rtol=1e-6)


def test_a_weighted_sum_ends_a_branch_only_if_it_is_added_to_the_residual_stream():
    """A mixture of experts is added to the residual stream; a sum of attention scores is not."""

    def mixture(w, x):
        gates = jax.nn.softmax(x @ w["router"])
        return x + jnp.einsum("bte,ebtd->btd", gates, jnp.einsum("btd,edf->ebtf", x, w["experts"]))

    def scores(w, x):
        q, k, r = (x @ w[name] for name in "qkr")
        return q @ k.swapaxes(1, 2) + jnp.sin(q) @ r.swapaxes(1, 2)

    experts = {"router": W, "experts": jax.ShapeDtypeStruct((16, 16, 16), jnp.float32)}
    ends = [
        {leaf.path: leaf.activation and leaf.activation.end for leaf in model.leaves}
        for model in (
            jinit.trace(mixture, experts, X),
            jinit.trace(scores, dict.fromkeys("qkr", W), X),
        )
    ]
    assert ends[0]["experts"] == "residual"
    assert [ends[1][name] for name in "kr"] == ["attention"] * 2


def test_ends_of_paths_in_a_classifier():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.max_pool(nn.relu(nn.Conv(8, (3, 3), name="one")(x)), (2, 2))
            x = nn.relu(nn.Conv(8, (3, 3), name="two")(x)).mean((1, 2))
            return nn.softmax(nn.Dense(4, name="head")(x))

    for name, end, function in (
        ("one", "pooling", jax.nn.relu),
        ("two", "pooling", jax.nn.relu),
        ("head", "softmax", None),
    ):
        activation = activation_of(Net(), f"params/{name}/kernel", IMAGE)
        assert activation.end == end
        if function:
            np.testing.assert_allclose(activation(POINTS), function(POINTS))
        else:
            assert activation.is_identity


def test_activations_inside_loops_and_cells():
    def apply(params, x):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w) @ w, None), x, params)[0]

    activation = first_activation(apply, jax.ShapeDtypeStruct((3, 16, 16), jnp.float32))
    np.testing.assert_allclose(activation(POINTS), jnp.tanh(POINTS), rtol=1e-6)
    cell = activation_of(nn.RNN(nn.SimpleCell(4)), "params/cell/i/kernel")
    np.testing.assert_allclose(cell(POINTS), jnp.tanh(POINTS), rtol=1e-6)
    assert activation_of(nn.RNN(nn.LSTMCell(4)), "params/cell/ii/kernel") is None


def test_activations_of_an_nnx_module_in_bfloat16():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one = nnx.Linear(16, 8, dtype="bfloat16", param_dtype="bfloat16", rngs=rngs)
            self.two = nnx.Linear(8, 4, dtype="bfloat16", rngs=rngs)

        def __call__(self, x):
            return self.two(nnx.gelu(self.one(x)))

    activation = activation_of(lambda rngs: Net(rngs), "one/kernel")
    np.testing.assert_allclose(activation(POINTS), jax.nn.gelu(POINTS), atol=0.01)


def test_unstacked_parts_of_a_product_are_separate_pre_activations():
    """In every supported version of JAX, whichever operation it unstacks an array with."""

    def apply(kernel, x):
        first, second, third = jnp.moveaxis((x @ kernel).reshape(2, 3, 8), 1, 0)
        return jax.nn.silu(first) * second + third

    def gated(kernel, x):
        gate, value = jnp.moveaxis((x @ kernel).reshape(2, 2, 8), 1, 0)
        return (jax.nn.silu(gate) * value) @ jnp.ones((8, 8))

    shape = jax.ShapeDtypeStruct
    x = shape((2, 8), jnp.float32)
    (three,) = jinit.trace(apply, shape((8, 24), jnp.float32), x).leaves
    (two,) = jinit.trace(gated, shape((8, 16), jnp.float32), x).leaves
    assert three.activation is None
    assert two.activation.argument_count == 2
