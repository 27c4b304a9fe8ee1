"""Plans fit initializers to the use of each parameter, and recommend scales."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats
from flax import linen as nn

import jinit
from jinit.gains import needed
from jinit.model import apply_taps
from jinit.rules import plan, recommend
from jinit.theory import moments

KEY = jax.random.key(0)
X = jax.ShapeDtypeStruct((2, 7, 64), jnp.float32)


def draw_kernel(initializer, apply, kernel):
    """Return the kernel, drawn by a plan with one rule."""
    model = jinit.trace(apply, kernel, X)
    return np.asarray(jinit.init(model, KEY, {"**": initializer}))


EINSUMS = {
    "bsd,de->bse": ((64, 48), 64, (0,), (1,)),
    "bsd,ed->bse": ((48, 64), 64, (1,), (0,)),
    "bsd,dhk->bshk": ((64, 4, 12), 64, (0,), (1, 2)),
    "bsd,hkd->bshk": ((4, 12, 64), 64, (2,), (0, 1)),
    "bsd,sde->bse": ((7, 64, 48), 64, (1,), (2,)),
    "bsd,dse->be": ((64, 7, 48), 448, (0, 1), (2,)),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_the_variance_is_that_of_the_true_fan(equation):
    shape, fan_in, _, _ = EINSUMS[equation]
    drawn = draw_kernel("he_normal", lambda w, x: jnp.einsum(equation, x, w), floats(*shape))
    error = 5 * np.sqrt(2 / drawn.size)
    assert drawn.var() * fan_in / 2 == pytest.approx(1, abs=error)


@pytest.mark.few(2)
@pytest.mark.parametrize("equation", EINSUMS)
def test_orthogonal_kernels_are_orthogonal_in_the_axes_of_the_computation(equation):
    shape, _, ins, outs = EINSUMS[equation]
    drawn = draw_kernel("orthogonal", lambda w, x: jnp.einsum(equation, x, w), floats(*shape))
    copies = [axis for axis in range(len(shape)) if axis not in ins + outs]
    ordered = drawn.transpose(*copies, *ins, *outs)
    rows, columns = (int(np.prod([shape[axis] for axis in axes])) for axes in (ins, outs))
    matrices = ordered.reshape(-1, rows, columns)
    for matrix in matrices if rows >= columns else matrices.swapaxes(1, 2):
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(min(rows, columns)), atol=1e-5)
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)


def test_groups_and_strides_are_passed_to_initializers():
    def apply(p, x):
        h = jax.lax.conv_general_dilated(
            x,
            p["conv"],
            window_strides=(2, 2),
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=2,
        )
        return h @ p["dense"]

    params = {"conv": floats(4, 4, 8, 32), "dense": floats(32, 5)}
    model = jinit.trace(apply, params, floats(1, 8, 8, 16))
    conv, dense = plan(model, {"**": "he_normal"}).rows
    assert dense.initializer == jinit.he_normal()
    assert conv.initializer.groups == 2
    assert conv.initializer.strides == (2, 2)
    assert conv.initializer.fans((4, 4, 8, 32)).fan_out == conv.fan_out == 64
    own = jax.nn.initializers.he_normal()
    assert plan(model, {"**": own}).rows[0].initializer is own


class Net(nn.Module):
    """A network with several activations and residual branches."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x):
        x = jnp.tanh(nn.Dense(64, kernel_init=self.kernel_init, name="to_tanh")(x))
        x = nn.relu(nn.Dense(64, kernel_init=self.kernel_init, name="to_relu")(x))
        x = nn.Dense(64, kernel_init=self.kernel_init, name="to_stream")(x)
        for layer in range(2):
            x = x + nn.Dense(64, kernel_init=self.kernel_init, name=f"branch_{layer}")(
                nn.LayerNorm()(x)
            )
        return nn.Dense(8, kernel_init=self.kernel_init, name="head")(x)


def recommended_rows(module):
    rows = recommend(jinit.linen.trace(module, X)).rows
    return {row.path.removeprefix("params/"): row for row in rows}


def test_gains_are_those_of_the_activation_that_follows():
    rows = recommended_rows(Net(jinit.lecun_normal()))
    gains = {"to_tanh": 1.0, "to_relu": 2**0.5, "branch_0": 0.5**0.5, "head": 1.0}
    for name, gain in gains.items():
        assert rows[f"{name}/kernel"].std == pytest.approx(gain / 8, rel=1e-5)
    assert rows["LayerNorm_0/scale"].initializer is None


@pytest.mark.parametrize(("factor", "std"), [(1.0, 1.0), (8.0, 1 / 8)])
def test_looked_up_rows_have_a_second_moment_of_one(factor, std):
    """Factors of the lookup are divided out, such as √features in the first transformer."""
    params = {"table": floats(100, 64), "kernel": floats(64, 3)}
    tokens = jax.ShapeDtypeStruct((2, 7), jnp.int32)
    model = jinit.trace(lambda p, i: p["table"][i] * factor @ p["kernel"], params, tokens)
    assert [row.std for row in recommend(model).rows] == pytest.approx([std, 1 / 8])


