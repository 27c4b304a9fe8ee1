"""The weight that a signal meets: factors, normalizations, and functions that are not read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats
from flax import linen as nn
from jax import lax

import jinit

ROWS, COLUMNS = 64, 32
W, X = floats(ROWS, COLUMNS), floats(8, ROWS)
MASK = np.tril(np.ones((ROWS, COLUMNS), np.float32))


@pytest.fixture(autouse=True)
def rank_promotion():
    """Users rely on it."""
    with jax.numpy_rank_promotion("allow"):
        yield


def weight_leaf(function):
    """Return the leaf of a parameter that is used as `function(w)`."""
    (leaf,) = jinit.trace(lambda w, x: x @ function(w), W, X).leaves
    return leaf


def norm(w):
    return jnp.linalg.norm(w, axis=0)


def straight_through(w, quantized):
    return w + lax.stop_gradient(quantized - w)


def int8(w):
    scale = jnp.abs(w).max(0) / 127
    return straight_through(w, jnp.clip(jnp.round(w / scale), -128, 127) * scale)


def power_iteration(w):
    u = jnp.ones(COLUMNS)
    for _ in range(2):
        v = w @ u / jnp.linalg.norm(w @ u)
        u = v @ w / jnp.linalg.norm(v @ w)
    return w / (v @ w @ u)


MULTIPLES = {
    "itself": lambda w: w,
    "a number": lambda w: w * 0.125,
    "a quotient": lambda w: w / 8,
    "its negative": lambda w: -w,
    "nested": lambda w: (2 * (0.125 * w.T)).T,
    "a root that is traced": lambda w: w * jnp.sqrt(2.0) / np.sqrt(ROWS),
    "a number for all": lambda w: w * jnp.full((ROWS, COLUMNS), 3.0),
    "parts put together": lambda w: jnp.concatenate([2 * w[:10], 2 * w[10:]]),
    "another dtype": lambda w: (w * 0.125).astype("bfloat16").astype("float32"),
    "an array": lambda w: w * np.linspace(1, 2, COLUMNS, dtype=np.float32),
    "a mask": lambda w: w * MASK,
    "a selection": lambda w: jnp.where(MASK > 0, w, 0),
    "a triangle": jnp.tril,
    "rounded": lambda w: straight_through(w, jnp.round(w * 64) / 64),
    "quantized": int8,
    "centered": lambda w: w - w.mean(0),
}
NORMALIZED = {
    "columns": (lambda w: w / norm(w), "weight normalization"),
    "an epsilon": (lambda w: w / (norm(w) + 1e-6), "weight normalization"),
    "a floor": (lambda w: w / jnp.maximum(norm(w), 1e-12), "weight normalization"),
    "rsqrt": (lambda w: 3 * w * lax.rsqrt((w**2).sum(0) + 1e-12), "weight normalization"),
    "all entries": (lambda w: w / jnp.linalg.norm(w), "weight normalization"),
    "a stopped gradient": (lambda w: w / lax.stop_gradient(norm(w)), "weight normalization"),
    "deviations": (lambda w: (w - w.mean(0)) / w.std(0), "weight standardization"),
    "variance": (
        lambda w: (w - w.mean(0)) / jnp.sqrt(w.var(0) + 1e-5), "weight standardization",
    ),
    "two means": (
        lambda w: (w - w.mean(0)) / jnp.sqrt((w**2).mean(0) - w.mean(0) ** 2),
        "weight standardization",
    ),
    "fan-in": (
        lambda w: (w - w.mean(0)) * lax.rsqrt(jnp.maximum(w.var(0) * ROWS, 1e-4)),
        "weight standardization",
    ),
    "the largest entry": (lambda w: w / jnp.abs(w).max(), "maximum normalization"),
    "signs": (jnp.sign, "sign"),
    "estimated signs": (lambda w: straight_through(w, jnp.sign(w)), "sign"),
}  # fmt: skip
UNREAD = {
    "abs": jnp.abs,
    "exp": jnp.exp,
    "exp of softplus": jax.nn.softplus,
    "exp of softmax": lambda w: jax.nn.softmax(w, 0),
    "tanh": jnp.tanh,
    "logistic": lambda w: w * jax.nn.sigmoid(w),
    "square": lambda w: w * w,
    "max": jax.nn.relu,
    "min": lambda w: jnp.minimum(w, 1),
    "round": jnp.round,
    "sign": lambda w: jnp.sign(w) * jnp.abs(w).mean(),
    "cumsum": lambda w: jnp.cumsum(w, 0),
    "sort": lambda w: jnp.sort(w, 0),
    "qr": lambda w: jnp.linalg.qr(w)[0],
    "dot_general": lambda w: w @ w.T,
    "power 2": lambda w: w * norm(w),
    "a constant is added": lambda w: w + 1,
    "multiplied by zero": lambda w: w * 0,
}


@pytest.mark.few(6)
@pytest.mark.parametrize("name", MULTIPLES)
def test_a_multiple_of_the_parameter_has_its_factor(name):
    leaf = weight_leaf(MULTIPLES[name])
    assert (leaf.role, leaf.fan_in, leaf.normalized_by, leaf.reason) == ("kernel", ROWS, "", "")
    drawn = jax.random.normal(jax.random.key(0), W.shape)
    used = np.sqrt(np.mean(np.square(MULTIPLES[name](drawn))))
    # Four deviations of the root mean square of 1,000 or more entries, a relative 1/√2n each.
    assert leaf.weight_factor * np.sqrt(np.mean(np.square(drawn))) == pytest.approx(used, rel=0.09)


@pytest.mark.parametrize("name", NORMALIZED)
def test_a_normalized_parameter_has_no_scale_of_its_own(name):
    function, normalization = NORMALIZED[name]
    leaf = weight_leaf(function)
    assert (leaf.role, leaf.fan_in, leaf.weight_factor) == ("kernel", ROWS, 1)
    assert leaf.normalized_by == normalization
    drawn = jax.random.normal(jax.random.key(0), W.shape)
    np.testing.assert_allclose(function(5 * drawn), function(drawn), rtol=1e-3, atol=1e-5)
    # The largest of 2,048 numbers varies by a tenth.
    used = np.sqrt(np.mean(np.square(function(drawn))))
    assert leaf.normalized_rms == pytest.approx(used, rel=0.25 if "max" in normalization else 0.01)


@pytest.mark.parametrize(
    "function", [power_iteration, lambda w: w / jnp.linalg.norm(w, 2)], ids=["iterated", "exact"]
)
def test_spectral_normalization_is_recognized(function):
    leaf = weight_leaf(function)
    assert (leaf.role, leaf.normalized_by) == ("kernel", "spectral normalization")
    assert (leaf.fan_in, leaf.normalized_rms) == (ROWS, None)


@pytest.mark.parametrize("name", UNREAD)
def test_any_other_function_is_unread_and_says_why(name):
    leaf = weight_leaf(UNREAD[name])
    assert (leaf.role, leaf.axes, leaf.fan_in, leaf.weight_factor) == ("unread", (), None, 1)
    assert name.partition(" of ")[0] in leaf.reason


def test_the_reason_is_in_the_messages_and_stated_axes_count_as_plain():
    model = jinit.trace(lambda w, x: x @ jnp.abs(w), W, X, init=lambda _: jnp.ones(W.shape))
    with pytest.raises(ValueError, match=r"nonlinear function of it \(abs\); state its axes"):
        jinit.plan(model, {"**": jinit.he_normal()})
    (leaf,) = model.with_axes({"**": ("in", "out")}).leaves
    assert (leaf.role, leaf.fan_in, leaf.weight_factor, leaf.reason) == ("kernel", ROWS, 1, "")


SIGNALS = {
    "an input": (lambda x: x * 0.125, 0.125),
    "a function": (lambda x: -3 * jnp.tanh(x), 3),
    "a product with itself": (lambda x: jax.nn.silu(x) * 3, 3),
    "a normalization": (lambda x: 3 * (x / jnp.linalg.norm(x, axis=-1, keepdims=True)), 3),
    "a sum of signals": (lambda x: (x + jnp.sin(x)) / 2, 0.5),
    "moved and cast": (lambda x: (3 * jnp.sin(x).astype("bfloat16")).T.T.astype("float32"), 3),
    "a mean": (lambda x: 3 * x.reshape(2, 4, ROWS).mean(1), 1),
    "a product of signals": (lambda x: 3 * x[:4] * x[4:], 1),
    "pixels": (lambda x: x / 255, 1),
    "centered pixels": (lambda x: (x - 127.5) / 127.5, 1),
    "integers": (lambda x: 3 * x.astype("int32").astype("float32"), 1),
    "a mask": (lambda x: x * np.repeat([1, 0], ROWS // 2).astype(np.float32), 0.5**0.5),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_constants_on_the_signal_count_once(name):
    function, factor = SIGNALS[name]
    (leaf,) = jinit.trace(lambda w, x: function(x) @ (2 * w), W, X).leaves
    assert leaf.weight_factor == pytest.approx(2 * factor, rel=1e-3)


def test_a_constant_between_two_kernels_belongs_to_one_of_them():
    params = {"v": floats(ROWS, ROWS), "w": W}

    def factors(between):
        model = jinit.trace(lambda p, x: between(x @ p["v"]) @ p["w"], params, X)
        v, w = model.leaf("v"), model.leaf("w")
        activation = v.activation
        found = (activation.input_scale, activation.output_scale, w.weight_factor)
        return tuple(round(number, 4) for number in (v.weight_factor, *found))

    assert factors(lambda h: 3 * h) == (1, 3, 1, 1)
    assert factors(lambda h: 3 * jnp.tanh(h)) == (1, 1, 3, 3)
    assert factors(lambda h: jnp.tanh(3 * h)) == (1, 3, 1, 1)
    assert factors(jax.nn.selu) == (1, 1, 1, 1)
    assert factors(lambda h: 1.7 * jax.nn.gelu(2 * h)) == (1, 2, 1.7, 1.7)


def test_factors_are_read_inside_loops():
    scale, mask = jnp.sqrt(2.0) / 8, np.tile([[1.0], [0.0]], (ROWS // 2, ROWS))

    def apply(kernels, x):
        return lax.scan(lambda h, w: (jnp.tanh(h @ (w * mask * scale)), None), x, kernels)[0]

    (leaf,) = jinit.trace(apply, floats(3, ROWS, ROWS), X).leaves
    assert leaf.axes == ("stacked", "in", "out")
    assert leaf.weight_factor == pytest.approx(1 / 8)


class Normalized(nn.Module):
    """Layers whose weights Flax normalizes."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.WeightNorm(nn.Dense(16, name="scaled"))(x))
        return nn.SpectralNorm(nn.Dense(8, name="bounded"))(x, update_stats=True)


