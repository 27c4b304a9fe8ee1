"""Keys of a TOML file for tasks, built-in networks and the options of a sweep."""

import jax
import pytest

from jinit.sweep.network_settings import NETWORKS
from jinit.sweep.settings import build_sweep
from jinit.sweep.tasks import TASKS

SPACE = "[space]\ninit = ['he_normal']\nlr = [1e-3]\n"


def read(tmp_path, text, **overrides):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return build_sweep(file, overrides)[0]


def params(sweep, **config):
    init, *_ = sweep.definition.build(config)
    return jax.eval_shape(init, jax.random.key(0))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_default_network(tmp_path, task):
    sweep = read(tmp_path, f"task = '{task}'\n" + SPACE)
    assert sweep.task.name == task
    assert ("embedding" in params(sweep)) == (task == "characters")


def test_the_default_space_of_a_network():
    assert build_sweep(None, {"network": "lstm"})[0].task.name == "characters"
    sweep, name = build_sweep(None, {"network": "cnn", "depth": 2})
    assert (name, sweep.space.names) == ("digits", ("init", "lr", "depth"))
    assert sweep.task.train[0].shape[1:] == (8, 8, 1)


def test_options_of_a_task(tmp_path):
    text = "task = {name = 'characters', length = 16}\nbatch_size = 4\n"
    sweep = read(tmp_path, text + SPACE)
    assert (sweep.task.train[0].shape[1], sweep.task.batch_size) == (16, 4)
    assert params(sweep)["positions"].shape == (16, 64)
    images = read(tmp_path, "network = 'cnn'\ntask = {name = 'digits', with_test = true}\n" + SPACE)
    assert images.task.test[0].shape == (180, 8, 8, 1)


def test_options_of_a_network_are_axes(tmp_path):
    text = "task = 'mnist1d'\nnetwork = 'cnn'\n" + SPACE
    sweep = read(tmp_path, text + "channels = [[4], [4, 8]]\nnormalization = ['none', 'batch']\n")
    assert sweep.total_lanes == 4 * 8
    drawn = params(sweep, channels=[4, 8], normalization="none")
    assert [layer["kernel"].shape for layer in drawn.values()] == [(3, 1, 4), (3, 4, 8), (160, 10)]


def test_axes_of_the_loss_belong_to_training(tmp_path):
    sweep = read(tmp_path, SPACE + "label_smoothing = [0.0, 0.1]\n")
    assert sweep.definition.training == ("lr", "label_smoothing")


def test_options_of_a_sweep(tmp_path):
    keys = (
        "measure_start = false\npatience = 3\nmetric = 'validation_loss'\ndata_seed = 5\n"
        "bootstrap = true\nsteps_per_call = 7\nlanes = 2\n"
    )
    definition = read(tmp_path, keys + SPACE).definition
    assert definition.trial.diagnose is None
    assert (definition.patience, definition.metric) == (3, "validation_loss")
    assert (definition.data_seed, definition.steps_per_call, definition.lanes) == (5, 7, 2)
    assert definition.bootstrap
    measured = read(tmp_path, "record_every = 50\nmeasure_at = [100, 300]\n" + SPACE).definition
    assert measured.trial.diagnose is not None
    assert measured.measure_at == (100, 300)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task = {length = 3}\n", r"task = .* has no name: write task = {name = 'digits', ...}"),
        ("task = {name = 'digts'}\n", "unknown task 'digts'; did you mean 'digits'"),
        (
            "task = {name = 'characters', lenght = 3}\n",
            "option of the task .*did you mean 'length'",
        ),
        ("task = {name = 'characters', length = 0}\n", "length: expected an integer of at least 1"),
        ("task = {name = 'teacher_student', noise = -1}\n", "noise: expected a number of at least"),
        ("network = 'cn'\n", "unknown network 'cn'; did you mean 'cnn'"),
        ("network = 3\n", "unknown network 3; expected one of: mlp, cnn, transformer, lstm"),
        ("network = 'lstm'\ntask = 'digits'\n", "'lstm' does not go .* choose network = 'mlp' or"),
        (
            "network = 'mlp'\ntask = 'characters'\n",
            "inputs are sequences .*'transformer' or 'lstm'",
        ),
        ("network = 'cnn'\nwidth = 8\n", "option of network = 'cnn' 'width'"),
        (
            "network = 'cnn'\n" + SPACE + "chanels = [[8]]\n",
            "built-in cnn .*did you mean 'channels'",
        ),
        ("network = 'cnn'\n" + SPACE + "channels = [8]\n", "channels: expected a list such as"),
        ("network = 'cnn'\n" + SPACE + "normalization = ['bach']\n", "normalization 'bach'; did"),
        ("network = 'lstm'\n" + SPACE + "heads = [2]\n", "built-in lstm trained by adam .*'heads'"),
        ("network = 'transformer'\n" + SPACE + "heads = [4, 3]\n", "heads: expected a divisor of"),
        (SPACE + "dropout = [1.0]\n", "dropout: expected a number from 0 to below 1, got 1.0"),
        ("metric = 'validation_los'\n", "metric in .* did you mean 'validation_loss'"),
        ("metric = 3\n", "unknown metric in .* 3; expected one of: validation_loss, train_loss"),
        ("task = 'teacher_student'\nmetric = 'validation_accuracy'\n", "unknown metric"),
        ("patience = 0\n", "patience: expected an integer of at least 1, got 0"),
        ("lanes = 'x'\n", "lanes: expected an integer of at least 1, got 'x'"),
        ("steps_per_call = -1\n", "steps_per_call: expected an integer of at least 1, got -1"),
        ("data_seed = -1\n", r"data_seed: expected an integer from 0 to 2\*\*32 - 1"),
        ("measure_start = 'no'\n", "measure_start: expected True or False, got str"),
        ("measure_at = [7]\n", r"measure_at: expected steps .* multiples of 30 .* got \[7\]"),
        ("measure_strt = false\n", "did you mean 'measure_start'"),
        ("netwrk = 'mlp'\n", "did you mean 'network'"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, text, message):
    space = "" if "[space]" in text else SPACE
    with pytest.raises((ValueError, TypeError), match=message):
        read(tmp_path, text + space)


def test_the_help_lists_the_tasks_and_networks(capsys):
    from jinit.cli import main

    main(["sweep", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert [name for name in (*TASKS, *NETWORKS) if name not in text] == []
