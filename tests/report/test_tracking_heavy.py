"""Runs of a sweep in wandb and MLflow, which are too heavy to install for every test run.

`pip install 'jinit[wandb,mlflow]'` and `pytest -m slow tests/report/test_tracking_heavy.py` run
these tests; without the extras they fail.
"""

import json
import math
import subprocess
import sys

import pytest
from report.tracked_sweeps import DIVERGED_CONFIG, HOSTILE_AXIS, write_hostile, write_small

from jinit.record import axes_text, run_label
from jinit.report import Results

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

SWEEP = "small-20261130T060000"
VALUES = {"init": "he_normal", "lr": 0.01}


@pytest.fixture
def small(tmp_path):
    return write_small(tmp_path / "small")


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def read_wandb(folder, label):
    (found,) = folder.glob(f"offline-run-*-{label}_*/run-*.wandb")
    return read_wandb_file(found)


def read_wandb_file(file):
    """Return the records of a run as wandb's own reader prints them."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def by_type(records):
    types = {record["type"] for record in records}
    return {name: [each[name] for each in records if each["type"] == name] for name in types}


def test_wandb_reads_what_was_written(small, capfd):
    for written in (8, 0):
        export = Results(small).track("wandb")
        assert export.written == written
    assert capfd.readouterr() == ("", "")
    assert export.next_command == f"wandb sync {small / 'wandb' / 'wandb'}"
    assert not list((small / "wandb").glob(".unfinished*"))
    run = by_type(read_wandb(small / "wandb" / "wandb", run_label(axes_text(VALUES), 1)))
    (started,) = run["run"]
    assert {**VALUES, "seed": 1}.items() <= started["config"]["update"].items()
    assert (started["project"], started["run_group"]) == ("digits", SWEEP)
    assert [each["step"]["num"] for each in run["history"]] == [0, 100, 200, 300]
    summary = {name: value for each in run["summary"] for name, value in each["update"].items()}
    assert summary["validation/accuracy"] == pytest.approx(0.9)
    assert summary["outcome"] == "learned"
    assert run["exit"] == [{"exit_code": 0}]


def test_a_diverged_run_has_failed_in_wandb(small):
    Results(small).track("wandb")
    run = by_type(read_wandb(small / "wandb" / "wandb", run_label(axes_text(DIVERGED_CONFIG), 0)))
    assert run["history"][-1]["item"]["validation/loss"] == "NaN"
    assert run["exit"] == [{"exit_code": 1}]


def test_a_run_of_wandb_that_is_interrupted_is_written_again(small, monkeypatch):
    import wandb

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wandb.Run, "log", fail)
        with pytest.raises(KeyboardInterrupt):
            Results(small).track("wandb")
    assert Results(small).track("wandb").written == 8


def test_wandb_that_is_disabled(small, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(ValueError, match=r"WANDB_MODE is 'disabled', .*: unset it"):
        Results(small).track("wandb")


def test_wandb_takes_hostile_names(tmp_path):
    directory = write_hostile(tmp_path / "<i>σ\n")
    assert [Results(directory).track("wandb").written for _ in range(2)] == [6, 0]
    files = list((directory / "wandb" / "wandb").glob("offline-run-*/run-*.wandb"))
    runs = [by_type(read_wandb_file(file))["run"][0]["config"]["update"] for file in files]
    values = {run.get(HOSTILE_AXIS) for run in runs}
    assert values == {"/../x\n<script>alert(1)</script>", "σ" * 300, None}


def test_mlflow_reads_what_was_written(small):
    from mlflow import MlflowClient

    for written in (8, 0):
        export = Results(small).track("mlflow")
        assert export.written == written
    assert export.destination == f"sqlite:///{small}/mlflow/mlflow.db"
    client = MlflowClient(tracking_uri=export.destination)
    experiment = client.get_experiment_by_name(SWEEP).experiment_id
    runs = {run.data.tags["jinit.run"]: run for run in client.search_runs([experiment])}
    assert len(runs) == 8
    run = runs[run_label(axes_text(VALUES), 1)]
    assert run.data.params == {"init": "he_normal", "lr": "0.01", "seed": "1"}
    assert run.info.run_name.startswith("he_normal,lr=0.01,seed=1-")
    assert run.data.tags["jinit.outcome"] == "learned"
    assert run.data.tags["mlflow.source.git.commit"] == "0" * 40
    history = client.get_metric_history(run.info.run_id, "validation/accuracy")
    assert [each.step for each in history] == [0, 100, 200, 300]
    assert history[-1].value == pytest.approx(0.9)
    failed = runs[run_label(axes_text(DIVERGED_CONFIG), 0)]
    assert (run.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert math.isnan(failed.data.metrics["validation/loss"])


def test_a_run_of_mlflow_that_is_interrupted_is_written_again(small, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    address = f"sqlite:///{tmp_path}/other.db"
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_batch", fail)
        with pytest.raises(KeyboardInterrupt):
            Results(small).track("mlflow", address)
    assert Results(small).track("mlflow", address).written == 8
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(SWEEP).experiment_id
    assert len(client.search_runs([experiment])) == 8


def test_mlflow_takes_hostile_names(tmp_path):
    from mlflow import MlflowClient

    directory = write_hostile(tmp_path / "<i> σ" / "hostile")
    export = Results(directory).track("mlflow")
    assert (directory / "mlflow" / "mlflow.db").exists()
    assert export.written == 6
    client = MlflowClient(tracking_uri=export.destination)
    experiment = client.get_experiment_by_name("hostile").experiment_id
    runs = client.search_runs([experiment])
    assert {run.data.params["clip"] for run in runs} == {"inf", "1.0"}
    assert {run.data.params.get("a_.._b_script_") for run in runs} >= {"σ" * 300, None}
    assert any("test/_b_x" in run.data.metrics for run in runs)


def test_a_store_that_mlflow_cannot_open(small, tmp_path):
    with pytest.raises(ValueError, match=r"has \?, # or %.*; give another directory"):
        Results(small).track("mlflow", tmp_path / "what?")
    with pytest.raises(
        ValueError, match=r"MLflow cannot open nosuch://x: .*; expected a directory"
    ):
        Results(small).track("mlflow", "nosuch://x")