def test_weights_that_flax_normalizes():
    leaves = {leaf.path: leaf for leaf in jinit.linen.trace(Normalized(), X).leaves}
    kernel = leaves["params/scaled/kernel"]
    assert (kernel.role, kernel.normalized_by) == ("kernel", "weight normalization")
    assert kernel.normalized_rms == pytest.approx(ROWS**-0.5)
    scale = leaves[kernel.scale_path]
    assert (scale.role, scale.carries) == ("scale", kernel.path)
    bounded = leaves["params/bounded/kernel"]
    assert (bounded.normalized_by, bounded.scale_path) == ("spectral normalization", "")


PAIR = {"w": W, "g": floats(COLUMNS)}
CARRIERS = {
    "before the product": (lambda p, x: x @ (p["g"] * p["w"] / norm(p["w"])), "g"),
    "after the product": (lambda p, x: (x @ (p["w"] / norm(p["w"]))) * p["g"], "g"),
    "before the norm": (lambda p, x: x @ (p["g"] * p["w"] / norm(p["g"] * p["w"])), ""),
    "an exponential": (lambda p, x: x @ (jnp.exp(p["g"]) * p["w"] / norm(p["w"])), ""),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_the_parameter_that_scales_a_normalized_weight_is_named(name):
    apply, scale_path = CARRIERS[name]
    model = jinit.trace(apply, PAIR, X)
    assert model.leaf("w").normalized_by == "weight normalization"
    assert model.leaf("w").scale_path == scale_path
    assert model.leaf("g").carries == ("w" if scale_path else "")


GATES = {
    "a log-decay": lambda p, x: (x @ p["w"]) * -jnp.exp(p["g"]),
    "a softplus": lambda p, x: (x @ p["w"]) * jax.nn.softplus(p["g"]),
    "a trained mask": lambda p, x: x @ (p["w"] * jax.nn.sigmoid(p["g"])),
    "a positive bias": lambda p, x: x @ p["w"] + jnp.exp(p["g"]),
    "an outer product": lambda p, x: jnp.einsum("bn,n->bn", x @ p["w"], jnp.exp(p["g"])),
}


@pytest.mark.parametrize("name", GATES)
def test_a_nonlinear_function_of_a_vector_is_unread_too(name):
    model = jinit.trace(GATES[name], PAIR, X)
    assert (model.leaf("g").role, model.leaf("w").role) == ("unread", "kernel")
    assert model.leaf("w").weight_factor == 1
    assert len(model.contractions) == 1


def test_noise_makes_another_weight_of_a_parameter():
    key, params = jax.random.key(0), {"m": W, "s": W}

    def dropped(w, x, key):
        return x @ (w * jax.random.bernoulli(key, 0.5, W.shape))

    def noisy(p, x, key):
        return x @ (p["m"] + p["s"] * jax.random.normal(key, W.shape))

    (leaf,) = jinit.trace(dropped, W, X, key).leaves
    assert (leaf.role, "cannot be read" in leaf.reason) == ("unread", True)
    model = jinit.trace(noisy, params, X, key)
    assert (model.leaf("m").role, model.leaf("s").role) == ("kernel", "unread")
    (leaf,) = jinit.trace(lambda w, x: x @ (w * dropped_once()), W, X).leaves
    assert leaf.weight_factor == pytest.approx(0.5**0.5, rel=0.05)


def dropped_once():
    return jax.random.bernoulli(jax.random.key(0), 0.5, W.shape)
