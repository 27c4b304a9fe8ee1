"""The command line: `jinit sweep`, `diagnose`, `list` and `show`; the only place that prints."""

import argparse
import contextlib
import io
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

DONE, ILL, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done, 1 a diagnosis found something wrong, 2 bad input or a crash, 130 interrupted.

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
    except Exception as error:  # noqa: BLE001 - a crash must not look like an ill network
        traceback.print_exc()
        print(f"jinit: {type(error).__name__}: {error}", file=sys.stderr)
        return BAD_INPUT


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
    _add_diagnose(commands)
    listing = commands.add_parser(
        "list", help="print the catalogue of initializers by family, with variance and paper"
    )
    listing.set_defaults(run=_list)
    show = commands.add_parser(
        "show",
        help="describe one initializer, and draw it beside its exact density",
        description="Describe one initializer: its formula, the fans of a shape, its standard "
        "deviation there, and a histogram of one draw beside the exact density.",
    )
    show.set_defaults(run=_show_initializer)
    show.add_argument("name", help="a name of the catalogue, such as he_normal")
    show.add_argument(
        "--shape", type=int, nargs="+", default=[256, 256], metavar="N", help="default: 256 256"
    )
    show.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="such as stddev=0.02"
    )
    show.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    return parser


def _add_diagnose(commands: Any) -> None:
    diagnose = commands.add_parser(
        "diagnose",
        help="say whether a network of yours will train, and if not, where, why and what to write",
        description="Run a network once forward and backward, compare every layer with theory, and "
        "say what is wrong, where, why and what to write instead. Exit code 1 if anything is.",
    )
    diagnose.set_defaults(run=_diagnose)
    diagnose.add_argument(
        "target",
        metavar="MODULE:FUNCTION",
        help="a function that returns (model, params, *batch), a dictionary of the arguments of "
        "jinit.diagnose, or a model alone; such as train:start for start() of train.py",
    )
    diagnose.add_argument("--seeds", type=int, help="measure so many starts at once")
    diagnose.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    diagnose.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it as well")
    diagnose.add_argument(
        "--json", type=Path, metavar="FILE", help="write it as plain data as well"
    )


def _diagnose(options: argparse.Namespace) -> int:
    import json

    from rich.console import Console

    for path in filter(None, (options.plot, options.json)):
        if not path.absolute().parent.is_dir():
            raise ValueError(f"diagnose: {path}: there is no directory {path.parent}")
    found = _diagnosed(_called(options.target), options)
    Console().print(found.table(), highlight=False)
    if options.plot:
        found.plot(options.plot)
        _say(f"Figure: {options.plot}")
    if options.json:
        options.json.write_text(json.dumps(found.to_dict(), indent=1))
        _say(f"Data: {options.json}")
    return DONE if found.healthy else ILL


