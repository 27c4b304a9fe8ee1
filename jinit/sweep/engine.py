"""Run a sweep: one compiled training program per architecture, in blocks of lanes."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import optax

from jinit.record import LAYER_COLUMNS, RESERVED_COLUMNS
from jinit.report import Results, progress_line
from jinit.sweep.block import Block, BlockRun, Lane
from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.group_run import GroupRun, RunContext
from jinit.sweep.groups import Group, group_configs
from jinit.sweep.initial_diagnoses import InitialDiagnoses
from jinit.sweep.initial_parameters import InitialParameters
from jinit.sweep.lanes import local_mesh
from jinit.sweep.layout import choose_layout
from jinit.sweep.optimizers import RATE_AXES, OptimizerLike, check_rates, training_axes
from jinit.sweep.space import Space, record_value
from jinit.sweep.store import Store, check_directory, provenance
from jinit.sweep.tasks import Task

_DEFAULT_RECORDINGS = 10


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep."""

    stage: str
    """Stage of the sweep, such as `training`."""
    lane_steps: int
    """Lane-steps trained so far."""
    total_lane_steps: int
    """Lane-steps of the whole sweep."""
    training_seconds: float
    """Seconds spent on training so far."""
    elapsed_seconds: float
    """Seconds since the sweep began, with tracing and compilation."""
    diverged_lanes: int
    """Lanes that have diverged so far."""

    def __str__(self) -> str:
        return progress_line(self)


