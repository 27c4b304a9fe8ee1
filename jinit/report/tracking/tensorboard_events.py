"""Event files for TensorBoard: scalars of every run, and its table of hyper-parameters.

Every run is one file in a folder of its own, which is written completely or not at all.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from jinit.report.extras import explain_missing_extra
from jinit.report.tracking.tracked_run import LABEL_LENGTH, TrackedRun

_FILE = "events.out.tfevents.jinit"
_SHOWN_FACTS = ("outcome", "at_initialization")
"""Facts that the table shows beside the hyper-parameters, because it can filter by them."""


class TensorBoardEvents:
    """The runs of one sweep in a log directory of TensorBoard.

    Args:
      folder: the log directory, which may hold other sweeps.
      sweep: the name of the sweep, which names its folder.

    Raises:
      MissingExtraError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, sweep: str) -> None:
        with explain_missing_extra("Writing to TensorBoard", "tensorboard"):
            proto = import_module("tensorboard.compat.proto.event_pb2")
            writer = import_module("tensorboard.summary.writer.record_writer")
            self._api = import_module("tensorboard.plugins.hparams.api_pb2")
            self._data = import_module("tensorboard.plugins.hparams.plugin_data_pb2")
            self._metadata = import_module("tensorboard.plugins.hparams.metadata")
        self._event, self._writer = proto.Event, writer.RecordWriter
        self._folder = folder / sweep
        self.destination = str(folder)
        self.next_command = shlex.join(["tensorboard", "--logdir", self.destination])

    def labels(self) -> set[str]:
        """Return the labels of the runs that are there."""
        return {file.parent.name[-LABEL_LENGTH:] for file in self._folder.glob(f"*/{_FILE}")}

    def write(self, run: TrackedRun) -> None:
        """Write one run.

        Args:
          run: the run.
        """
        folder = self._folder / run.name
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "partial"
        with partial.open("wb") as file:
            writer = self._writer(file)
            for event in self._events(run):
                writer.write(event.SerializeToString())
        partial.replace(folder / _FILE)

    def close(self) -> None:
        """Do nothing: every run is complete."""

    def _events(self, run: TrackedRun) -> Iterator[Any]:
        yield self._event(wall_time=run.started_at, file_version="brain.Event:2")
        start = self._data.SessionStartInfo(start_time_secs=run.started_at)
        for name, value in _hyper_parameters(run).items():
            _set_value(start.hparams[name], value)
        status = self._api.STATUS_FAILURE if run.has_failed else self._api.STATUS_SUCCESS
        seconds = run.facts.get("run_seconds", 0.0)
        end = self._data.SessionEndInfo(status=status, end_time_secs=run.started_at + seconds)
        yield self._session_event(
            run, self._metadata.SESSION_START_INFO_TAG, session_start_info=start
        )
        for step, values in run.points:
            event = self._event(wall_time=run.started_at, step=step)
            for tag, number in values.items():
                event.summary.value.add(tag=tag, simple_value=number)
            yield event
        yield self._session_event(run, self._metadata.SESSION_END_INFO_TAG, session_end_info=end)

    def _session_event(self, run: TrackedRun, tag: str, **content: Any) -> Any:
        event = self._event(wall_time=run.started_at)
        data = self._data.HParamsPluginData(**content)
        event.summary.value.add(
            tag=tag,
            metadata=self._metadata.create_summary_metadata(data),
            tensor=self._metadata.NULL_TENSOR,
        )
        return event


def _hyper_parameters(run: TrackedRun) -> Mapping[str, Any]:
    facts = {name: run.facts[name] for name in _SHOWN_FACTS if name in run.facts}
    return {**run.config, **facts}


def _set_value(field: Any, value: Any) -> None:
    """Set a protobuf value, which holds finite numbers only: others become text."""
    if isinstance(value, bool):
        field.bool_value = value
    elif isinstance(value, int | float) and math.isfinite(value):
        field.number_value = value
    else:
        field.string_value = str(value)
