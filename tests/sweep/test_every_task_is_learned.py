"""Every task with its default network, and every network: a short sweep beats the best constant."""

import numpy as np
import pytest

from jinit.sweep.settings import build_sweep

TOKENS = "task = {name = 'characters', length = 16}\nwidth = 16\n"
SHORT = {
    "digits": "task = 'digits'\nwidth = 32\n",
    "breast_cancer": "task = 'breast_cancer'\nwidth = 8\n",
    "mnist1d": "task = 'mnist1d'\nwidth = 32\n",
    "teacher_student": "task = {name = 'teacher_student', examples = 512}\nwidth = 32\n",
    "teacher_student_classes": "task = 'teacher_student_classes'\nwidth = 32\n",
    "regularized": "task = 'digits'\nwidth = 32\n",
    "cnn": "network = 'cnn'\n",
    "cnn_of_signals": "network = 'cnn'\ntask = 'mnist1d'\n",
    "characters": TOKENS,
    "lstm": "network = 'lstm'\n" + TOKENS,
}
AXES = {"regularized": "normalization = ['batch']\ndropout = [0.1]\n"}
# The others take longer to compile, or say little more.
SLOW = {*SHORT} - {"digits", "teacher_student"}
REST = """
seeds = 1
steps = 150
record_every = 150
measure_start = false
[space]
init = ["lecun_normal"]
depth = [1]
lr = [1e-2]
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in SHORT]
)
def test_a_short_sweep_learns(tmp_path, name):
    file = tmp_path / "short.toml"
    file.write_text(SHORT[name] + REST + AXES.get(name, ""))
    sweep, _ = build_sweep(file, {})
    frame = sweep.run(tmp_path / "run").frame()
    if sweep.task.classes:
        assert frame.validation_accuracy.min() > 1.5 * sweep.task.chance
    else:
        assert frame.validation_loss.max() < 0.6 * sweep.task.chance
    assert np.isfinite(frame.validation_loss).all()
    if sweep.task.test is not None:
        assert abs(frame.test_loss - frame.validation_loss).max() < 0.5