class Sweep:
    """Train every configuration of a space with every seed, as lanes of few compiled programs.

    Configurations whose networks trace to the same computation share one training program, because
    initializers only draw initial parameters, and the learning rate, gain, weight decay, l1 and l2
    are traced numbers. A seed has the same key, `jax.random.key(seed)`, and the same order of the
    data in every configuration, so that configurations can be compared in pairs. If a lane reaches
    NaN or infinity, the step is recorded and other lanes are not affected.

    Args:
      task: the data to train on.
      build: `build(config)` returns a Linen module or a pair `(init, apply)` of pure functions;
        `build(config, rngs)` returns an NNX module. `config` has the axes that are not traced.
      space: the axes and their values, from `jinit.grid`.
      optimizer: function of the learning rate (and of options that are axes), or a built optimizer;
        by default Adam, or the values of the axis `optimizer`.
      seeds: number of seeds, or the seeds themselves.
      steps: optimizer steps.
      record_every: steps from one recording to the next; a tenth of the steps by default.
      lanes: lanes per block over all devices. The last bit of the results depends on it.
      measure_start: whether each distinct initialization is measured and judged, as by
        `jinit.diagnose`, before the first step.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument has a value that cannot work.

    >>> import jinit, optax
    >>> def build(config):
    ...     return jinit.sweep.mlp(64, 10, depth=2, width=16, init=config["init"])
    >>> space = jinit.grid(init=["zeros", "he_normal"], lr=[1e-2])
    >>> sweep = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=2, steps=20)
    >>> sweep.total_lanes
    4
    """

    def __init__(
        self,
        task: Task,
        build: Callable[..., Any],
        space: Space,
        *,
        optimizer: OptimizerLike | None = None,
        seeds: int | Sequence[int] = 8,
        steps: int = 500,
        record_every: int | None = None,
        lanes: int | None = None,
        measure_start: bool = True,
    ) -> None:
        self.task = _check_instance("task", task, Task, "jinit.tasks.digits() or a jinit.Task")
        self.space = _check_instance("space", space, Space, "jinit.grid(init=[...], lr=[...])")
        if not callable(build):
            raise TypeError(
                f"build: expected a function of a config that returns a network, got {build!r}"
            )
        if reserved := sorted(set(space.names) & set(RESERVED_COLUMNS)):
            raise ValueError(f"axis {reserved[0]!r} is the name of a recorded column; rename it")
        self.build = build
        if optimizer is not None and "optimizer" in space.names:
            raise ValueError(
                "the optimizer is given twice, as an axis of the space and as optimizer=...: leave "
                "one of them out"
            )
        self.optimizer = optax.adam if optimizer is None else optimizer
        self.seeds = _check_seeds(seeds)
        self.steps = check_count("steps", steps)
        default_interval = -(-self.steps // _DEFAULT_RECORDINGS)
        self.record_every = check_count(
            "record_every", default_interval if record_every is None else record_every
        )
        self.lanes = None if lanes is None else check_count("lanes", lanes)
        self.measure_start = _check_instance("measure_start", measure_start, bool, "True or False")
        self.axes = training_axes(self.space, self.optimizer)
        for axis, values in space.axes:
            if axis in RATE_AXES:
                check_rates(axis, values)

    @property
    def total_lanes(self) -> int:
        """Number of configurations times number of seeds."""
        return len(self.space.configs()) * len(self.seeds)

    def run(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None = None,
    ) -> Results:
        """Train everything and record it in a directory.

        Blocks of lanes are written when they are finished, so an interrupted sweep keeps them.

        Args:
          directory: the output directory; created if it does not exist.
          progress: called with the progress after every stage and recording: `print` shows one
            line each time, None nothing.

        Returns:
          The results, read from the directory.

        Raises:
          ValueError: if the directory cannot be written to or already holds a sweep, or `build`
            returns a network that cannot be trained on the task.
          TypeError: if `build` does not return a network.
        """
        return _SweepRun(self, progress or (lambda _: None)).run(directory)


class _SweepRun:
    """One run of a sweep."""

    def __init__(self, sweep: Sweep, report_progress: Callable[[Progress], None]) -> None:
        self.sweep, self.report_progress = sweep, report_progress
        self.begin_time = time.perf_counter()
        self.progress = Progress(
            stage="tracing",
            lane_steps=0,
            total_lane_steps=sweep.total_lanes * sweep.steps,
            training_seconds=0.0,
            elapsed_seconds=0.0,
            diverged_lanes=0,
        )

    def run(self, directory: str | os.PathLike[str]) -> Results:
        sweep = self.sweep
        check_directory(directory)
        self._update_progress()
        groups = group_configs(
            sweep.space.configs(), sweep.build, sweep.task, sweep.optimizer, sweep.axes
        )
        store = Store(directory)
        origin = provenance()
        store.write_outline(self._outline_data(groups) | origin)
        context = self._build_context()
        for number, group in enumerate(groups):
            self._update_progress(stage=f"compiling {number + 1} of {len(groups)}")
            self._run_group(number, group, context, store, origin)
        return Results(store.directory)

    def _build_context(self) -> RunContext:
        sweep, seeds = self.sweep, np.array(self.sweep.seeds)
        full_chunks, rest = divmod(sweep.steps, sweep.record_every)
        return RunContext(
            task=sweep.task,
            mesh=local_mesh(),
            seeds=seeds,
            chunk_lengths=(sweep.record_every,) * full_chunks + ((rest,) if rest else ()),
        )

    def _run_group(
        self, number: int, group: Group, context: RunContext, store: Store, origin: dict[str, Any]
    ) -> None:
        seeds = np.array(self.sweep.seeds)
        # Seeds outermost: an unfinished sweep has run all configurations equally often.
        pairs = itertools.product(range(len(seeds)), group.members)
        lanes = [Lane(member, seed_index) for seed_index, member in pairs]
        layout = choose_layout(group, len(lanes), context.mesh.size, self.sweep.lanes)
        diagnoses = None
        if self.sweep.measure_start:
            diagnoses = InitialDiagnoses(
                group, context.task, InitialParameters(seeds, group.members)
            )
        group_run = GroupRun(group, layout, context, diagnoses)
        columns = {
            "group": number,
            "lane_width": layout.tile_lanes,
            "compile_seconds": group_run.compile_seconds,
            **origin,
        }
        for block_run in self._train_blocks(group_run, _split_blocks(lanes, layout.block_lanes)):
            block_columns = columns | {"run_seconds": block_run.run_seconds}
            lane_columns = [_start_columns(lane, diagnoses) for lane in block_run.block.lanes]
            records = zip(block_run.records(seeds), lane_columns, strict=True)
            store.write_block([record | found | block_columns for record, found in records])

    def _train_blocks(self, group_run: GroupRun, blocks: Iterable[Block]) -> Iterator[BlockRun]:
        """Train blocks, and yield each one when it is finished."""
        finished = self.progress  # the progress at the end of the previous block
        begin_time = time.perf_counter() - finished.training_seconds
        for block_run, steps in group_run.train(blocks):
            self._update_progress(
                stage="training",
                lane_steps=self.progress.lane_steps + steps * len(block_run.block.lanes),
                training_seconds=time.perf_counter() - begin_time,
                diverged_lanes=finished.diverged_lanes + block_run.diverged_lanes,
            )
            if block_run.is_finished:
                block_run.run_seconds = self.progress.training_seconds - finished.training_seconds
                finished = self.progress
                yield block_run

    def _update_progress(self, **changes: Any) -> None:
        elapsed = time.perf_counter() - self.begin_time
        self.progress = replace(self.progress, elapsed_seconds=elapsed, **changes)
        self.report_progress(self.progress)

    def _outline_data(self, groups: Sequence[Group]) -> dict[str, Any]:
        sweep = self.sweep
        training = (*sweep.axes.traced, *sweep.axes.compiled)
        passed = [name for name in sweep.space.names if name not in training]
        return {
            "task": sweep.task.name,
            "metric": "validation_accuracy" if sweep.task.classes else "validation_loss",
            "classes": sweep.task.classes,
            "chance": sweep.task.chance,
            "validation_examples": len(sweep.task.validation[0]),
            "axes": {
                name: [record_value(value) for value in values] for name, values in sweep.space.axes
            },
            "program_axes": [name for name in passed if name != "init"],
            "seeds": list(sweep.seeds),
            "steps": sweep.steps,
            "record_every": sweep.record_every,
            "optimizer": _function_text(sweep.optimizer),
            "build": _function_text(sweep.build),
            "batch_size": sweep.task.batch_size,
            "lanes": sweep.total_lanes,
            "training_programs": len(groups),
            "unread_contractions": sum(
                group.trial.model.graph.unread_contractions for group in groups
            ),
        }


def _start_columns(lane: Lane, diagnoses: InitialDiagnoses | None) -> dict[str, Any]:
    """Return the columns on a lane before its first step."""
    if diagnoses is None:
        return {"at_initialization": None, "layers": [], **{name: [] for name in LAYER_COLUMNS}}
    found = diagnoses.find(lane)
    return {
        "at_initialization": found.verdict,
        "layers": list(lane.member.model.layer_names),
        **{name: getattr(found.signal, name).tolist() for name in LAYER_COLUMNS},
    }


def _split_blocks(lanes: Sequence[Lane], block_lanes: int) -> Iterator[Block]:
    for number, first in enumerate(range(0, len(lanes), block_lanes)):
        yield Block(number, tuple(lanes[first : first + block_lanes]))


def _function_text(function: Any) -> str:
    """Return the name of a function with its module and, if it is partial, its options."""
    if isinstance(function, partial):
        options = ", ".join(f"{name}={value!r}" for name, value in function.keywords.items())
        return f"{_function_text(function.func)}({options})"
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '?')}:{name}"


def _check_instance(name: str, value: Any, kind: type, example: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {example}, got {type(value).__name__}")
    return value


def _check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if (count := as_integer(seeds)) is not None:
        return tuple(range(check_count("seeds", count)))
    given = list(seeds) if isinstance(seeds, Iterable) else []
    checked = [seed for seed in map(as_integer, given) if seed is not None and 0 <= seed < 2**32]
    if not given or len(set(checked)) != len(given):
        raise ValueError(
            f"seeds: expected a number of seeds, or distinct integers from 0 to 2**32 - 1, "
            f"got {seeds!r}"
        )
    return tuple(checked)
