"""audit finds fans that Flax reads off a shape, and other scales that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn

import jinit
from jinit import audit
from jinit.gains import parameter_scales, wrong_fan_cause

KEY = jax.random.key(0)


def find_misfits(module, shape):
    model = jinit.linen.trace(module, jax.ShapeDtypeStruct(shape, jnp.float32))
    return {misfit.path: misfit for misfit in audit(model, jinit.init(model, KEY))}


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
def test_flax_modules_with_wrong_fans(module, shape, naive, true):
    (misfit,) = find_misfits(module, shape).values()
    assert misfit.fan_in == true
    symptom, cause = misfit.cause.split(": ")
    assert symptom.endswith("times the needed one")
    assert cause == f"scaled for a fan-in of {naive}, but {true} products are summed"
    np.testing.assert_allclose(misfit.std, naive**-0.5, rtol=0.02)
    np.testing.assert_allclose(misfit.needed_std, true**-0.5, rtol=1e-6)
    assert str(misfit).startswith(misfit.path)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Dense(64), (4, 512)),
        (nn.Conv(64, (3, 3)), (2, 8, 8, 32)),
        (nn.MultiHeadDotProductAttention(8), (2, 5, 64)),
    ],
)
def test_flax_modules_with_right_fans(module, shape):
    assert not find_misfits(module, shape)


ATTENTION = nn.MultiHeadDotProductAttention(4, qkv_features=128, out_features=128)


def scaled_attention(factor):
    model = jinit.linen.trace(ATTENTION, jax.ShapeDtypeStruct((2, 5, 128), jnp.float32))
    params = jax.tree.map(lambda leaf: factor * leaf, jinit.init(model, KEY))
    return model, params


@pytest.mark.parametrize("factor", [0.5, 0.6, 0.7, 0.5**0.5, 0.8, 1.25, 2**0.5])
def test_kernels_that_are_smaller_on_purpose_are_not_scaled_for_another_fan(factor):
    """With four heads, half of LeCun's deviation is what a fan-in of all entries would give."""
    model, params = scaled_attention(factor)
    misfits = audit(model, params)
    assert all(misfit.cause.startswith("its gain is") for misfit in misfits)
    is_ambiguous = factor in (0.5, 0.7, 0.5**0.5)
    assert is_ambiguous or not any("fan-in" in misfit.cause for misfit in misfits)
    scales = parameter_scales(model, params)
    assert not any(wrong_fan_cause(leaf, scales[leaf.path].std) for leaf in model.leaves)


@pytest.mark.parametrize(
    ("shape", "axis", "gain", "is_certain"),
    [
        ((64, 8, 16), 0, 1.0, True),  # eight heads
        ((64, 16, 16), 0, 2**0.5, True),
        ((64, 4, 16), 0, 1.0, False),
        ((512, 64), 1, 1.0, True),  # transposed
    ],
)
def test_fans_that_are_misread_by_a_factor_of_five_or_more_are_certain(
    shape, axis, gain, is_certain
):
    model = jinit.trace(
        lambda kernel, x: jnp.tensordot(x, kernel, (-1, axis)),
        jnp.ones(shape),
        jnp.ones((3, shape[axis])),
    )
    kernel = jinit.variance_scaling(gain**2, "fan_in", "truncated_normal")(KEY, shape)
    (misfit,) = audit(model, kernel)
    assert misfit.cause.endswith("by mistake" if not is_certain else "products are summed")
    assert bool(wrong_fan_cause(model.leaves[0], misfit.std)) == is_certain


def test_constants_and_equal_parameters():
    def apply(params, x):
        return jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]) @ params["c"]

    draw = jinit.lecun_normal()(KEY, (64, 64))
    x = jnp.ones((2, 64))
    params = {"a": draw, "b": draw, "c": jnp.zeros((64, 3))}
    model = jinit.trace(apply, params, x)
    causes = {misfit.path: misfit.cause for misfit in audit(model, params)}
    assert causes["b"] == "equal to a, entry by entry: one key was used twice"
    assert "c" not in causes  # the last kernel may be zero
    causes = {misfit.path: misfit.cause for misfit in audit(model, params | {"a": 0 * draw + 1})}
    assert causes["a"] == "constant, so that all of its units are equal: draw it"


@pytest.mark.parametrize(
    ("zeros", "accused"), [("a", set()), ("b", set()), ("c", set()), ("ab", {"a", "b"})]
)
def test_zeros_are_accused_only_if_they_keep_each_other_at_zero(zeros, accused):
    def apply(params, x):
        return jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]) @ params["c"]

    params = {name: jinit.lecun_normal()(jax.random.key(ord(name)), (48, 48)) for name in "abc"}
    params |= {name: jnp.zeros((48, 48)) for name in zeros}
    misfits = audit(jinit.trace(apply, params, jnp.ones((2, 48))), params)
    assert {misfit.path for misfit in misfits} == accused
    assert all("ever receives a gradient" in misfit.cause for misfit in misfits)


def test_constants_that_are_added_or_multiplied_are_deliberate():
    def apply(params, x):
        x = x + jnp.tanh(x @ params["in"]) @ params["branch"]
        return (jax.nn.sigmoid(x @ params["gate"]) * (x @ params["in"])) @ params["head"]

    params = {"in": jinit.lecun_normal()(KEY, (48, 48)), "head": jnp.full((48, 3), 0.1)}
    params |= dict.fromkeys(("branch", "gate"), jnp.full((48, 48), 0.01))
    misfits = audit(jinit.trace(apply, params, jnp.ones((2, 48))), params)
    assert not [misfit.path for misfit in misfits if "constant" in misfit.cause]


def test_a_recommended_initialization_fits():
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


@pytest.mark.parametrize(
    ("factor", "fits"), [(1.0, True), (1.1, True), (1.2, False), (0.9, True), (1 / 1.2, False)]
)
def test_a_standard_deviation_that_is_off_by_a_fifth_does_not_fit(factor, fits):
    width = 512
    kernel = normals(KEY, (width, width))
    kernel *= factor / (kernel.std() * width**0.5)
    model = jinit.trace(lambda w, x: x @ w, kernel, jnp.ones((2, width)))
    misfits = audit(model, kernel)
    assert [misfit.cause for misfit in misfits] == (
        [] if fits else [f"its gain is {factor:.3g}, and what follows needs 1"]
    )


def test_a_small_kernel_may_differ_by_chance():
    model = jinit.trace(lambda w, x: x @ w, jnp.ones((32, 1)), jnp.ones((4, 32)))
    draw = jinit.lecun_normal()
    params = [draw(key, (32, 1)) for key in jax.random.split(jax.random.key(0), 200)]
    assert not any(audit(model, each) for each in params)
    assert audit(model, 4 * params[0])
