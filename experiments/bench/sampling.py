"""Speed, first call and memory of random draws in each library."""

import itertools
import math

import draws
import measure
import tables
from rich.console import Console
from rich.table import Table
from workers import Worker

DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")
SHAPES = ((4096, 4096), (1024, 4, 4))
DTYPES = ("float32", "bfloat16")
BYTES = {"float32": 4, "bfloat16": 2}

# Seeds of a sweep draw by vmap.
KEYS = {"distribution": "normal", "number": 64, "shape": (512, 512)}

# Only these compile, and only their first calls vary enough to need several processes each.
COMPILED = ("jinit", "jax", "jax_jit")

# A resident set grows by pages and pools: below this size it says nothing about the draw.
SMALLEST_FOR_MEMORY = 1 << 20


def run(quick: bool) -> dict:
    """Measure every case: alone in fresh processes first, then together in one."""
    with Worker("draws.together") as together:
        device = together.ask("device")
        cases = [_case(together, *which, quick) for which in _cases(quick)]
        tables.progress("normal, 64 keys")
        libraries, rounds = ["jinit", "jax"], 5 if quick else 9
        keys = together.ask("rounds_of_keys", libraries=libraries, rounds=rounds, **KEYS)
    return {"device": device, "cases": cases, "keys": keys}


def _cases(quick: bool):
    """(shape, dtype, distribution) of every case; quickly, only the large float32 array."""
    return itertools.product(
        SHAPES[:1] if quick else SHAPES, DTYPES[:1] if quick else DTYPES, DISTRIBUTIONS
    )


def _case(together: Worker, shape: tuple[int, ...], dtype: str, distribution: str, quick: bool):
    """All measurements of one distribution at one shape and dtype."""
    tables.progress(f"{distribution} {shape} {dtype}")
    which = {"distribution": distribution, "shape": shape, "dtype": dtype}
    libraries = list(draws.FILES)
    return {
        **which,
        "first_call": _first_calls(libraries, which, rounds=1 if quick else 2),
        "memory": _memory(libraries, which),
        "steady": together.ask("rounds", libraries=libraries, rounds=5 if quick else 9, **which),
    }


def _first_calls(libraries: list[str], which: dict, rounds: int) -> dict[str, list[float]]:
    """Seconds of the first call, each in a process of its own, in interleaved rounds."""
    samples: dict[str, list[float]] = {name: [] for name in libraries}
    for round_number in range(rounds):
        for name in libraries if round_number == 0 else COMPILED:
            answer = _alone("first_call", name, which)
            if "seconds" in answer:
                samples[name].append(answer["seconds"])
    return samples


def _memory(libraries: list[str], which: dict) -> dict[str, dict]:
    """Peak growth of the resident set, each library in a process of its own."""
    if _output_bytes(which) < SMALLEST_FOR_MEMORY:
        return {}
    return {name: _alone("memory", name, which) for name in libraries}


def _alone(function: str, library: str, which: dict) -> dict:
    """One answer of a process that does nothing else."""
    with Worker("draws.alone") as worker:
        return worker.ask(function, library=library, **which)


def _output_bytes(which: dict) -> int:
    """Bytes of the array that is drawn."""
    return math.prod(which["shape"]) * BYTES[which["dtype"]]


def show(results: dict, console: Console) -> None:
    """One table per shape and dtype."""
    console.print(
        "Ratios are the rival's time over jinit's: above 1, jinit is faster. Each is the median of"
        " ratios formed\nwithin a round, with the middle half of the rounds in brackets.\n"
        "First call: tracing and compiling included, in a fresh process whose backend runs.\n"
        "Peak: growth of the resident set over the output's size, in the first and in a later"
        " call; XLA: temporaries\nof the whole draw as one program over the output's size.\n"
    )
    for (shape, dtype), cases in itertools.groupby(
        results["cases"], key=lambda case: (tuple(case["shape"]), case["dtype"])
    ):
        console.print(_table(f"{' × '.join(map(str, shape))} {dtype}", list(cases)))

    console.print(_table_of_keys(results["keys"]))


def _table_of_keys(keys: dict[str, dict]) -> Table:
    """Many keys at once."""
    shape = " × ".join(map(str, KEYS["shape"]))
    table = Table(title=f"{KEYS['number']} keys, {KEYS['distribution']} {shape} float32 each")
    table.add_column("library")
    for column in ("steady", "÷ jinit"):
        table.add_column(column, justify="right")
    for samples in keys.values():
        seconds = samples["seconds"]
        cells = tables.duration(measure.median(seconds)), _ratio(seconds, keys["jinit"]["seconds"])
        table.add_row(samples["label"], *cells)
    return table


def _table(title: str, cases: list[dict]) -> Table:
    """Rows: distribution × library."""
    table = Table(title=title)
    table.add_column("distribution")
    table.add_column("library")
    for column in ("steady", "M values/s", "÷ jinit", "first call", "÷ jinit", "peak", "XLA"):
        table.add_column(column, justify="right")
    for case in cases:
        for position, name in enumerate(draws.FILES):
            label = case["distribution"] if position == 0 else ""
            table.add_row(label, *_row(case, name))
        table.add_section()
    return table


def _row(case: dict, name: str) -> tuple[str, ...]:
    """The cells of one library, or the reason why it has none."""
    steady, first = case["steady"], case["first_call"]
    if "unsupported" in steady[name]:
        return name, steady[name]["unsupported"]
    seconds = measure.median(steady[name]["seconds"])
    return (
        steady[name]["label"],
        tables.duration(seconds),
        f"{math.prod(case['shape']) / seconds / 1e6:.0f}",
        _ratio(steady[name]["seconds"], steady["jinit"]["seconds"]),
        tables.duration(measure.median(first[name])),
        _ratio(first[name], first["jinit"]),
        *_memory_cells(case, name),
    )


def _ratio(rival: list[float], ours: list[float]) -> str:
    """The rival's time over jinit's, over the rounds that both took part in."""
    return tables.ratio(measure.paired_ratios(rival, ours[: len(rival)]))


def _memory_cells(case: dict, name: str) -> tuple[str, str]:
    """Peak memory in outputs: the process's and XLA's own."""
    if not case["memory"]:
        return "too small", ""
    figures, size = case["memory"][name], _output_bytes(case)
    temporaries = figures["xla_temporaries"]
    return (
        f"{figures['first_call'] / size:.2f}, {figures['later_call'] / size:.2f}",
        "" if temporaries is None else f"{temporaries / size:.2f}",
    )
