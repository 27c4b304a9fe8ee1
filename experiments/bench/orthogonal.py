"""How fast each library draws orthogonal matrices, and what they cost over eight devices."""

import measure
import tables
from rich.console import Console
from rich.table import Table
from workers import Worker

LIBRARIES = ("jinit", "jax", "jax_jit", "torch")
SHAPES = ((512, 512), (1024, 1024), (2048, 2048), (4096, 1024))
MESHES = ((8,), (2, 4))


def run(quick: bool) -> dict:
    """Measure every shape in one process, and the meshes in one with eight devices."""
    shapes, rounds = (SHAPES[:2], 5) if quick else (SHAPES, 9)
    with Worker("draws.together") as together:
        device = together.ask("device")
        steady = [_steady(together, shape, rounds) for shape in shapes]
    with Worker("draws.over_meshes") as meshes:
        spread = []
        for mesh in MESHES:
            tables.progress(f"mesh {mesh}")
            spread.append(meshes.ask("spread", mesh=mesh, shape=SHAPES[1] if quick else SHAPES[2]))
    return {"device": device, "steady": steady, "spread": spread}


def _steady(together: Worker, shape: tuple[int, int], rounds: int) -> dict:
    tables.progress(f"orthogonal {shape}")
    which = {"distribution": "orthogonal", "shape": shape, "dtype": "float32"}
    seconds = together.ask("rounds", libraries=list(LIBRARIES), rounds=rounds, **which)
    return {"shape": shape, "libraries": seconds}


def show(results: dict, console: Console) -> None:
    """A table of times, and one of the meshes."""
    console.print(_times(results["steady"]))
    console.print(_spread(results["spread"]))


def _times(steady: list[dict]) -> Table:
    table = Table(title="orthogonal, float32")
    for column in ("shape", "library"):
        table.add_column(column)
    for column in ("steady", "÷ jinit"):
        table.add_column(column, justify="right")
    for case in steady:
        ours = case["libraries"]["jinit"]["seconds"]
        for position, name in enumerate(LIBRARIES):
            found = case["libraries"][name]
            shape = " × ".join(map(str, case["shape"])) if position == 0 else ""
            if "unsupported" in found:
                table.add_row(shape, name, found["unsupported"], "")
                continue
            seconds = found["seconds"]
            ratio = tables.ratio(measure.paired_ratios(seconds, ours))
            table.add_row(shape, found["label"], tables.duration(measure.median(seconds)), ratio)
        table.add_section()
    return table


def _spread(spread: list[dict]) -> Table:
    table = Table(title="over eight devices: memory of each, in whole matrices")
    for column in ("shape", "mesh"):
        table.add_column(column)
    for column in ("jinit", "jax in jit", "largest difference to no mesh"):
        table.add_column(column, justify="right")
    for case in spread:
        shape, mesh = (" × ".join(map(str, case[name])) for name in ("shape", "mesh"))
        memory = (f"{case['memory'][name]:.2f}" for name in ("jinit", "jax"))
        table.add_row(shape, mesh, *memory, f"{case['difference']:.1e}")
    return table
