"""Compile for TPUs that are not here, and export for GPUs.

`run.py tpu|gpu [--only NAME …] [--lanes NUMBER …]`
"""

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[1]))

from jax import export

from ahead_of_time import draws, inspection, lanes, models, targets
from jinit.sweep.group_computations import JittedCall
from jinit.sweep.layout import BlockLayout

RESULTS = Path(__file__).parent / "results.json"
TOPOLOGY, LARGE_TOPOLOGY = "v5e:2x4", "v5e:8x8"
OTHER_TOPOLOGIES = ("v5p:2x2x2", "v6e:2x4")
LANES = {
    "mlp": (1, 8, 32, 64, 96, 128, 256, 1024),
    "cnn": (1, 8, 16, 32, 64, 256),
    "transformer": (1, 2, 4, 8, 16, 32, 64),
}
"""Lanes that are computed together, by network. More of the others take minutes to compile."""
TILES = {"mlp": (BlockLayout(1, 64), BlockLayout(4, 64))}
"""Layouts for which a program of all steps and recordings is compiled as well."""
OTHER_LANES = {"mlp": (64, 96, 256), "cnn": (8, 32)}
EXPORTED_LANES = (1, 8, 64, 256, 1024)
_NAMES = ("topology", "name", "lanes", "tiles")
_PACKAGES = ("jinit", "jax", "jaxlib", "libtpu", "flax", "optax")


def main(arguments: list[str]) -> None:
    """Compile or export, print a line per program, and add the lines to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=("tpu", "gpu"))
    parser.add_argument("--only", nargs="*", help="names of networks, or draws, or models")
    parser.add_argument("--lanes", nargs="*", type=int, help="numbers of lanes, by default all")
    options = parser.parse_args(arguments)
    rows = compile_for_tpu if options.target == "tpu" else export_for_gpu
    for part in options.only or [*lanes.NETWORKS, "draws", "models"]:
        for row in rows(part, options.lanes):
            print(json.dumps(row), flush=True)
            save(f"{options.target} {part}", row)


def compile_for_tpu(part: str, chosen: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    """Yield a line on every program of a part: compiler, memory and work.

    Args:
      part: a network, `draws` or `models`.
      chosen: numbers of lanes; None for all.
    """
    if part == "models":
        for topology in (TOPOLOGY, LARGE_TOPOLOGY):
            for name, call in models.programs(targets.topology_devices(topology)):
                yield {"topology": topology, "name": name} | compile_call(call)
    elif part == "draws":
        for name, call in draws.programs(targets.topology_devices(TOPOLOGY)[0]):
            yield {"topology": TOPOLOGY, "name": name} | compile_call(call)
    else:
        layouts = [BlockLayout(1, width) for width in _choose(LANES[part], chosen)]
        yield from _compile_lanes(part, TOPOLOGY, layouts, ("training", "scoring"))
        if chosen is None:
            kinds = ("training", "whole training")
            yield from _compile_lanes(part, TOPOLOGY, TILES.get(part, ()), kinds)
        for topology in OTHER_TOPOLOGIES:
            widths = _choose(OTHER_LANES.get(part, ()), chosen)
            layouts = [BlockLayout(1, width) for width in widths]
            yield from _compile_lanes(part, topology, layouts, ("training",))


def _compile_lanes(
    name: str, topology: str, layouts: Sequence[BlockLayout], kinds: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    device = targets.topology_devices(topology)[0]
    for layout in layouts:
        for kind, call in lanes.programs(name, layout, device, kinds):
            named = {"topology": topology, "name": kind, "lanes": layout.block_lanes}
            yield named | {"tiles": layout.tiles} | compile_call(call)


def _choose(widths: Sequence[int], chosen: Sequence[int] | None) -> list[int]:
    return [width for width in widths if chosen is None or width in chosen]


def compile_call(call: JittedCall) -> dict[str, Any]:
    """Compile a program, and return what it needs.

    Args:
      call: the program.

    Raises:
      RuntimeError: if it communicates, calls the host or computes in float64.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as donated arguments that are not used
        lowered = call.lower()
        begin = time.process_time()  # of all threads; other work on the machine does not count
        compiled = lowered.compile()
        seconds = time.process_time() - begin
    if faults := inspection.find_faults(compiled.as_text()):
        raise RuntimeError(f"the compiled program contains {', '.join(faults)}")
    return {"compile_processor_seconds": seconds} | inspection.measure(compiled)


def export_for_gpu(part: str, chosen: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    """Yield a line on every program of a part, exported for CUDA and ROCm.

    Args:
      part: a network, `draws` or `models`.
      chosen: numbers of lanes; None for all.
    """
    if part == "models":
        calls = [(name, 0, call) for name, call in models.programs()]
    elif part == "draws":
        calls = [(name, 0, call) for name, call in draws.programs()]
    else:
        calls = [
            (kind, width, call)
            for width in _choose(EXPORTED_LANES, chosen)
            for kind, call in lanes.programs(part, BlockLayout(1, width), None)
        ]
    for name, width, call in calls:
        yield {"name": name, "lanes": width} | export_call(call)


def export_call(call: JittedCall) -> dict[str, Any]:
    """Export a program for GPUs, and return what it calls.

    Args:
      call: the program.

    Raises:
      RuntimeError: if it communicates, calls the host, or computes in float64.
    """
    begin = time.perf_counter()
    exported = export.export(call.function, platforms=targets.GPU_PLATFORMS)(*call.arguments)
    text = exported.mlir_module()
    seconds = time.perf_counter() - begin
    if faults := inspection.find_faults(text):
        raise RuntimeError(f"the exported program contains {', '.join(faults)}")
    return {
        "export_seconds": seconds,
        "characters": len(text),
        "custom_calls": inspection.custom_calls(text),
    }


def save(part: str, row: dict[str, Any]) -> None:
    """Write a line into a part of the results, in place of an older one on the same program.

    Args:
      part: name of the part.
      row: the line.
    """
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = results.get(part, {}).get("programs", [])
    by_name = {tuple(each.get(name) for name in _NAMES): each for each in (*rows, row)}
    found = {package: _version(package) for package in _PACKAGES}
    results[part] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | found,
        "programs": list(by_name.values()),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
