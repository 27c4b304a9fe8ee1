"""How figures are printed: always the absolute value, and beside it the ratio with its spread."""

from collections.abc import Sequence

import measure
from rich.console import Console


def console() -> Console:
    """A console that is wide enough for the tables when it writes into a file."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160)


def progress(text: str) -> None:
    """Say on the error stream what is being measured."""
    Console(stderr=True).print(f"[dim]{text}[/dim]", highlight=False)


def duration(seconds: float) -> str:
    """Seconds with three significant digits in the unit that fits."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def ratio(ratios: Sequence[float]) -> str:
    """Median of ratios formed round by round, with the middle half of the rounds."""
    low, high = measure.middle_half(ratios)
    return f"{measure.median(ratios):.2f}× \\[{low:.2f}, {high:.2f}]"


def heading(results: dict) -> str:
    """Date, machine and versions, one line each."""
    machine = results["machine"]
    installed = [f"{name} {found}" for name, found in machine["versions"].items() if found]
    return "\n".join(
        (
            f"{machine['date']} · revision {machine['revision']}",
            f"{machine['cores']} cores of {machine['cpu']} · {machine['system']}"
            f" · JAX on {results['device']}",
            " · ".join(installed),
        )
    )


def size(count: int) -> str:
    """A number of bytes in mebibytes."""
    return f"{count / 2**20:,.0f} MiB"


def mark(reached: bool) -> str:
    """Whether a goal is reached."""
    return "✓" if reached else "✗"


def load_line() -> str:
    """The load average, for the record."""
    return "load average " + " ".join(f"{each:.2f}" for each in measure.load() or ())
