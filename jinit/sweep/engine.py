"""Run a sweep: one compiled training program per architecture, lane blocks of one fixed width."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optax

from jinit.diagnostics import Signal
from jinit.report import Results
from jinit.sweep.block import Block, Flight
from jinit.sweep.draws import Draws
from jinit.sweep.group import GroupRun
from jinit.sweep.lanes import local_mesh
from jinit.sweep.layout import layout
from jinit.sweep.order import Order
from jinit.sweep.plan import Group, Member, Optimizer, plan, traced_axes
from jinit.sweep.space import Space, label
from jinit.sweep.store import PACKAGES, Store, provenance
from jinit.sweep.tasks import Task

_RECORDS = 10
_RESERVED = (
    *("seed", "verdict", "diverged_at", "train_loss", "validation_loss", "validation_accuracy"),
    *("train_loss_curve", "validation_loss_curve", "validation_accuracy_curve"),
    *("step", "layers", "group", "block", "compile_seconds", "run_seconds", "steps", "task"),
    *("lane_width", "python_version", "device", "devices", "git_revision", "started_at"),
    *(f"{package}_version" for package in PACKAGES),
    *Signal._fields,
)


@dataclass(frozen=True)
class Progress:
    """How far a sweep is."""

    stage: str
    done: int
    """Lane-steps done."""
    total: int
    """Lane-steps in all."""
    seconds: float
    """Spent training them."""
    elapsed: float
    """Seconds since the sweep began, tracing and compiling included."""
    diverged: int
    """Lanes that diverged so far."""


class Sweep:
    """Train every configuration of a space with every seed, as lanes of few compiled programs.

    Configurations whose networks trace to the same computation share one training program:
    initializers only draw initial parameters, numbers (lr, gain, weight decay, l1, l2) are traced.
    The same seed means the same key, `jax.random.key(seed)`, and the same order of the data for
    every configuration, so configurations can be compared in pairs. A lane that turns NaN or Inf
    is recorded with its step and touches no other.

    Args:
      task: arrays to learn from.
      build: `build(config)` returns a Linen module or a pair `(init, apply)` of pure functions;
        `build(config, rngs)` returns an NNX module. `config` holds the axes that are not traced.
      space: what varies, from `jinit.grid`.
      optimizer: function of the learning rate (and of options that are axes), or a built one.
      seeds: how many replicates, or which.
      steps: optimizer steps. record_every: steps between records (a tenth of them by default).
      lanes: lanes per block over all devices; results depend on it in the last bit.

    Raises:
      ValueError, TypeError: an option that cannot work, naming the remedy.

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
        optimizer: Optimizer = optax.adam,
        seeds: int | Sequence[int] = 8,
        steps: int = 500,
        record_every: int | None = None,
        lanes: int | None = None,
    ) -> None:
        self.task = _instance("task", task, Task, "jinit.tasks.digits() or a jinit.Task")
        self.space = _instance("space", space, Space, "jinit.grid(init=[...], lr=[...])")
        if not callable(build):
            raise TypeError(
                f"build: expected a function of a config that returns a network, got {build!r}"
            )
        if clash := sorted(set(space.names) & set(_RESERVED)):
            raise ValueError(f"axis {clash[0]!r} is the name of a recorded column; rename it")
        self.build = build
        self.optimizer = optimizer
        self.seeds = _seeds(seeds)
        self.steps = _positive("steps", steps)
        self.record_every = _positive(
            "record_every", -(-steps // _RECORDS) if record_every is None else record_every
        )
        self.lanes = None if lanes is None else _positive("lanes", lanes)
        self.traced = traced_axes(space.names, optimizer)

    @property
    def total_lanes(self) -> int:
        """Configurations times seeds."""
        return len(self.space.configs()) * len(self.seeds)

    def run(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None = None,
    ) -> Results:
        """Train everything and record it in `directory`; `progress` is called now and then.

        Blocks of lanes are written as they finish: interrupted, a sweep keeps what was finished.

        Raises:
          ValueError: `directory` cannot be written or holds a sweep, or `build` is at fault.
        """
        return _Run(self, progress or (lambda _: None)).run(directory)


class _Run:
    """One run of a sweep."""

    def __init__(self, sweep: Sweep, progress: Callable[[Progress], None]) -> None:
        self.sweep, self.progress = sweep, progress
        self.began = time.perf_counter()
        self.training_seconds = 0.0
        self.done = self.diverged = 0
        self.total = sweep.total_lanes * sweep.steps

    def run(self, directory: str | os.PathLike[str]) -> Results:
        sweep = self.sweep
        self._report("tracing")
        groups = plan(sweep.space.configs(), sweep.build, sweep.task, sweep.optimizer, sweep.traced)
        store = Store(directory)
        origin = provenance()
        mesh, seeds = local_mesh(), np.array(sweep.seeds)
        draws = Draws(seeds)
        order = Order(seeds, len(sweep.task.train[0]), sweep.task.batch_size)
        store.write_manifest(self._manifest(groups) | origin)
        for number, group in enumerate(groups):
            lanes = list(itertools.product(group.members, range(len(seeds))))
            form = layout(group, len(lanes), mesh.size, sweep.lanes)
            self._report(f"compiling {number + 1} of {len(groups)}")
            run = GroupRun(group, sweep.task, mesh, order, draws, form, self._chunks())
            columns = {
                "group": number,
                "lane_width": form.tile,
                "compile_seconds": run.compile_seconds,
                **origin,
            }
            for flight, seconds in self._train(run, _blocks(lanes, form.width)):
                rows = flight.records(group, seeds)
                store.write_block([row | columns | {"run_seconds": seconds} for row in rows])
        return Results(store.directory)

    def _train(self, run: GroupRun, blocks: Iterable[Block]) -> Iterator[tuple[Flight, float]]:
        """Blocks as they finish, and the seconds since the one before did."""
        before, trained = self.diverged, self.training_seconds
        began = time.perf_counter() - trained
        for flight, steps in run.train(blocks):
            self.done += steps * len(flight.block.lanes)
            self.diverged = before + flight.diverged
            self.training_seconds = time.perf_counter() - began
            self._report("training")
            if flight.finished:
                yield flight, self.training_seconds - trained
                before, trained = self.diverged, self.training_seconds

    def _chunks(self) -> tuple[int, ...]:
        whole, rest = divmod(self.sweep.steps, self.sweep.record_every)
        return (self.sweep.record_every,) * whole + ((rest,) if rest else ())

    def _manifest(self, groups: Sequence[Group]) -> dict[str, Any]:
        sweep = self.sweep
        return {
            "task": sweep.task.name,
            "metric": "validation_accuracy" if sweep.task.classes else "validation_loss",
            "classes": sweep.task.classes,
            "chance": sweep.task.chance,
            "axes": {name: [label(value) for value in values] for name, values in sweep.space.axes},
            "program_axes": [
                name for name in sweep.space.names if name not in (*sweep.traced, "init")
            ],
            "seeds": list(sweep.seeds),
            "steps": sweep.steps,
            "record_every": sweep.record_every,
            "optimizer": _describe(sweep.optimizer),
            "build": _describe(sweep.build),
            "batch_size": sweep.task.batch_size,
            "lanes": sweep.total_lanes,
            "training_programs": len(groups),
            "unread_contractions": sum(group.trial.model.graph.unread for group in groups),
        }

    def _report(self, stage: str) -> None:
        self.progress(
            Progress(
                stage,
                self.done,
                self.total,
                self.training_seconds,
                time.perf_counter() - self.began,
                self.diverged,
            )
        )


def _blocks(lanes: Sequence[tuple[Member, int]], width: int) -> Iterator[Block]:
    for number, start in enumerate(range(0, len(lanes), width)):
        yield Block(number, tuple(lanes[start : start + width]))


def _describe(function: Any) -> str:
    """A function by its name and, if it is partial, the options it was given."""
    if isinstance(function, partial):
        options = ", ".join(f"{name}={value!r}" for name, value in function.keywords.items())
        return f"{_describe(function.func)}({options})"
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '?')}:{name}"


def _instance(name: str, value: Any, kind: type, example: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {example}, got {type(value).__name__}")
    return value


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
    return value


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int):
        return tuple(range(_positive("seeds", seeds)))
    found = tuple(seeds) if isinstance(seeds, Iterable) else ()
    if (
        not found
        or len(set(found)) != len(found)
        or any(not isinstance(seed, int) or not 0 <= seed < 2**32 for seed in found)
    ):
        raise ValueError(
            f"seeds: expected a number of seeds, or distinct integers from 0 to 2**32 - 1, "
            f"got {seeds!r}"
        )
    return found
