"""Recommended recurrent kernels stay orthogonal, and forget gates begin open."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit

WIDTH = 16
X = jnp.ones((2, 5, WIDTH))


def recommended(cell):
    model = jinit.linen.trace(nn.RNN(cell), X)
    plan = jinit.recommend(model)
    return {row.path: row for row in plan.rows}, model.by_path(plan.init(jax.random.key(0)))


def gram(matrix):
    return np.asarray(matrix.T @ matrix)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.SimpleCell])
def test_orthogonal_recurrent_kernels_stay_orthogonal(cell):
    rows, params = recommended(cell(WIDTH))
    recurrent = [path for path in rows if "/cell/h" in path and path.endswith("kernel")]
    for path in recurrent:
        np.testing.assert_allclose(gram(params[path]), np.eye(WIDTH), atol=1e-5)
        assert rows[path].ratio == pytest.approx(1, abs=0.02)
    biases = {path: np.asarray(leaf) for path, leaf in params.items() if path.endswith("bias")}
    forget = biases.pop("params/cell/hf/bias", np.ones(WIDTH))
    assert (forget == 1).all()
    assert not any(bias.any() for bias in biases.values())


def test_other_recurrent_kernels_and_biases_that_are_chosen_are_kept():
    rows, _ = recommended(nn.LSTMCell(WIDTH, recurrent_kernel_init=nn.initializers.normal()))
    assert rows["params/cell/hf/kernel"].initializer == jinit.lecun_normal()
    rows, _ = recommended(nn.SimpleCell(WIDTH, recurrent_kernel_init=jinit.identity()))
    assert rows["params/cell/h/kernel"].initializer is None
    rows, _ = recommended(nn.LSTMCell(WIDTH, bias_init=nn.initializers.constant(2.0)))
    assert rows["params/cell/hf/bias"].initializer is None


def test_gates_of_a_fused_kernel_are_orthogonal_one_by_one():
    class Fused(nnx.Module):
        def __init__(self, rngs):
            self.loop = nnx.RNN(nnx.OptimizedLSTMCell(WIDTH, WIDTH, rngs=rngs), rngs=rngs)

        def __call__(self, x):
            return self.loop(x)

    model = jinit.nnx.trace(lambda rngs: Fused(rngs), X)
    plan = jinit.recommend(model)
    rows = {row.path: row for row in plan.rows}
    params = model.by_path(plan.init(jax.random.key(0)))
    for gate in np.split(np.asarray(params["loop/cell/dense_h/kernel"]), 4, 1):
        np.testing.assert_allclose(gram(gate), np.eye(WIDTH), atol=1e-5)
    bias = np.asarray(params["loop/cell/dense_h/bias"])
    assert (bias.reshape(4, WIDTH).sum(1) == [0, WIDTH, 0, 0]).all()
    assert rows["loop/cell/dense_h/bias"].initializer == jinit.forget_gate_bias()
    assert "73 % of the state" in rows["loop/cell/dense_h/bias"].advice