def test_tokens_and_positions_of_a_model_without_initializers():
    def apply(p, x):
        token = jnp.broadcast_to(p["token"], (2, 1, 64))
        return (jnp.concatenate([token, x], 1) + p["positions"][None]) @ p["kernel"]

    params = {"token": floats(64), "positions": floats(8, 64), "kernel": floats(64, 3)}
    rows = {row.path: row for row in recommend(jinit.trace(apply, params, X)).rows}
    assert (rows["token"].role, rows["positions"].role) == ("token", "position")
    assert rows["token"].initializer == rows["positions"].initializer == jinit.normal(0.02)


def test_advice_names_the_cause():
    rows = recommended_rows(Net(jinit.lecun_normal()))
    advice = {path: row.advice for path, row in rows.items() if row.role == "kernel"}
    assert advice["to_tanh/kernel"] == ""
    assert advice["to_relu/kernel"].endswith("and what follows needs 1.41")
    assert advice["branch_1/kernel"] == "not scaled for 2 residual branches: divide it by √2"
    assert advice["head/kernel"] == ""
    assert rows["to_relu/kernel"].ratio == pytest.approx(0.5**0.5, rel=0.1)


def test_advice_on_constants_and_reused_keys():
    advice = {path: row.advice for path, row in recommended_rows(Net(jinit.constant(0.1))).items()}
    assert advice["to_tanh/kernel"] == "constant, so that all of its units are equal: draw it"
    assert advice["branch_0/kernel"] == ""
    reused = jax.random.key(5)
    rows = recommended_rows(Net(lambda key, shape, dtype: jinit.he_normal()(reused, shape, dtype)))
    assert rows["to_relu/kernel"].advice.startswith("equal to params/")


def test_advice_on_fans_that_flax_gets_wrong():
    """Flax counts batch axes as part of the receptive field."""
    module = nn.Einsum((2, 64, 16), "ebd,edf->ebf")
    row = recommended_rows(module)["kernel"]
    assert row.advice.endswith("needs 1; it may be scaled for a fan-in of 128 by mistake")
    general = recommended_rows(nn.DenseGeneral(4, batch_dims=(0,)))["kernel"]
    assert general.advice.endswith("needs 1; it may be scaled for a fan-in of 128 by mistake")


def test_a_recommended_initialization_needs_no_advice():
    model = jinit.linen.trace(Net(jinit.lecun_normal()), X)
    planned = recommend(model)
    initialized = jinit.trace(model.apply, model.params, *model.inputs, init=planned.init)
    assert [row.advice for row in recommend(initialized).rows] == [""] * len(planned.rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    [
        jax.nn.gelu,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (jnp.tanh, jax.nn.relu)),
    ],
)
def test_the_signal_of_a_deep_network_is_as_predicted(activation):
    """E[z²] of every layer in a forward pass is q' = σ_w² E[φ(√q n)²], within 5σ over seeds."""
    depth, width, seeds = 6, 256, 64

    def apply(kernels, x):
        for kernel in kernels[:-1]:
            x = activation(x @ kernel)
        return x @ kernels[-1]

    model = jinit.trace(apply, [floats(width, width)] * depth, floats(8, width))
    plan = recommend(model)
    scales = [needed(leaf).weights for leaf in model.leaves]
    predicted = [scales[0]]
    for scale in scales[1:]:
        predicted.append(scale * moments(activation, predicted[-1]).second)

    @jax.jit
    def second_moments(kernels, x):
        taps = {
            layer.place: lambda operands, z, probe: (z, (z**2).mean())
            for layer in model.contractions
        }
        return jnp.stack(list(apply_taps(model.graph, [*kernels, x], taps)[1].values()))

    ratios = []
    for key in jax.random.split(KEY, seeds):
        x = jax.random.normal(key, (8, width))
        ratios.append(second_moments(plan.init(key), x) / jnp.array(predicted))
    ratios = np.stack(ratios)
    error = ratios.std(0) / np.sqrt(seeds)
    assert error.max() < 0.05
    assert (abs(ratios.mean(0) - 1) / error).max() < 5


@pytest.mark.slow
def test_kernels_whose_products_are_added_share_the_variance():
    """E[h²] of a recurrent relu network with inputs of variance 1 stays 1, within 5σ of the mean.

    If each kernel had the full gain, every step would add one to it.
    """
    width, steps, seeds = 256, 6, 32

    def apply(w, x):
        h = jax.nn.relu(x[0] @ w["in"] + x[1] @ w["back"])
        for inputs in x[2:]:
            h = jax.nn.relu(inputs @ w["in"] + h @ w["back"])
        return h @ w["out"], h

    kernels = dict.fromkeys(("in", "back", "out"), floats(width, width))
    model = jinit.trace(apply, kernels, floats(steps, 1, width))
    planned = recommend(model)
    gains = {row.path: row.std**2 * width for row in planned.rows}
    assert gains == pytest.approx({"in": 1.0, "back": 1.0, "out": 1.0})

    @jax.vmap
    def last_moment(key):
        first, second = jax.random.split(key)
        _, h = apply(planned.init(first), jax.random.normal(second, (steps, 1, width)))
        return (h**2).mean()

    second_moments = np.asarray(jax.jit(last_moment)(jax.random.split(KEY, seeds)))
    assert abs(second_moments.mean() - 1) < 5 * second_moments.std() / np.sqrt(seeds)
