"""The function that follows a kernel: against the activation that was written there."""

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
    "rounded": lambda x: x - jax.lax.stop_gradient(x - jnp.round(x)),
    "one's own": lambda x: jnp.where(x > 1, jnp.log1p(jnp.abs(x)), x * jnp.exp(-x) / 3),
}


def after(apply, params=W, *inputs):
    """What follows the first kernel."""
    model = jinit.trace(apply, params, *(inputs or (X,)))
    return next(leaf.activation for leaf in model.leaves if leaf.role == "kernel")


def following(module, path, example=X):
    leaves = {leaf.path: leaf for leaf in as_model(module, example).leaves}
    return leaves[path].activation


@pytest.mark.parametrize(
    ("name", "wrap"),
    [*((name, None) for name in FUNCTIONS), ("relu", jax.jit), ("gelu", jax.checkpoint)],
)
def test_the_activation_is_the_one_written(name, wrap):
    function = wrap(FUNCTIONS[name]) if wrap else FUNCTIONS[name]
    found = after(lambda w, x: function(x @ w) @ w)
    assert (found.end, found.arguments) == ("product", 1)
    np.testing.assert_allclose(found(POINTS), function(POINTS), rtol=1e-6, atol=1e-6)


@pytest.mark.once
def test_its_moments_are_those_of_the_activation():
    for name in ("relu", "gelu", "tanh"):
        found = moments(after(lambda w, x, f=FUNCTIONS[name]: f(x @ w) @ w))
        expected = moments(FUNCTIONS[name])
        assert found.second == pytest.approx(expected.second, rel=1e-6)
        assert found.slope2 == pytest.approx(expected.slope2, rel=1e-6)


def test_layers_alike_share_one():
    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in (16, 16, 8):
                x = nn.gelu(nn.Dense(width)(x))
            return nn.Dense(4)(x)

    found = [leaf.activation for leaf in as_model(Deep(), X).leaves if leaf.role == "kernel"]
    assert len(set(found[:3])) == 1
    assert found[3].is_identity
    assert found[3].end == "output"


def test_biases_scales_and_moves_do_not_count():
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

    np.testing.assert_allclose(after(apply, params)(POINTS), jnp.tanh(POINTS), rtol=1e-6)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, lambda: nn.GroupNorm(4)])
def test_a_normalization_passes_a_standard_normal_on(norm):
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(8)(nn.relu(norm()(nn.Dense(16, name="first")(x))))

    found = following(Block(), "params/first/kernel")
    assert found.end == "product"
    np.testing.assert_allclose(found(POINTS), jax.nn.relu(POINTS), atol=1e-4)


def test_dropout_and_masks_let_pass():
    key = jax.random.key(0)

    def apply(w, x):
        keep = jax.random.bernoulli(key, 0.5, (2, 7, 16))
        return jnp.where(keep, jax.nn.relu(x @ w), 0) @ w

    np.testing.assert_allclose(after(apply)(POINTS), jax.nn.relu(POINTS))


def test_gates_take_two_numbers():
    class Gated(nn.Module):
        @nn.compact
        def __call__(self, x):
            gated = nn.silu(nn.Dense(32, name="gate")(x)) * nn.Dense(32, name="up")(x)
            return nn.Dense(16, name="down")(gated)

    for name, order in (("gate", 1), ("up", -1)):
        found = following(Gated(), f"params/{name}/kernel")
        a, b = (POINTS, jnp.flip(POINTS) / 2)[::order]
        assert (found.arguments, found.end) == (2, "product")
        np.testing.assert_allclose(
            found(a, b), jax.nn.silu(POINTS) * jnp.flip(POINTS) / 2, rtol=1e-5, atol=1e-6
        )
    assert following(Gated(), "params/down/kernel").is_identity


