"""Masks, statistics over devices, complex products and joined kernels, from trace to diagnosis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats
from flax import linen as nn
from flax import nnx
from jax import lax

import jinit

KERNELS = {"w": floats(8, 8), "v": floats(8, 3)}
X, MASK = floats(4, 8), jax.ShapeDtypeStruct((4, 1), jnp.bool_)
MASKS = {
    "zeros": (lambda h, mask: jnp.where(mask, h, 0.0), "identity"),
    "infinities": (lambda h, mask: jnp.tanh(jnp.where(mask, h, -jnp.inf)), "tanh"),
    "a product": (lambda h, mask: jnp.tanh(h) * mask, "tanh"),
    "constants that are added": (lambda h, mask: h + jnp.where(mask, 0.0, -1e9), "identity"),
    "a constant mask": (lambda h, mask: jnp.where(np.ones((4, 1), bool), jnp.tanh(h), 0.0), "tanh"),
    "numbers": (lambda h, mask: jnp.tanh(h) * mask.astype(jnp.int32), "tanh"),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_not_an_argument_of_the_activation(name):
    mask, expected = MASKS[name]
    model = jinit.trace(lambda p, x, m: mask(x @ p["w"], m) @ p["v"], KERNELS, X, MASK)
    activation = model.leaf("w").activation
    assert activation.argument_count == 1
    expected = {"identity": lambda z: z, "tanh": jnp.tanh}[expected]
    np.testing.assert_allclose(activation(0.5), expected(0.5), rtol=1e-6)
    assert len(jinit.recommend(model).rows) == 2


def test_an_activation_before_dropout_has_a_slope():
    """Values that are kept are divided by the rate at which they are, so that √rate remains."""

    def apply(params, x, key):
        hidden = jnp.tanh(x @ params["w"])
        kept = jax.random.bernoulli(key, 0.64, hidden.shape)
        return jnp.where(kept, hidden / 0.64, 0.0) @ params["v"]

    activation = jinit.trace(apply, KERNELS, X, jax.random.key(0)).leaf("w").activation
    np.testing.assert_allclose(activation(0.5), jnp.tanh(0.5) / 0.8, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(activation)(0.0), 1 / 0.8, rtol=1e-6)


def test_a_selection_between_constants_is_read():
    model = jinit.trace(lambda p, x: jnp.where(x @ p["w"] > 0, 1.0, 0.0) @ p["v"], KERNELS, X)
    activation = model.leaf("w").activation
    assert [float(activation(z)) for z in (-1.0, 1.0)] == [0, 1]


class Synchronized(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3), name="conv")(x)
        x = nn.BatchNorm(use_running_average=False, axis_name="batch", name="norm")(x)
        return nn.Conv(4, (3, 3), name="next")(nn.relu(x))


def test_statistics_over_the_examples_of_a_vmap_do_not_end_the_activation():
    module = Synchronized()

    def apply(variables, x):
        call = jax.vmap(
            lambda x: module.apply(variables, x, mutable=["batch_stats"])[0], axis_name="batch"
        )
        return call(x)

    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.ones((4, 4, 3))))
    leaf = jinit.trace(apply, variables, floats(2, 4, 4, 3)).leaf("params/conv/kernel")
    assert (leaf.end, leaf.activation.has_normalization) == ("product", True)
    np.testing.assert_allclose(leaf.activation(0.5), 0.5, rtol=1e-3)
    assert float(leaf.activation(-0.5)) == 0


class Gated(nnx.Module):
    def __init__(self, rngs):
        self.layer, self.dropout = nnx.Linear(8, 3, rngs=rngs), nnx.Dropout(0.5)

    def __call__(self, x, *, rngs=None):
        return self.dropout(self.layer(x), rngs=rngs)


def test_random_numbers_may_be_given_to_the_call():
    model = jinit.nnx.trace(Gated, X, rngs=nnx.Rngs(1))
    assert model.leaf("layer/kernel").role == "kernel"
    params = model.unwrap(jinit.init(model, jax.random.key(0)))
    x = jnp.ones((4, 8))
    np.testing.assert_array_equal(model.apply(params, x), model.apply(params, x))


def spectral(params, x):
    spectrum = jnp.fft.rfft(x @ params["w"], axis=1) @ params["m"].astype(jnp.complex64)
    return jnp.fft.irfft(spectrum, 8, axis=1) @ params["v"]


def test_complex_products_and_joined_kernels_are_named():
    model = jinit.trace(spectral, KERNELS | {"m": floats(5, 5)}, X)
    assert model.complex_kernels == ("m",)
    assert [model.paths[each.kernel] for each in model.contractions] == ["w", "v"]

    def joined(params, x):
        return jnp.tanh(x @ jnp.concatenate([params["w"], params["v"]], 1))

    assert jinit.trace(joined, KERNELS, X).joined_kernels == (("v", "w"),)


def loop_while(body, x):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, body(c[1], c[0])), (0, x))[1]


CONTROL = {
    "while": (lambda p, x: loop_while(lambda h, i: jnp.tanh(h @ p["w"]), x), "in,out"),
    "while, stacked": (
        lambda p, x: loop_while(lambda h, i: jnp.tanh(h @ p["s"][i]), x), "stacked,in,out",
    ),
    "fori": (lambda p, x: lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ p["w"]), x), "in,out"),
    "cond": (
        lambda p, x: lax.cond(x.sum() > 0, lambda x: jnp.tanh(x @ p["w"]), lambda x: x, x),
        "in,out",
    ),
    "remat": (lambda p, x: jax.checkpoint(lambda x: jnp.tanh(x @ p["w"]))(x), "in,out"),
    "associative scan": (
        lambda p, x: lax.associative_scan(jnp.add, x @ p["w"], axis=0), "in,out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTROL)
def test_kernels_in_control_flow_are_read(name):
    apply, axes = CONTROL[name]
    params = {"s": floats(3, 8, 8)} if "stacked" in name else {"w": floats(8, 8)}
    (leaf,) = jinit.trace(apply, params, X).leaves
    assert (leaf.role, ",".join(leaf.axes), leaf.fan_in, leaf.fan_out) == ("kernel", axes, 8, 8)
