"""Fans that Flax reads off a shape, and other scales that do not fit (KNOWN_ANSWERS §9)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jinit
from jinit import audit

KEY = jax.random.key(0)


def misfits(module, shape):
    model = jinit.linen.trace(module, jax.ShapeDtypeStruct(shape, jnp.float32))
    return {each.path: each for each in audit(model, jinit.init(model, KEY))}


class Experts(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (16, 512, 256))
        return jnp.einsum("ebd,edf->ebf", x, kernel)


@pytest.mark.parametrize(
    ("module", "shape", "naive", "true"),
    [
        (nn.DenseGeneral(64, batch_dims=(0,), axis=-1), (8, 4, 512), 4096, 512),
        (nn.Einsum((512, 8, 64), "...D,DNH->...NH", use_bias=False), (4, 512), 4096, 512),
        (Experts(), (16, 4, 512), 8192, 512),
        (nn.ConvLocal(16, (3, 3)), (2, 8, 8, 16), 9216, 144),
    ],
)
def test_flax_modules_whose_fans_are_off(module, shape, naive, true):
    (found,) = misfits(module, shape).values()
    assert found.fan_in == true
    assert found.what == f"scaled for a fan-in of {naive}, but {true} products are summed"
    np.testing.assert_allclose(found.std, naive**-0.5, rtol=0.02)
    np.testing.assert_allclose(found.needed, true**-0.5, rtol=1e-6)
    assert str(found).startswith(found.path)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Dense(64), (4, 512)),
        (nn.Conv(64, (3, 3)), (2, 8, 8, 32)),
        (nn.MultiHeadDotProductAttention(8), (2, 5, 64)),
    ],
)
def test_flax_modules_whose_fans_are_right(module, shape):
    assert not misfits(module, shape)


def test_constants_and_equal_parameters_are_told():
    def apply(params, x):
        return jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]) @ params["c"]

    draw = jinit.lecun_normal()(KEY, (64, 64))
    x = jnp.ones((2, 64))
    params = {"a": draw, "b": draw, "c": jnp.zeros((64, 3))}
    model = jinit.trace(apply, params, x)
    found = {each.path: each.what for each in audit(model, params)}
    assert "equal to a" in found["b"]
    assert "c" not in found  # a head may begin at zero
    constant = {each.path: each.what for each in audit(model, params | {"a": 0 * draw + 1})}
    assert "constant" in constant["a"]


def test_what_recommend_gives_fits():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Dense(128)(x))
            x = nn.tanh(nn.DenseGeneral((8, 16))(x))
            return nn.DenseGeneral(10, axis=(-2, -1))(x)

    model = jinit.linen.trace(Network(), jax.ShapeDtypeStruct((4, 64), jnp.float32))
    assert not audit(model, jinit.recommend(model).init(KEY))
    with pytest.raises(ValueError, match="expected parameters like the model's"):
        audit(model, {})
