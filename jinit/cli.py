"""The command line: `jinit sweep` runs the main job; the only place that prints."""

import argparse
import io
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 interrupted.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    jinit ...
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack ★ or ±
            stream.reconfigure(errors="replace")
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return options.run(options)
    except (ValueError, TypeError, ImportError) as error:
        if not _raised_by_jinit(error):  # in the user's own model: where it happened matters
            traceback.print_exc()
        print(f"jinit: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("jinit: interrupted", file=sys.stderr)
        return INTERRUPTED


def _raised_by_jinit(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith("jinit")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jinit", description="From which weights should this network start?"
    )
    parser.add_argument("--version", action="version", version=f"jinit {metadata.version('jinit')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sweep = commands.add_parser(
        "sweep",
        help="train seeds × starts as lanes of one program and say which start to use",
        description="Train many seeds × initializations on real data, as lanes of one compiled "
        "program, and say which start vanished, which exploded and which learned best. Without "
        "arguments: digits, depth-8 MLPs, 12 starts × relu, tanh, sigmoid × 8 seeds.",
    )
    sweep.set_defaults(run=_sweep)
    sweep.add_argument("file", nargs="?", type=Path, metavar="FILE.toml", help="your own space")
    sweep.add_argument("--task", help="digits or breast_cancer (default: digits)")
    sweep.add_argument("--depth", type=int, help="hidden layers (default: 8)")
    sweep.add_argument("--width", type=int, help="units of a hidden layer (default: 64)")
    sweep.add_argument("--seeds", type=int, help="replicates of every configuration (default: 8)")
    sweep.add_argument("--steps", type=int, help="optimizer steps (default: 300)")
    sweep.add_argument("--lr", type=float, help="learning rate (default: 0.001)")
    sweep.add_argument("--out", type=Path, metavar="DIR", help="directory to write results to")
    return parser


def _sweep(options: argparse.Namespace) -> int:
    from jinit.sweep import use_all_cores
    from jinit.sweep.settings import from_options

    overrides = {
        name: value
        for name in ("task", "depth", "width", "seeds", "steps", "lr")
        if (value := getattr(options, name)) is not None
    }
    use_all_cores()
    sweep, name = from_options(options.file, overrides)
    directory = options.out or _fresh_directory(name)
    _say(
        f"{sweep.task.name}: {sweep.total_lanes} lanes "
        f"({len(sweep.space.configs())} configurations × {len(sweep.seeds)} seeds), "
        f"{sweep.steps} steps each, into {directory}"
    )
    code = DONE
    try:
        with _Display() as display:
            sweep.run(directory, display)
    except KeyboardInterrupt:
        code = INTERRUPTED
    return _show(directory, code)


def _show(directory: Path, code: int) -> int:
    from rich.console import Console

    from jinit.report import Results

    if code == INTERRUPTED and not any((directory / "records").glob("*.parquet")):
        print("jinit: interrupted before a block of lanes was finished", file=sys.stderr)
        return code
    results = Results(directory)
    console = Console()
    console.print(results.table())
    for recommendation in results.best():
        console.print(recommendation.sentence, markup=False, highlight=False)
    console.print(f"Figure: {results.plot()}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Records: {directory}", markup=False, highlight=False, soft_wrap=True)
    if code == INTERRUPTED:
        print(
            f"jinit: interrupted; {len(results.frame())} of {results.outline.lanes} lanes "
            f"were finished and are saved in {directory}",
            file=sys.stderr,
        )
    return code


def _fresh_directory(name: str) -> Path:
    """`runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that is free."""
    base = Path("runs") / name
    candidates = (base if n == 1 else base.with_name(f"{name}-{n}") for n in range(1, 10**6))
    return next(path for path in candidates if not path.exists())


def _say(text: str) -> None:
    print(text, flush=True)


class _Display:
    """Progress as one live line on a terminal, as plain lines every few seconds elsewhere."""

    _SECONDS_BETWEEN_LINES = 5.0

    def __init__(self) -> None:
        from rich.console import Console

        from jinit.report import progress_line

        self._line: Callable[[Any], str] = progress_line
        self._console = Console(stderr=True)
        self._live: Any = None
        self._printed = -self._SECONDS_BETWEEN_LINES
        self._last: Any = None

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._last is not None:
            print(self._line(self._last), file=sys.stderr, flush=True)

    def __call__(self, progress: Any) -> None:
        self._last = progress
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(self._line(progress)), refresh=True)
        elif progress.elapsed - self._printed >= self._SECONDS_BETWEEN_LINES:
            self._printed = progress.elapsed
            print(self._line(progress), file=sys.stderr, flush=True)
