"""Searches by Optuna: each batch of trials is trained as lanes of one program."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from jinit.report import Results, explain_missing_extra
from jinit.report.sweep.metric import known_direction
from jinit.sweep.counts import check_count
from jinit.sweep.data import Data
from jinit.sweep.progress import Progress
from jinit.sweep.study_scores import Score, read_scores
from jinit.sweep.study_trials import (
    StudyAxes,
    Suggestion,
    distinct_configs,
    recorded_config,
)
from jinit.sweep.sweep import Sweep
from jinit.sweep.sweep_options import TrainingOptions
from jinit.sweep.task import Task
from jinit.sweep.trial import Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as StudyTrial

Constraints = Callable[[Mapping[str, float | None]], Mapping[str, float]]
"""Numbers by name that are at most 0 if a trial is feasible, from its mean metrics by column."""


def run_study(
    study: "Study",
    task: Data | None,
    build: Callable[..., Any] | Trial,
    axes: StudyAxes,
    directory: str | os.PathLike[str],
    *,
    trials: int,
    batch: int = 16,
    seeds: int | Sequence[int] = 4,
    metric: str | None = None,
    measure_start: bool = False,
    save: str = "none",
    constraints: Constraints | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[TrainingOptions],
) -> tuple[Results, ...]:
    """Search with an Optuna study, whose trials are trained in batches as lanes of one program.

    The study is asked for a batch of configurations before it is told their values. A sampler that
    knows which trials are running spreads a batch, as `TPESampler(constant_liar=True)` does. The
    value of a trial is the mean over seeds of the metric. A run that diverged counts as the worst
    of all values known, or that of a guess, since a sampler ignores NaN and would ask for the same
    values again. All runs of a batch are trained to their end: the recordings of the metric are
    reported to the study, but its pruner stops nothing.

    A trial has the user attributes `diverged`, `diverged_seeds`, `by_seed` with the metric of every
    seed, `metrics` with the means of all columns, and `directory`. Equal configurations in a batch
    are trained once. A study that is resumed goes on in the next free folder.

    Args:
      study: the study, of one objective. It says whether more of the metric is better.
      task: the data to train on, as for `jinit.Sweep`.
      build: `build(config)`, which returns a network, or a `jinit.Trial`, as for `jinit.Sweep`.
      axes: `jinit.between(low, high)` or a list of values by axis, where initializers are chosen by
        name; or a function of an Optuna trial that returns a value by axis, for conditional axes.
      directory: the output directory; its folders `batch_000`, `batch_001`, ... hold one
        sweep each.
      trials: number of trials to add to the study.
      batch: trials that are trained at once.
      seeds: number of seeds, or the seeds themselves.
      metric: column that the study optimizes; by default `validation_loss` of a study that
        minimizes, and `validation_accuracy` of one that maximizes.
      measure_start: whether each distinct initialization is measured before the first step.
      save: runs of every batch whose trained parameters are saved: the `best` one, `all`, or
        `none`.
      constraints: `constraints(metrics)` returns numbers by name that are at most 0 if the trial is
        feasible, from its means over seeds by column; None stands for one that is not finite.
      progress: called with the progress of each batch, as in `jinit.Sweep.run`.
      **options: other arguments of `jinit.Sweep`, such as `steps` and `optimizer`.

    Returns:
      The results of every batch.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if the study has several objectives or another direction than the metric, or an
        argument has a value that cannot work.
      MissingExtraError: if optuna is not installed.

    Reference:
      T. Akiba et al., Optuna: a next-generation hyperparameter optimization framework, KDD 2019.

    >>> import jinit, optuna, tempfile
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> def build(config):
    ...     return jinit.sweep.mlp(30, 2, depth=1, width=4, init=config["init"])
    >>> axes = {"init": ["zeros", "he_normal"], "lr": jinit.between(1e-4, 1e-1, log=True)}
    >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = run_study(
    ...         study, jinit.tasks.breast_cancer(), build, axes, folder,
    ...         trials=4, batch=4, seeds=2, steps=20,
    ...     )  # fmt: skip
    >>> len(found), len(study.trials), study.best_value < 0.7
    (1, 4, True)
    """
    chosen = _metric_options(study, task, metric)
    chosen |= {"seeds": seeds, "measure_start": measure_start, "save": save}
    _failed_state()  # without optuna, say so before anything is trained
    trials, batch = check_count("trials", trials), check_count("batch", batch)
    suggest = axes if callable(axes) else Suggestion(axes)
    found = []
    for first in range(0, trials, batch):
        with _asked(study, min(batch, trials - first)) as asked:
            space, places = distinct_configs([suggest(trial) for trial in asked])
            sweep = Sweep(task, build, space, **chosen, **options)
            results = sweep.run(_next_folder(Path(directory)), progress)
            _check_metric(study, results)
            configs = [recorded_config(config) for config in space.configs()]
            scores = read_scores(results, configs, _known_values(study))
            for trial, place in zip(asked, places, strict=True):
                _tell(study, trial, scores[place], results, constraints)
        found.append(results)
    return tuple(found)


@contextmanager
def _asked(study: "Study", count: int) -> Iterator[list["StudyTrial"]]:
    """Ask for trials; those that are not told their values, because of an error, have failed."""
    asked: list[StudyTrial] = []
    try:
        asked += [study.ask() for _ in range(count)]
        yield asked
    except BaseException:
        for trial in asked:
            study.tell(trial, state=_failed_state(), skip_if_finished=True)
        raise


def _failed_state() -> Any:
    with explain_missing_extra("A study", extra="search"):
        import optuna
    return optuna.trial.TrialState.FAIL


def _maximizes(study: "Study") -> bool:
    if len(study.directions) != 1:
        raise ValueError(
            f"study: expected one objective, got {len(study.directions)}: the value of a trial is "
            "the mean of one metric; give the others as constraints"
        )
    return study.direction.name == "MAXIMIZE"


def _metric_options(study: "Study", task: Data | None, metric: str | None) -> dict[str, Any]:
    """Return the metric and its direction, as the study says; a Trial chooses its metric later."""
    maximize = _maximizes(study)
    if metric is None and isinstance(task, Task):
        metric = "validation_accuracy" if maximize else "validation_loss"
    if metric is not None:
        _check_direction(maximize, metric)
    return {"metric": metric, "maximize": maximize}


def _check_metric(study: "Study", results: Results) -> None:
    """Raise if the metric that a sweep chose by itself has another direction than the study."""
    _check_direction(_maximizes(study), results.outline.metric.name)


def _check_direction(maximize: bool, metric: str) -> None:
    if known_direction(metric) in (maximize, None):
        return
    is_better, direction = ("minimize", "maximize") if maximize else ("maximize", "minimize")
    raise ValueError(
        f"the study is to {direction} {metric}, of which {'less' if maximize else 'more'} is "
        f"better: create_study(direction={is_better!r}), or give another metric"
    )


def _next_folder(directory: Path) -> Path:
    taken = [path.name for path in directory.glob("batch_*")]
    number = max((int(name.removeprefix("batch_")) for name in taken), default=-1) + 1
    return directory / f"batch_{number:03d}"


def _known_values(study: "Study") -> list[float]:
    """Return the values of the metric, by seed, of all trials that have been told."""
    trials = study.get_trials(deepcopy=False)
    found = [value for trial in trials for value in trial.user_attrs.get("by_seed", {}).values()]
    return [*filter(lambda value: value is not None, found)]


def _tell(
    study: "Study",
    trial: "StudyTrial",
    score: Score,
    results: Results,
    constraints: Constraints | None,
) -> None:
    diverged = [seed for seed, value in score.by_seed.items() if value is None]
    trial.set_user_attr("diverged", bool(diverged))
    trial.set_user_attr("diverged_seeds", diverged)
    trial.set_user_attr("by_seed", {str(seed): value for seed, value in score.by_seed.items()})
    trial.set_user_attr("metrics", score.metrics)
    trial.set_user_attr("directory", str(results.directory))
    for step, value in score.curve.items():
        trial.report(value, step)
    for name, value in (constraints(score.metrics) if constraints else {}).items():
        trial.set_constraint(name, value)
    if math.isfinite(score.value):
        study.tell(trial, score.value)
    else:  # nothing finite is known, not even of a guess
        study.tell(trial, state=_failed_state())
