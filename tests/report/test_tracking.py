"""Runs of a sweep in experiment trackers: once each, read back by the tracker itself."""

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from report.tracked_sweeps import DIVERGED_CONFIG, HOSTILE_AXIS, write_hostile, write_small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from jinit.cli import main
from jinit.record import axes_text, run_label
from jinit.report import MissingExtraError, Results
from jinit.report.tracking.export import follow_sweep

SWEEP = "small-20261130T060000"


@pytest.fixture
def small(tmp_path):
    return write_small(tmp_path / "small")


def event_folder(folder: Path, values: dict, seed: int) -> Path:
    """Return the folder of a run, found by its label alone."""
    (found,) = folder.glob(f"*/*{run_label(axes_text(values), seed)}")
    return found


def read_events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def session(events: EventAccumulator):
    content = events.PluginTagToContent(metadata.PLUGIN_NAME)
    start = content[metadata.SESSION_START_INFO_TAG]
    return metadata.parse_session_start_info_plugin_data(start), content


def test_tensorboard_reads_curves_and_hyper_parameters(small):
    export = Results(small).track("tensorboard")
    assert (export.written, export.present) == (8, 0)
    assert export.next_command == f"tensorboard --logdir {small / 'tensorboard'}"
    values = {"init": "he_normal", "lr": 0.01}
    folder = event_folder(small / "tensorboard", values, 1)
    assert folder.parent.name == SWEEP
    assert folder.name.startswith("he_normal,lr=0.01,seed=1-")
    events = read_events(folder)
    tags = {"train/loss", "validation/accuracy", "validation/loss"}
    assert set(events.Tags()["scalars"]) == tags
    accuracy = events.Scalars("validation/accuracy")
    assert [each.step for each in accuracy] == [0, 100, 200, 300]
    assert accuracy[-1].value == pytest.approx(0.9)
    start, content = session(events)
    found = {
        name: value.string_value or value.number_value for name, value in start.hparams.items()
    }
    wanted = {"seed": 1, "outcome": "learned", "at_initialization": "stable"}
    assert found == values | wanted
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == api_pb2.STATUS_SUCCESS


def test_a_diverged_run_has_failed_and_keeps_nan(small):
    Results(small).track("tensorboard")
    events = read_events(event_folder(small / "tensorboard", DIVERGED_CONFIG, 0))
    losses = [each.value for each in events.Scalars("validation/loss")]
    assert losses[0] == pytest.approx(2.3)
    assert math.isnan(losses[-1])
    end = session(events)[1][metadata.SESSION_END_INFO_TAG]
    assert metadata.parse_session_end_info_plugin_data(end).status == api_pb2.STATUS_FAILURE


def test_a_run_is_written_once(small, tmp_path):
    for number, (written, present) in enumerate([(8, 0), (0, 8)]):
        export = Results(small).track("tensorboard", tmp_path / "logs")
        assert (export.written, export.present) == (written, present), number
    assert len(list((tmp_path / "logs").glob("*/*/*"))) == 8


def test_a_run_that_was_cut_short_is_written_again(small, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RecordWriter, "write", fail)
        with pytest.raises(KeyboardInterrupt):
            Results(small).track("tensorboard")
    assert list((small / "tensorboard").glob(f"{SWEEP}/*/*"))
    assert Results(small).track("tensorboard").written == 8


def test_hostile_names_and_values(tmp_path):
    directory = write_hostile(tmp_path / "<i>σ\n")
    export = Results(directory).track("tensorboard", tmp_path / "logs")
    assert export.written == 6
    folders = list((tmp_path / "logs").glob("*/*"))
    assert [folder.parent.name for folder in folders] == ["_i_"] * 6
    assert all(folder.name.isascii() and len(folder.name) < 100 for folder in folders)
    runs = [read_events(folder) for folder in folders]
    values = [session(run)[0].hparams for run in runs]
    assert {each[HOSTILE_AXIS].string_value for each in values if HOSTILE_AXIS in each} == {
        "/../x\n<script>alert(1)</script>",
        "σ" * 300,
    }
    assert sum(HOSTILE_AXIS not in each for each in values) == 2
    assert {each["clip"].string_value or each["clip"].number_value for each in values} == {"inf", 1}
    losses = [[each.value for each in run.Scalars("validation/loss")] for run in runs]
    assert [2.0] in losses
    assert any(len(each) == 2 and each[0] == math.inf and math.isnan(each[1]) for each in losses)
    assert any("test/<b>\n/x" in run.Tags()["scalars"] for run in runs)


@pytest.fixture(scope="module")
def trackio_folder(tmp_path_factory):
    """The one folder that a process can use with trackio."""
    return tmp_path_factory.mktemp("trackio")


@pytest.mark.slow
def test_trackio_reads_what_was_written(small, trackio_folder, capsys, monkeypatch):
    monkeypatch.setenv("TRACKIO_SPACE_ID", "no/such-space")
    for written in (8, 0):
        export = Results(small).track("trackio", trackio_folder)
        assert export.written == written
    assert capsys.readouterr().out == ""
    assert export.next_command.endswith("trackio show --project digits")
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    runs = {run.name[-16:]: run for run in trackio.Api().runs("digits")}
    assert len(runs) == 8
    run = runs[run_label(axes_text({"init": "he_normal", "lr": 0.01}), 1)]
    assert run.config["_Group"] == SWEEP
    assert {"init": "he_normal", "lr": 0.01, "seed": 1, "outcome": "learned"}.items() <= (
        run.config.items()
    )
    logs = SQLiteStorage.get_logs("digits", run.name, run_id=run.id)
    assert [each["step"] for each in logs] == [0, 100, 200, 300]
    assert logs[-1]["validation/accuracy"] == pytest.approx(0.9)


