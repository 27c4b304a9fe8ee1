"""`jinit sweep [FILE.toml]`: train many seeds and initializations, and say which learned best."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jinit.cli.output import (
    DONE,
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

_FIGURE_FILE = "sweep.png"


@click.command("sweep")
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
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds per configuration.  [default: 8]")
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps.  [default: 300]")
@click.option(
    "--lr", type=click.FloatRange(min=0, min_open=True), help="Learning rate.  [default: 0.001]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="New directory for the results."
)
@click.option("--dry-run", is_flag=True, help="Say what it will cost, and run nothing.")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def run_sweep(
    file: Path | None, out: Path | None, dry_run: bool, json_file: str | None, **overrides: Any
) -> int:
    """Train seeds × initializations as lanes of one program and say which learned best.

    FILE.toml describes a space of your own. Without it, twelve initializations of deep MLPs with
    relu, tanh and sigmoid are compared on scikit-learn's scanned digits, with eight seeds each.

    An interrupt (Ctrl-C) or SIGTERM keeps all finished lanes and exits with code 130 or 143.
    `jinit resume DIR` goes on.
    """
    from jinit.sweep.saved_settings import save_settings
    from jinit.sweep.settings import build_sweep

    check_folder("--json", json_file)
    if out is not None and not dry_run:
        check_new_directory(out)
    given = {name: value for name, value in overrides.items() if value is not None}
    sweep, name = build_sweep(file, given)
    if dry_run:
        print_line(str(sweep.estimate()))
        return DONE
    directory = out or choose_directory(name)
    to_errors = json_file == STANDARD_OUTPUT
    print_line(_plan_text(sweep, directory), to_errors=to_errors)
    save_settings(directory, file, given)
    code = train_sweep(lambda show: sweep.run(directory, show), to_errors=to_errors)
    return print_results(directory, code, json_file)


def train_sweep(train: Callable[[Callable[[Any], None]], object], *, to_errors: bool) -> int:
    """Train a sweep, keep its compiled programs, and return the exit code.

    Args:
      train: `train(progress)`.
      to_errors: whether lines go to standard error.
    """
    from jinit.cli.compiled_programs import keep_compiled_programs

    with keep_compiled_programs() as programs:
        code = train_watched(train)
    if str(programs):
        print_line(str(programs), to_errors=to_errors)
    return code


def _plan_text(sweep: Any, directory: Path) -> str:
    configurations, seeds = len(sweep.space), len(sweep.seeds)
    return (
        f"{sweep.task.name}: {sweep.total_lanes} runs ({configurations} configurations × {seeds} "
        f"seeds), {sweep.steps} steps each, into {directory}"
    )


def print_results(directory: Path, code: int, json_file: str | None) -> int:
    """Print what a sweep has found, and return the exit code.

    Args:
      directory: the directory of the sweep.
      code: the exit code of the training.
      json_file: the file for plain data; None for none.
    """
    from jinit.report import Results

    go_on = f"go on with: jinit resume {directory}"
    if code in INTERRUPTIONS and not any((directory / "records").glob("*.parquet")):
        print_error(f"interrupted before a block of runs was finished; {go_on}")
        return code
    results, to_errors = Results(directory), json_file == STANDARD_OUTPUT
    print_page(results.table(), to_errors=to_errors)
    recommendations = results.best()
    for recommendation in recommendations:
        print_line(recommendation.sentence, to_errors=to_errors)
    results.plot(directory / _FIGURE_FILE)
    print_line(f"Figure: {directory / _FIGURE_FILE}", to_errors=to_errors)
    print_line(f"Records: {directory}", to_errors=to_errors)
    frame = results.frame()
    if json_file:
        sentences = [recommendation.sentence for recommendation in recommendations]
        write_json(json_file, {"best": sentences, "records": frame.to_dict("records")})
    if code in INTERRUPTIONS:
        print_error(
            f"interrupted; {len(frame)} of {results.outline.total_lanes} runs were finished and "
            f"are saved in {directory}; {go_on}"
        )
    return code
