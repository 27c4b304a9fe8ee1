"""Recurrences whose early iterations hardly reach the loss: notes, and what is a fault."""

import jax
import jax.numpy as jnp
import pytest
from arrays import normals
from diagnostics.taking import heal
from flax import linen as nn

import jinit

KEY = jax.random.key(0)
SLOW = pytest.mark.slow


class Recurrent(nn.Module):
    """An LSTM, whose last or whose every output is read."""

    is_last: bool

    @nn.compact
    def __call__(self, x):
        outputs = nn.RNN(nn.LSTMCell(16))(x)
        return nn.Dense(3)(outputs[:, -1] if self.is_last else outputs)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("is_last", "length", "fades"), [(True, 80, True), (True, 6, False), (False, 80, False)]
)
def test_a_gradient_that_fades_through_time_is_noted(is_last, length, fades):
    x = normals(1, (8, length, 5))
    model = jinit.linen.trace(Recurrent(is_last), x)
    diagnosis = jinit.diagnose(model, jinit.init(model, KEY), x, key=KEY)
    assert diagnosis.verdict == "stable"
    notes = [note for note in diagnosis.notes if "hardly reaches the loss" in note]
    assert len(notes) == fades
    if fades:
        assert f"at the second of {length} iterations" in notes[0]
        assert f"jinit.chrono({length})" in notes[0]
        assert "a forget bias of 1 for params/LSTMCell_0/hf/bias" in notes[0]


def loop(cell, length):
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.RNN(cell, name="loop")(x)[:, -1])

    x = normals(1, (16, length, 8))
    model = jinit.linen.trace(Network(), x)
    return model, model.init(KEY), x


def change(params, name, function):
    def apply(path, leaf):
        return function(leaf) if name in jax.tree_util.keystr(path) else leaf

    return jax.tree_util.tree_map_with_path(apply, params)


CELLS = {
    "LSTM": nn.LSTMCell(16),
    "GRU": nn.GRUCell(16),
    "minimal gated unit": nn.MGUCell(16),
    "tanh": nn.SimpleCell(16),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LSTM", *(pytest.param(n, marks=SLOW) for n in CELLS)])
@pytest.mark.parametrize("length", [20, pytest.param(60, marks=SLOW)])
def test_usual_and_recommended_cells_are_not_accused(name, length):
    model, params, x = loop(CELLS[name], length)
    for start in (params, jinit.recommend(model).init(KEY)):
        assert jinit.diagnose(model, start, x, jnp.arange(16) % 3).verdict == "stable"


@pytest.mark.parametrize(
    ("cell", "name", "function", "cause"),
    [
        pytest.param(
            "LSTM", "'hf']['bias'", lambda b: b - 3, "keeps only 4.7 % of the state", marks=SLOW
        ),
        ("tanh", "'h']['kernel'", lambda leaf: leaf / 3, "where 1 is what tanh needs"),
        pytest.param("tanh", "'h']['kernel'", lambda w: w / 10, "where 1 is", marks=SLOW),
    ],
)
def test_a_closed_gate_and_a_small_recurrent_kernel_are_faults(cell, name, function, cause):
    model, params, x = loop(CELLS[cell], 20)
    diagnoses = heal(model, change(params, name, function), x, jnp.arange(16) % 3)
    assert diagnoses[0].verdict == "vanishing"
    assert any(cause in each.cause for each in diagnoses[0].faults)
    assert len(diagnoses) == 2
    assert diagnoses[-1].healthy


def test_a_reversed_loop_is_judged_in_the_order_of_its_iterations():
    """Its gradient fades towards the last index, which is not an explosion."""

    def apply(params, x):
        def step(h, x):
            return jnp.tanh(h @ params["w"] + x @ params["in"]), None

        zeros = jnp.zeros((16, 16))
        return jax.lax.scan(step, zeros, x, reverse=True)[0] @ params["out"]

    params = {
        "w": 0.9 * jinit.orthogonal()(KEY, (16, 16)),
        "in": normals(2, (8, 16)) / 8**0.5,
        "out": normals(3, (16, 3)) / 4,
    }
    x = normals(1, (40, 16, 8))
    diagnosis = jinit.diagnose(jinit.trace(apply, params, x), params, x, jnp.arange(16) % 3)
    assert diagnosis.verdict == "stable"
    assert any("hardly reaches the loss" in note for note in diagnosis.notes)