def _called(target: str) -> Any:
    """What the function of a module returns; modules of the working directory come first."""
    import importlib

    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ValueError(f"diagnose: expected MODULE:FUNCTION, such as train:start, got {target!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0] and error.name != module_name:
            raise
        raise ValueError(
            f"diagnose: there is no module {module_name!r} here or among the installed ones; give "
            "it as in an import: train:start for start() of train.py in this directory"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [
            each
            for each, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module_name
        ]
        raise ValueError(
            f"diagnose: {module_name} has no function {name!r}; it has {', '.join(known) or 'none'}"
        )
    return function()


def _diagnosed(given: Any, options: argparse.Namespace) -> Any:
    import jax

    from jinit.diagnostics import Diagnosis, diagnose
    from jinit.model import Model
    from jinit.rules import init

    key = jax.random.key(options.seed)
    if isinstance(given, Diagnosis):
        if options.seeds is not None:
            raise ValueError("diagnose: --seeds needs the model; the function returned a Diagnosis")
        return given
    batch: Sequence[Any] = ()
    arguments: dict[str, Any] = {"key": key, "seeds": options.seeds}
    if isinstance(given, Model):
        model, params = given, None
    elif isinstance(given, dict):
        rest: dict[str, Any] = {"params": None, "batch": ()} | given
        model, params, batch = (rest.pop(name, None) for name in ("model", "params", "batch"))
        arguments |= rest
    elif isinstance(given, tuple) and len(given) > 1:
        model, params, *batch = given
    else:
        raise TypeError(
            "diagnose: the function must return (model, params, *batch), a dictionary of the "
            f"arguments of jinit.diagnose, or a model, but it returned {type(given).__name__}"
        )
    if options.seeds is not None and not (params is None or callable(params)):
        raise ValueError(
            "diagnose: --seeds measures many starts, but the function returned parameters, which "
            "are one; give a function key -> params in their place, or the model alone"
        )
    if params is None and options.seeds is None:
        params = init(model, key)
    return diagnose(model, params, *batch, **arguments)


def _list(options: argparse.Namespace) -> int:
    del options
    from rich.console import Console

    from jinit.initializers import CATALOG
    from jinit.initializers.catalog import ADAPTERS
    from jinit.report.catalogue import catalogue_table, described

    entries = [_described(entry, entry.example, _rule(entry)) for entry in CATALOG]
    adapters = [described(each.__name__, "adapter", "", each.__doc__ or "") for each in ADAPTERS]
    Console().print(catalogue_table(entries + adapters))
    return DONE


def _rule(entry: Any) -> str:
    """The variance of an entry, in its options' names where these have to be given."""
    import inspect

    parameters = inspect.signature(entry.build).parameters.values()
    needs_options = any(parameter.default is parameter.empty for parameter in parameters)
    return entry.example.spread if needs_options else entry.example.variance_rule()


def _show_initializer(options: argparse.Namespace) -> int:
    import jax
    import numpy as np
    from rich.console import Console

    from jinit.report.catalogue import entry_page

    entry, initializer = _chosen(options.name, options.set)
    shape = tuple(options.shape)
    values = np.ravel(np.asarray(initializer(jax.random.key(options.seed), shape), np.float64))
    if not values.size:
        raise ValueError(f"shape: {shape} holds no values to show")
    law = initializer.marginal(shape)
    page = entry_page(
        _described(entry, initializer, initializer.variance_rule()),
        [f"{initializer!r}, {_size(initializer, shape)}", *_facts(initializer, values, law)],
        values,
        law.density if law else None,
    )
    Console().print(page, highlight=False)
    return DONE


def _chosen(name: str, settings: Sequence[str]) -> tuple[Any, Any]:
    """The entry of the catalogue, and the member of it that the settings describe."""
    from jinit.initializers import from_spec
    from jinit.initializers.catalog import entry_of

    entry = entry_of(name)
    if not settings:
        return entry, entry.example
    return entry, from_spec({"name": name} | dict(map(_setting, settings)))


def _setting(text: str) -> tuple[str, Any]:
    import json

    option, _, value = text.partition("=")
    if not value:
        raise ValueError(f"--set: expected OPTION=VALUE, got {text!r}")
    try:
        return option, json.loads(value)
    except json.JSONDecodeError:
        return option, value


def _size(initializer: Any, shape: tuple[int, ...]) -> str:
    from jinit.initializers.fans import fans

    if len(shape) < 2:
        return f"shape {shape}"
    found = fans(shape, *(getattr(initializer, name, default) for name, default in _FAN_AXES))
    return f"shape {shape}, fan_in {found.fan_in}, fan_out {found.fan_out}"


def _facts(initializer: Any, values: Any, law: Any) -> list[str]:
    rule = initializer.variance_rule()
    return [
        *([f"variance {rule}"] if rule else []),
        *([f"exact: mean {law.mean:.4g}, std {law.std:.4g}"] if law else []),
        f"drawn: mean {values.mean():.4g}, std {values.std():.4g} ({values.size} values)",
    ]


_FAN_AXES = (("in_axis", -2), ("out_axis", -1), ("batch_axis", ()))


def _described(entry: Any, initializer: Any, variance: str) -> Any:
    from jinit.report.catalogue import described

    documented = entry.build.__doc__ or type(initializer).__doc__ or ""
    return described(entry.name, entry.family, variance, documented)


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
        with _interrupts() as interrupted, _Display() as display:

            def progress(now: Any) -> None:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                display(now)

            sweep.run(directory, progress)
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


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Remembers Ctrl-C: a KeyboardInterrupt that rises inside a library's callback can get lost."""
    seen = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        seen.set()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


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
