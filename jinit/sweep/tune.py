"""Initialization, learning rate and penalties tuned together, and confirmed on fresh seeds."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from jinit.record import CONFIRM_FOLDER, SEARCH_FOLDER
from jinit.report import Results, Tuned
from jinit.report.sweep.chosen import chosen_configs
from jinit.report.sweep.records import read_records
from jinit.sweep.axis_values import record_value
from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.data import Data
from jinit.sweep.halving import Halving
from jinit.sweep.progress import Progress
from jinit.sweep.roles import Roles, find_roles, write_roles
from jinit.sweep.space import Space
from jinit.sweep.store import check_directory
from jinit.sweep.study_trials import recorded_config
from jinit.sweep.sweep import Sweep
from jinit.sweep.sweep_options import SweepOptions
from jinit.sweep.trial import Trial


def tune(
    task: Data | None,
    build: Callable[..., Any] | Trial,
    space: Space | Halving,
    directory: str | os.PathLike[str],
    *,
    seeds: int | Sequence[int] = 4,
    confirm_seeds: int | Sequence[int] = 8,
    save: str = "best",
    compare: str | Sequence[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[SweepOptions],
) -> Tuned:
    """Tune every initialization of a space, and compare the tuned ones on fresh seeds.

    A sweep of the space is the search. For each competitor, such as an initialization, it chooses
    the learning rate and the other values of training with the best mean validation loss over the
    seeds. The best of many noisy means is too good, and by more for a competitor with more values
    to choose from. A second sweep therefore trains the chosen configurations on seeds that the
    search has not seen, and only these runs are compared. They use the same validation examples;
    give the task test examples, and competitors are compared by them.

    After `jinit.halving`, the values of a competitor are chosen among those that went furthest.

    Args:
      task: the data to train on, as for `jinit.Sweep`.
      build: `build(config)`, which returns a network, or a `jinit.Trial`, as for `jinit.Sweep`.
      space: the axes and their values, from `jinit.grid`, `jinit.random_search`, `jinit.sobol` or
        `jinit.halving`.
      directory: the output directory; its folders `search` and `confirm` hold the two sweeps.
      seeds: number of seeds of the search, or the seeds themselves.
      confirm_seeds: number of fresh seeds, the integers after the largest of the search, or the
        fresh seeds themselves.
      save: confirmed runs whose trained parameters are saved: the `best` one, `all`, or `none`.
      compare: an axis or several that compete: those of training that do not are tuned, and all
        others are facets, each of which has its own choice. By default the axes of the
        initialization compete, or else the first that varies and is not one of training.
      progress: called with the progress of either sweep, as in `jinit.Sweep.run`.
      **options: other arguments of `jinit.Sweep`, such as `steps` and `optimizer`, for both sweeps.

    Returns:
      The search, the choice, and what the fresh seeds say about it.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument has a value that cannot work, a fresh seed is one of the search,
        or the directory already holds a sweep.

    >>> import jinit, tempfile
    >>> def build(config):
    ...     return jinit.sweep.mlp(30, 2, depth=1, width=4, init=config["init"])
    >>> space = jinit.grid(init=["zeros", "he_normal"], lr=[1e-4, 1e-2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tuned = tune(
    ...         jinit.tasks.breast_cancer(),
    ...         build,
    ...         space,
    ...         folder,
    ...         seeds=1,
    ...         confirm_seeds=2,
    ...         steps=20,
    ...     )
    ...     {config["init"]: config["lr"] for config in tuned.choices}
    {'zeros': 0.01, 'he_normal': 0.01}
    """
    search = Sweep(task, build, space, seeds=seeds, save="none", **options)
    fresh = _fresh_seeds(search.seeds, confirm_seeds)
    # Checked before the search takes its time.
    fresh = Sweep(task, build, space, seeds=fresh, save=save, **options).seeds
    axes = {name: [record_value(each) for each in values] for name, values in search.space.axes}
    roles = find_roles(axes, search.definition.training, compare)
    folders = [Path(directory) / name for name in (SEARCH_FOLDER, CONFIRM_FOLDER)]
    for folder in folders:
        check_directory(folder)
    results = _run(search, folders[0], progress, roles)
    chosen = _choose(results, search.space, furthest_only=isinstance(space, Halving))
    confirm = Sweep(task, build, chosen, seeds=fresh, save=save, **options)
    # Each competitor has one configuration, so nothing is left to be tuned on these runs.
    tuned = Roles((*roles.compare, *roles.tune), ())
    _run(confirm, folders[1], progress, tuned, axes)
    return Tuned(directory)


def _fresh_seeds(used: Sequence[int], fresh: int | Sequence[int]) -> tuple[int, ...]:
    if (count := as_integer(fresh)) is not None:
        first = max(used) + 1
        return tuple(range(first, first + check_count("confirm_seeds", count)))
    if isinstance(fresh, int | str) or not (seeds := tuple(fresh)):
        raise ValueError(
            f"confirm_seeds: expected a number of seeds, or the seeds themselves, got {fresh!r}"
        )
    if both := sorted(set(used).intersection(seeds)):
        raise ValueError(
            f"confirm_seeds: the search trains with seed {both[0]} as well; fresh seeds must be "
            f"others, such as confirm_seeds={len(seeds)} for the next integers"
        )
    return seeds


def _choose(results: Results, space: Space, *, furthest_only: bool) -> Space:
    """Return the space of the configurations that represent the competitors."""
    outline = results.outline
    records = read_records(results.directory, outline).to_pylist()
    chosen = chosen_configs(records, outline, furthest_only=furthest_only)
    keys = {outline.config_key(config) for config in chosen}
    return Space(
        tuple(row for row in space.rows if outline.config_key(recorded_config(dict(row))) in keys)
    )


def _run(
    sweep: Sweep,
    folder: Path,
    progress: Callable[[Progress], None] | None,
    roles: Roles,
    axes: Mapping[str, Sequence[Any]] | None = None,
) -> Results:
    """Run a sweep, and write the roles of its axes, also after an interrupt.

    The values in `axes` are those that were searched: labels name the values chosen among them.
    """
    changes: dict[str, Any] = {}
    if axes is not None:
        changes["axes"] = {name: axes[name] for name in sweep.space.names}
        changes["configs"] = list(map(recorded_config, sweep.space.configs()))
    try:
        return sweep.run(folder, progress)
    finally:
        write_roles(folder, roles, changes)
