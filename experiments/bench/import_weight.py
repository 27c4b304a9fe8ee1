"""User CPU time of `import jinit`, beside the imports of the libraries that it is built on."""

import os
import subprocess
import sys
import tempfile

import measure
import tables
from rich.console import Console
from rich.table import Table

IMPORTS = {"jinit": "import jinit", "jax, flax, optax": "import jax, flax, optax"}
LIMIT = 1.15


def run(quick: bool) -> dict:
    """Import in fresh interpreters, in interleaved rounds."""
    samples: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as cache:
        for code in IMPORTS.values():  # writes the byte code
            user_seconds(code, cache)
        for number in range(5 if quick else 15):
            tables.progress(f"round {number + 1}")
            for name, code in IMPORTS.items():
                samples[name].append(user_seconds(code, cache))
    return {"device": "no device", "user_seconds": samples}


def user_seconds(code: str, cache: str) -> float:
    """User CPU seconds of a fresh interpreter that runs `code`, with its byte code in `cache`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = os.times().children_user
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return os.times().children_user - before


def show(results: dict, console: Console) -> None:
    """Print the medians and the ratio of every round."""
    samples = results["user_seconds"]
    ratios = measure.paired_ratios(*samples.values())
    table = Table(title=f"User CPU time of an import; the ratio must stay below {LIMIT}")
    table.add_column("import")
    table.add_column("user time", justify="right")
    table.add_column("jinit ÷ the others", justify="right")
    for name, seconds in samples.items():
        ratio = tables.ratio(ratios) if name == "jinit" else ""
        table.add_row(name, tables.duration(measure.median(seconds)), ratio)
    console.print(table)
