"""What a compiled or exported program contains: faults, and the compiler's own estimates."""

import re
from collections.abc import Iterator
from typing import Any

_COLLECTIVES = re.compile(
    r"\b(?:all[-_]reduce|all[-_]gather|all[-_]to[-_]all|collective[-_]permute|reduce[-_]scatter"
    r"|collective[-_]broadcast)(?:-start)?\b(?=[(\"])"
)
_HOST = re.compile(r"[\w.]*callback[\w.]*|\b(?:infeed|outfeed|send|recv)(?=\()")
_DOUBLE = re.compile(r"\bf64\[|[x<]f64>|tensor<f64>")
_TARGET = re.compile(r'custom_call_target="([^"]+)"|custom_call @([\w.]+)')
_COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) .*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_BODY = re.compile(r" while\(.*body=%([\w.\-]+)")


def find_faults(text: str) -> list[str]:
    """Return what a program must not contain, each once.

    Args:
      text: HLO or StableHLO of the program.

    >>> find_faults("f64[2]{0} add(f64[2]{0} x), all-reduce(y)")
    ['all-reduce', 'float64']
    """
    operations = _without_metadata(text)
    found = {*_HOST.findall(operations), *_COLLECTIVES.findall(operations)}
    if _DOUBLE.search(operations):
        found.add("float64")
    return sorted(found)


def custom_calls(text: str) -> list[str]:
    """Return the targets of custom calls, each once.

    Args:
      text: HLO or StableHLO of the program.

    >>> custom_calls('x = custom-call(y), custom_call_target="Qr"')
    ['Qr']
    """
    return sorted({first or second for first, second in _TARGET.findall(text)})


def loop_cycles(text: str) -> tuple[int | None, list[int]]:
    """Return the cycles of a pass of loops, as XLA:TPU estimates them for its schedule.

    Args:
      text: HLO of a program that was compiled for a TPU.

    Returns:
      Those of the largest loop that has no other one in it, such as that over steps, None if there
      is no loop; and those of the loops around others, without them, from the inside out.
    """
    bodies = dict(_computations(text))  # a computation comes after those that it calls
    called = {name: _BODY.findall("\n".join(lines)) for name, lines in bodies.items()}
    loops = {name for names in called.values() for name in names}
    innermost = [_sum_cycles(bodies[name]) for name in loops if not called[name]]
    around = [_sum_cycles(bodies[name]) for name in bodies if name in loops and called[name]]
    return max(innermost, default=None), around


def measure(compiled: Any) -> dict[str, Any]:
    """Return the memory and the work of a compiled program, by XLA's analysis.

    Args:
      compiled: the program.
    """
    memory, cost, text = compiled.memory_analysis(), compiled.cost_analysis(), compiled.as_text()
    step_cycles, outer_cycles = loop_cycles(text)
    return {
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "reused_bytes": memory.alias_size_in_bytes,
        "flops": cost.get("flops"),
        "step_cycles": step_cycles,
        "outer_cycles": outer_cycles,
        "custom_calls": custom_calls(text),
    }


def _without_metadata(text: str) -> str:
    """Return a program without the names of its source, which may contain anything."""
    return re.sub(r"metadata=\{[^}]*\}|loc\([^)]*\)", "", text)


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = None, []
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            name, lines = header[2], []
        elif line == "}" and name is not None:
            yield name, lines
            name = None
        else:
            lines.append(line)


def _sum_cycles(lines: list[str]) -> int:
    return sum(int(cycles) for line in lines for cycles in _CYCLES.findall(line))
