"""All that defines a sweep, checked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optax

from jinit.choice import check_choice
from jinit.record import METRIC_PREFIXES, RESERVED_COLUMNS
from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.data import Data
from jinit.sweep.executor import Executor, parse_executor
from jinit.sweep.halving import Halving
from jinit.sweep.optimizers import (
    RATE_AXES,
    OptimizerLike,
    check_numbers,
    check_rates,
    training_axes,
)
from jinit.sweep.params_store import SAVED
from jinit.sweep.rules_axis import RULES_AXIS, check_rules
from jinit.sweep.space import Space
from jinit.sweep.supervised import loss_options, supervised_trial
from jinit.sweep.sweep_metric import check_metric
from jinit.sweep.task import Task
from jinit.sweep.trial import Trial

_DEFAULT_RECORDINGS = 10
_MOST_SEED = 2**32


@dataclass(frozen=True, eq=False)
class SweepDefinition:
    """All that defines a sweep."""

    data: Data | None
    build: Callable[..., Any] | None
    trial: Trial
    space: Space
    halving: Halving | None
    optimizer: OptimizerLike | None
    seeds: tuple[int, ...]
    steps: int
    record_every: int
    rungs: tuple[int, ...]
    """Steps after which configurations may be eliminated; the last one is that of all steps."""
    measure_at: tuple[int, ...]
    steps_per_call: int
    lanes: int | None
    executor: Executor
    data_seed: int | None
    bootstrap: bool
    metric: str | None
    """Column by which runs are compared; None to choose it by what is recorded."""
    maximize: bool | None
    patience: int | None
    checkpoint_minutes: float
    saved: str
    """Runs whose parameters are saved: one of `SAVED`."""
    training: tuple[str, ...]
    """Axes of training, which `build` does not get."""
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]]
    """The arguments of `define_sweep`, from which another process defines the sweep again."""

    def __reduce__(self) -> tuple[Callable[..., "SweepDefinition"], tuple[Any, ...]]:
        return _define_again, self.arguments

    @property
    def total_lane_steps(self) -> int:
        """Steps of all lanes together, if none stops early."""
        configurations, total, done = len(self.space), 0, 0
        for rung, steps in enumerate(self.rungs):
            total += configurations * len(self.seeds) * (steps - done)
            done = steps
            if self.halving is not None:
                configurations = self.halving.remaining(rung)
        return total


def define_sweep(
    data: Data | None,
    build: Callable[..., Any] | Trial,
    space: Space | Halving,
    *,
    optimizer: OptimizerLike | None,
    seeds: int | Sequence[int],
    steps: int,
    record_every: int | None,
    steps_per_call: int | None,
    lanes: int | None,
    executor: str,
    data_seed: int | None,
    bootstrap: bool,
    metric: str | None,
    maximize: bool | None,
    patience: int | None,
    measure_start: bool,
    measure_at: Sequence[int],
    checkpoint_minutes: float,
    save: str,
) -> SweepDefinition:
    """Check the arguments of `jinit.Sweep`, and return the definition.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument has a value that cannot work.
    """
    options = {
        "optimizer": optimizer,
        "seeds": seeds,
        "steps": steps,
        "record_every": record_every,
        "steps_per_call": steps_per_call,
        "lanes": lanes,
        "executor": executor,
        "data_seed": data_seed,
        "bootstrap": bootstrap,
        "metric": metric,
        "maximize": maximize,
        "patience": patience,
        "measure_start": measure_start,
        "measure_at": measure_at,
        "checkpoint_minutes": checkpoint_minutes,
        "save": save,
    }
    arguments = (data, build, space), options
    search = space if isinstance(space, Halving) else None
    if isinstance(space, Halving):
        space = space.space
    _check_instance("space", space, Space, "jinit.grid(init=[...], lr=[...])")
    _check_instance("measure_start", measure_start, bool, "True or False")
    _check_instance("bootstrap", bootstrap, bool, "True or False")
    if bootstrap and (data is None or data.is_stream):
        raise ValueError(
            "bootstrap=True draws from the training examples, and there are none: "
            f"{'the sweep has no data' if data is None else 'the data is a stream'}; give arrays"
        )
    if reserved := sorted(filter(_is_reserved, space.names)):
        raise ValueError(f"axis {reserved[0]!r} is the name of a recorded column; rename it")
    if isinstance(build, Trial):
        trial, training = _check_trial(data, build, optimizer), space.names
    else:
        optimizer = _check_optimizer(optimizer, space)
        trial, training = _supervise(data, build, space, optimizer, measure_start)
    steps = check_count("steps", steps)
    interval = -(-steps // _DEFAULT_RECORDINGS) if record_every is None else record_every
    interval = check_count("record_every", interval)
    check_metric(metric, maximize)
    return SweepDefinition(
        data=data,
        build=build.step if isinstance(build, Trial) else build,
        trial=trial,
        space=space,
        halving=search,
        optimizer=optimizer,
        seeds=_check_seeds(seeds),
        steps=steps,
        record_every=interval,
        measure_at=_check_measured(measure_at, steps, interval, trial),
        rungs=(steps,) if search is None else search.steps(steps, interval),
        steps_per_call=check_count(
            "steps_per_call", steps if steps_per_call is None else steps_per_call
        ),
        lanes=None if lanes is None else check_count("lanes", lanes),
        executor=parse_executor(executor),
        data_seed=None if data_seed is None else _check_seed("data_seed", data_seed),
        bootstrap=bootstrap,
        metric=metric,
        maximize=maximize,
        patience=None if patience is None else check_count("patience", patience),
        checkpoint_minutes=_check_minutes(checkpoint_minutes),
        saved=check_choice("save", save, SAVED),
        training=tuple(training),
        arguments=arguments,
    )


def _define_again(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> SweepDefinition:
    return define_sweep(*arguments, **options)


def _check_minutes(minutes: float) -> float:
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not is_number or not minutes > 0:  # NaN is not
        raise ValueError(f"checkpoint_minutes={minutes!r}: expected a number above 0, such as 10")
    return float(minutes)


def _check_trial(data: Data | None, trial: Trial, optimizer: OptimizerLike | None) -> Trial:
    if data is not None:
        _check_instance("task", data, Data, "jinit.Data(name, train, ...), a jinit.Task or None")
    if optimizer is not None:
        raise ValueError(
            "optimizer: a Trial has its own; build it in its functions init and step, from hyper"
        )
    return trial


def _supervise(
    data: Data | None,
    build: Callable[..., Any],
    space: Space,
    optimizer: OptimizerLike,
    measure_start: bool,
) -> tuple[Trial, tuple[str, ...]]:
    """Return the trial of a supervised task, and its axes of training."""
    task = _check_instance("task", data, Task, "jinit.tasks.digits() or a jinit.Task")
    if hasattr(build, "init") and hasattr(build, "apply"):
        name = getattr(build, "__name__", type(build).__name__)
        raise TypeError(
            f"build: {name} is a Linen module or class; expected a function of a config that "
            f"returns one, such as lambda config: {name}(kernel_init=config['init'])"
        )
    if not callable(build):
        raise TypeError(
            f"build: expected a function of a config that returns a network, or a jinit.Trial, "
            f"got {build!r}"
        )
    axes = training_axes(space, optimizer, loss_options(task, space.names))
    for axis, values in space.axes:
        if axis in RATE_AXES:
            check_rates(axis, values)
        if axis in axes.traced:
            check_numbers(axis, values)
        if axis == RULES_AXIS:
            check_rules(values)
    trial = task.trials.find(
        # The trial keeps both, so that their identities stay their own.
        (id(build), id(optimizer), axes, space.names, measure_start),
        lambda: supervised_trial(
            task, build, optimizer, axes, space.names, measure_start=measure_start
        ),
    )
    return trial, (*axes.traced, *axes.compiled)


def _check_optimizer(optimizer: OptimizerLike | None, space: Space) -> OptimizerLike:
    if optimizer is not None and "optimizer" in space.names:
        raise ValueError(
            "the optimizer is given twice, as an axis of the space and as optimizer=...: leave "
            "one of them out"
        )
    return optax.adam if optimizer is None else optimizer


def _check_instance(name: str, value: Any, kind: type, example: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {example}, got {type(value).__name__}")
    return value


def _is_reserved(axis: str) -> bool:
    return axis in RESERVED_COLUMNS or axis.startswith(METRIC_PREFIXES)


def _check_seed(option: str, seed: object) -> int:
    checked = as_integer(seed)
    if checked is None or not 0 <= checked < _MOST_SEED:
        raise ValueError(f"{option}: expected an integer from 0 to 2**32 - 1, got {seed!r}")
    return checked


def _check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if (count := as_integer(seeds)) is not None:
        return tuple(range(check_count("seeds", count)))
    given = list(seeds) if isinstance(seeds, Iterable) else []
    checked = [seed for seed in map(as_integer, given) if seed is not None]
    checked = [seed for seed in checked if 0 <= seed < _MOST_SEED]
    if not given or len(set(checked)) != len(given):
        raise ValueError(
            f"seeds: expected a number of seeds, or distinct integers from 0 to 2**32 - 1, "
            f"got {seeds!r}"
        )
    return tuple(checked)


def _check_measured(
    given: Sequence[int], steps: int, interval: int, trial: Trial
) -> tuple[int, ...]:
    """Return the steps at which layers are measured, in order."""
    found = list(given) if isinstance(given, Iterable) else [None]
    measured = [step for step in map(as_integer, found) if step is not None]
    ends = [step for step in measured if step in (*range(interval, steps, interval), steps)]
    if isinstance(given, str) or len(ends) < len(found):
        raise ValueError(
            f"measure_at: expected steps at which the sweep records, multiples of {interval} "
            f"(record_every) up to {steps}, got {given!r}; step 0 is measured by measure_start"
        )
    if ends and trial.measure is None:
        raise ValueError(
            "measure_at: the trial has no function `measure`: give it to jinit.Trial, or leave out "
            "measure_start=False, without which the layers of a network have no names"
        )
    return tuple(sorted(set(ends)))
