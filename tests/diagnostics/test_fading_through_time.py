"""A note on recurrences whose early iterations hardly reach the loss."""

import jax
import pytest
from arrays import normals
from flax import linen as nn

import jinit

KEY = jax.random.key(0)


class Recurrent(nn.Module):
    """An LSTM, whose last or whose every output is read."""

    is_last: bool

    @nn.compact
    def __call__(self, x):
        outputs = nn.RNN(nn.LSTMCell(16))(x)
        return nn.Dense(3)(outputs[:, -1] if self.is_last else outputs)


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
