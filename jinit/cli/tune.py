"""`jinit tune [FILE.toml]`: tune every initialization, and say which is best on fresh seeds."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import (
    INTERRUPTIONS,
    STANDARD_OUTPUT,
    check_folder,
    print_error,
    print_line,
    print_page,
    write_json,
)
from jinit.cli.run_directory import check_new_directory, choose_directory
from jinit.cli.training import train_watched

_MAP_FILE = "heat_map.png"
_SEEDS = 4


@click.command("tune")
@click.argument("file", required=False, metavar="[FILE.toml]", type=click.Path(path_type=Path))
@click.option(
    "--task",
    help="digits, breast_cancer, mnist1d, characters, teacher_student or teacher_student_classes."
    "  [default: digits]",
)
@click.option(
    "--network",
    help="mlp, cnn, transformer or lstm.  [default: mlp, or transformer for characters]",
)
@click.option("--depth", type=click.IntRange(min=1), help="Hidden layers.  [default of mlp: 8]")
@click.option("--width", type=click.IntRange(min=1), help="Units of a layer.  [default of mlp: 64]")
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds of the search.  [default: 4]")
@click.option(
    "--confirm-seeds",
    type=click.IntRange(min=1),
    default=8,
    help="Fresh seeds for the chosen configurations.  [default: 8]",
)
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps.  [default: 300]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="New directory for the results."
)
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def tune_initializations(
    file: Path | None,
    confirm_seeds: int,
    out: Path | None,
    json_file: str | None,
    **overrides: Any,
) -> int:
    """Choose the best rates for every initialization and say which is best on fresh seeds.

    FILE.toml describes a space, as for `jinit sweep`. A search trains all of it, and chooses for
    each initialization the values of lr, l1, l2 and other axes of training with the best mean
    validation loss. The chosen configurations are then trained on seeds that the search has not
    seen, and compared. Without a file, twelve initializations of a deep MLP are tuned on
    scikit-learn's scanned digits, with three learning rates and two values of l2.

    An interrupt (Ctrl-C) keeps all finished lanes and exits with code 130.
    """
    from jinit.cli.compiled_programs import keep_compiled_programs
    from jinit.sweep import Sweep, tune
    from jinit.sweep.settings import TUNED_SPACE, read_settings

    check_folder("--json", json_file)
    if out is not None:
        check_new_directory(out)
    given = {name: value for name, value in overrides.items() if value is not None}
    task, build, space, options, name = read_settings(file, given, TUNED_SPACE)
    options.setdefault("seeds", _SEEDS)
    search = Sweep(task, build, space, **options)
    directory = out or choose_directory(name)
    to_errors = json_file == STANDARD_OUTPUT
    print_line(_plan_text(search, confirm_seeds, directory), to_errors=to_errors)
    with keep_compiled_programs() as programs:
        code = train_watched(
            lambda show: tune(
                task, build, space, directory, confirm_seeds=confirm_seeds, progress=show, **options
            )
        )
    if str(programs):
        print_line(str(programs), to_errors=to_errors)
    return _print_results(directory, code, json_file)


def _plan_text(search: Any, confirm_seeds: int, directory: Path) -> str:
    configurations, seeds = len(search.space), len(search.seeds)
    return (
        f"{search.task.name}: a search of {search.total_lanes} runs ({configurations} "
        f"configurations × {_seeds_text(seeds)}), then the best of each initialization with "
        f"{_seeds_text(confirm_seeds, 'fresh ')}, {search.steps} steps each, into {directory}"
    )


def _seeds_text(count: int, kind: str = "") -> str:
    return f"{count} {kind}{'seed' if count == 1 else 'seeds'}"


def _print_results(directory: Path, code: int, json_file: str | None) -> int:
    if code in INTERRUPTIONS:
        return _explain_interrupt(directory, code)
    from jinit.report import Tuned

    tuned, to_errors = Tuned(directory), json_file == STANDARD_OUTPUT
    print_page(tuned.table(), to_errors=to_errors)
    print_line(tuned.sentence, to_errors=to_errors)
    print_line(_draw_heat_map(tuned, directory / _MAP_FILE), to_errors=to_errors)
    print_line(f"Records: {directory}", to_errors=to_errors)
    if json_file:
        competitors = tuned.frame().to_dict("records")
        write_json(json_file, {"best": tuned.sentence, "competitors": competitors})
    return code


def _draw_heat_map(tuned: Any, file: Path) -> str:
    """Draw the heat map of the search, and return what to say of it."""
    try:
        tuned.heat_map(file)
    except ValueError as error:  # a search without two axes, or with too many rates
        return f"No heat map: {error}"
    return f"Heat map of the search: {file}"


def _explain_interrupt(directory: Path, code: int) -> int:
    """Print what an interrupted command has left to be read."""
    found = [each.parents[1] for each in directory.glob("*/records/00000.parquet")]
    if not found:
        print_error("interrupted before a block of runs was finished")
    for folder in found:
        print_error(f'interrupted; jinit.Results("{folder}") reads the runs that were finished')
    return code