@pytest.mark.parametrize("gate", [nn.glu, lambda x: nn.gelu(x[..., :8]) * x[..., 8:]])
def test_gates_of_a_fused_kernel(gate):
    found = after(lambda w, x: gate(x @ w) @ w[:8])
    pairs = jnp.stack([POINTS, jnp.flip(POINTS) / 2], -1)
    expected = gate(jnp.repeat(pairs, 8, -1))[..., 0]
    assert found.arguments == 2
    np.testing.assert_allclose(found(pairs[:, 0], pairs[:, 1]), expected, rtol=1e-5, atol=1e-6)


def test_where_paths_end():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(16, name="first")(x)
            x = x + nn.MultiHeadDotProductAttention(2, name="mix")(nn.LayerNorm()(x))
            return x + nn.Dense(16, name="back")(nn.gelu(nn.Dense(32, name="wide")(x)))

    ends = {leaf.path.removeprefix("params/"): leaf.activation and leaf.activation.end
            for leaf in as_model(Block(), X).leaves if leaf.role == "kernel"}  # fmt: skip
    assert ends == {
        "first/kernel": "product",
        "mix/query/kernel": "attention",
        "mix/key/kernel": "attention",
        "mix/value/kernel": "attention",
        "mix/out/kernel": "residual",
        "wide/kernel": "product",
        "back/kernel": "residual",
    }


def test_products_that_are_added_up_are_counted():
    def apply(w, x):
        return jnp.tanh(x @ w["a"] + x @ w["b"] + x @ w["c"]) @ w["d"]

    leaves = jinit.trace(apply, dict.fromkeys("abcd", W), X).leaves
    found = {leaf.path: leaf.activation for leaf in leaves}
    assert [found[name].kernels for name in "abcd"] == [3, 3, 3, 1]
    assert found["a"] == found["b"] == found["c"]
    np.testing.assert_allclose(found["c"](POINTS), jnp.tanh(POINTS), rtol=1e-6)


def test_what_another_signal_weights_may_end_a_branch():
    """A mixture of experts that a stream takes in does; scores that are added up do not."""

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


def test_pooling_and_classes():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.max_pool(nn.relu(nn.Conv(8, (3, 3), name="one")(x)), (2, 2))
            x = nn.relu(nn.Conv(8, (3, 3), name="two")(x)).mean((1, 2))
            return nn.softmax(nn.Dense(4, name="head")(x))

    for name, end, function in (
        ("one", "pooling", jax.nn.relu), ("two", "pooling", jax.nn.relu), ("head", "softmax", None),
    ):  # fmt: skip
        found = following(Net(), f"params/{name}/kernel", IMAGE)
        assert found.end == end
        if function:
            np.testing.assert_allclose(found(POINTS), function(POINTS))
        else:
            assert found.is_identity


def test_inside_loops_and_cells():
    def apply(params, x):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w) @ w, None), x, params)[0]

    found = after(apply, jax.ShapeDtypeStruct((3, 16, 16), jnp.float32))
    np.testing.assert_allclose(found(POINTS), jnp.tanh(POINTS), rtol=1e-6)
    cell = following(nn.RNN(nn.SimpleCell(4)), "params/cell/i/kernel")
    np.testing.assert_allclose(cell(POINTS), jnp.tanh(POINTS), rtol=1e-6)
    assert following(nn.RNN(nn.LSTMCell(4)), "params/cell/ii/kernel") is None


def test_nnx_and_bfloat16():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one = nnx.Linear(16, 8, dtype="bfloat16", param_dtype="bfloat16", rngs=rngs)
            self.two = nnx.Linear(8, 4, dtype="bfloat16", rngs=rngs)

        def __call__(self, x):
            return self.two(nnx.gelu(self.one(x)))

    found = following(lambda rngs: Net(rngs), "one/kernel")
    np.testing.assert_allclose(found(POINTS), jax.nn.gelu(POINTS), atol=0.01)


def test_parts_that_are_unstacked_are_not_one_number():
    """However a version of JAX takes an array apart."""

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
    assert two.activation.arguments == 2