@pytest.mark.slow
def test_trackio_takes_hostile_names(tmp_path, trackio_folder):
    directory = write_hostile(tmp_path / "hostile")
    assert Results(directory).track("trackio", trackio_folder).written == 6
    assert Results(directory).track("trackio", trackio_folder).written == 0


@pytest.mark.slow
def test_trackio_deletes_a_run_that_is_interrupted(tmp_path, trackio_folder, monkeypatch):
    import trackio

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    directory = write_small(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(trackio.run.Run, "log", fail)
        with pytest.raises(KeyboardInterrupt):
            Results(directory).track("trackio", trackio_folder)
    assert Results(directory).track("trackio", trackio_folder).written == 8


@pytest.mark.slow
def test_the_own_run_of_a_user_of_trackio_goes_on(tmp_path, trackio_folder):
    Results(write_small(tmp_path / "first")).track("trackio", trackio_folder)
    import trackio

    own = trackio.init("mine", name="own", auto_log_cpu=False, auto_log_gpu=False)
    assert Results(write_small(tmp_path / "more")).track("trackio", trackio_folder).written == 8
    trackio.log({"loss": 1.0})
    trackio.finish()
    assert [run.id for run in trackio.Api().runs("mine")] == [own.id]


@pytest.mark.slow
def test_trackio_has_one_folder_for_each_process(small, tmp_path, trackio_folder):
    Results(small).track("trackio", trackio_folder)
    with pytest.raises(
        ValueError, match=r"this process uses trackio with .*: give .* in a terminal"
    ):
        Results(small).track("trackio", tmp_path / "second")


def test_following_ends_when_all_runs_are_recorded(small, tmp_path):
    first, *others = sorted((small / "records").iterdir())
    hidden = [file.rename(tmp_path / file.name) for file in others]
    seen = []

    def show(text):
        seen.append(text)
        if "waiting" in text and hidden:
            block = hidden.pop()
            block.rename(first.parent / block.name)

    export = follow_sweep(small, "tensorboard", show=show, seconds=0.01)
    assert (export.written, hidden) == (8, [])
    assert seen[0] == "tracking: 1 of 8 runs written, 3 recorded"
    assert "tracking: 3 of 8 runs written, 3 recorded; waiting for the sweep" in seen
    assert follow_sweep(small, "tensorboard").present == 8


def test_following_waits_for_the_first_block(small, tmp_path):
    hidden = [file.rename(tmp_path / file.name) for file in (small / "records").iterdir()]

    def show(text):
        while hidden:
            block = hidden.pop()
            block.rename(small / "records" / block.name)

    assert follow_sweep(small, "tensorboard", show=show, seconds=0.01).written == 8


def test_an_interrupt_ends_following(small, capsys, monkeypatch):
    next((small / "records").iterdir()).unlink()
    monkeypatch.setattr(time, "sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    assert main(["track", str(small), "--to", "tensorboard", "--follow"]) == 130
    assert "the same command writes the runs that are missing" in capsys.readouterr().err


def test_the_command_line(small, tmp_path, capsys):
    logs = tmp_path / "logs"
    arguments = ["track", str(small), "--to", "tensorboard", "--out", str(logs)]
    assert main(arguments) == 0
    said = f"8 runs written to {logs}. Next: tensorboard --logdir {logs}\n"
    assert capsys.readouterr().out == said
    assert main([*arguments, "--follow"]) == 0
    assert f"0 runs written to {logs}, 8 were there before" in capsys.readouterr().out


@pytest.mark.once
def test_the_records_are_tracked_without_jax(small):
    code = (
        "import sys; sys.modules['jax'] = None; from jinit.report import Results; "
        f"print(Results({str(small)!r}).track('tensorboard').written)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "8\n"


def test_bad_input_is_one_line(small, tmp_path, capsys):
    (tmp_path / "file").touch()
    for directory, tracker, out, message in (
        (small, "tensorbord", None, "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        (tmp_path / "no", "tensorboard", None, "does not exist; expected the output directory"),
        (small, "tensorboard", tmp_path / "file", "file: File exists; give a directory that you"),
        (small, "tensorboard", tmp_path / "file" / "x", "Not a directory; give a directory"),
        (small, "wandb", "http://localhost", "only mlflow takes a tracking URI"),
    ):
        option = [] if out is None else ["--out", str(out)]
        assert main(["track", str(directory), "--to", tracker, *option]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.splitlines()) == 1


def test_no_records_yet(small):
    for file in (small / "records").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="contains no finished block of runs"):
        Results(small).track("tensorboard")


@pytest.mark.parametrize(
    ("tracker", "module"),
    [("tensorboard", "tensorboard.compat.proto.event_pb2"), ("trackio", "trackio"),
     ("wandb", "wandb"), ("mlflow", "mlflow")],
)  # fmt: skip
def test_a_missing_extra_is_named(small, tracker, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'jinit\[{tracker}\]'"):
        Results(small).track(tracker)
