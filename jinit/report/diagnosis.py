"""A diagnosis as a page for the terminal: what is wrong, where, why, and what to write instead."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jinit.report.facets import printable

_MEANINGS = {
    "overflowing": "numbers leave the range of their type, and NaN follows",
    "underflowing": "gradients are too small for their type, and become zero",
    "symmetric": "units, layers or weights are equal, and equal gradients keep them so",
    "dead": "units give zero whatever comes in, so that no gradient passes through them",
    "saturated": "activations sit at their limits, where their slope and the gradient are zero",
    "exploding": "signal or gradient grows from layer to layer, and training diverges",
    "vanishing": "signal or gradient dies out on its way, so that distant layers hardly learn",
    "chaotic": "gradients grow from layer to layer and inputs that are alike are torn apart",
    "collapsed": "all inputs look alike after these layers, so that nothing can tell them apart",
    "misscaled": "the scale of the weights does not fit what the computation does with them",
    "stable": "signal and gradient pass through all layers as they do in healthy networks",
}
_COLOURS = {"stable": "green", "vanishing": "blue", "chaotic": "magenta", "misscaled": "yellow"}
_EXPECTED = "expected"
_COLUMNS = (
    *("layer", "verdict", "signal", _EXPECTED, "gradient", _EXPECTED, "alike", "dead"),
    "at limit",
)
_WIDE = 110
"""Columns of a terminal from which on there is room for what is expected."""
_NARROW, _LESS = 70, ("alike", "dead", "at limit")
"""Columns of a terminal below which there is no room for these."""
_EXPLAINED = {
    "signal": "RMS of the pre-activations",
    "gradient": "RMS of the loss gradient of one example with respect to them",
    _EXPECTED: "what theory allows weights of this scale in layers of this width",
    "alike": "mean cosine of pairs of inputs",
    "dead": "share of units that are 0 for every example",
    "at limit": "share of activations there",
}


def diagnosis_page(data: Mapping[str, Any]) -> Group:
    """The page of `Diagnosis.to_dict()`.

    >>> page = diagnosis_page(
    ...     {
    ...         "verdict": "stable",
    ...         "layers": [],
    ...         "faults": [],
    ...         "notes": [],
    ...         "loss": 2.3,
    ...         "loss_name": "cross-entropy",
    ...         "shares": {},
    ...     }
    ... )
    >>> page.renderables[0].plain
    '✓ stable: signal and gradient pass through all layers as they do in healthy networks'
    """
    parts: list[Any] = [_headline(data["verdict"])]
    for verdict, cure, faults in _grouped(data["faults"]):
        parts.append(
            Padding(_fault(verdict, cure, faults, data["verdict"]), (1, 0, 0, 2), expand=False)
        )
    parts += [Text(), _Layers(data["layers"])] if data["layers"] else []
    notes = [*_shares(data["shares"]), *data["notes"]]
    return Group(*parts, *(Text(f"• {printable(note)}") for note in notes))


def _headline(verdict: str) -> Text:
    mark = "✓" if verdict == "stable" else "✗"
    line = Text(f"{mark} {verdict}", style=f"bold {_COLOURS.get(verdict, 'red')}")
    return line.append(f": {_MEANINGS[verdict]}", style="not bold default")


def _grouped(
    faults: Sequence[Mapping[str, Any]],
) -> Iterable[tuple[str, str, list[Mapping[str, Any]]]]:
    """Faults of one cure together, by the worst of them."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for fault in faults:
        groups.setdefault(fault["cure"] or fault["cause"], []).append(fault)
    return [(each[0]["verdict"], each[0]["cure"], each) for each in groups.values()]


def _fault(verdict: str, cure: str, faults: Sequence[Mapping[str, Any]], worst: str) -> Group:
    first, *others = faults
    where = printable(first["path"])
    if others:
        where = f"{where} … {printable(others[-1]['path'])} ({len(faults)} layers)"
    lines = [Text.assemble(("where  ", "bold"), where)]
    if verdict != worst:
        lines.append(Text.assemble(("what   ", "bold"), f"{verdict}: {_MEANINGS[verdict]}"))
    lines.append(Text.assemble(("why    ", "bold"), printable(first["cause"])))
    if cure:
        lines.append(Text.assemble(("write  ", "bold"), (printable(cure), "cyan")))
    return Group(*lines)


@dataclass(frozen=True)
class _Layers:
    """All layers as a table; where it would get too narrow to read, without what is expected."""

    layers: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        wide, narrow = options.max_width >= _WIDE, options.max_width < _NARROW
        left_out = {*([] if wide else [_EXPECTED]), *(_LESS if narrow else [])}
        shown = [number for number, name in enumerate(_COLUMNS) if name not in left_out]
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        table.caption, table.caption_justify = _caption(shown, wide), "left"
        for number in shown:
            justify = "left" if number < 2 else "right"
            table.add_column(_COLUMNS[number], justify=justify, no_wrap=number > 1, overflow="fold")
        for layer in self.layers:
            row = _row(layer)
            table.add_row(*(row[number] for number in shown))
        yield table


def _caption(shown: Sequence[int], wide: bool) -> str:
    """What the columns mean that are there."""
    names = dict.fromkeys(_COLUMNS[number] for number in shown)
    meant = [f"{name}: {_EXPLAINED[name]}" for name in names if name in _EXPLAINED]
    return "; ".join([*meant, *([] if wide else [f"{_WIDE} columns of terminal show more"])])


def _row(layer: Mapping[str, Any]) -> list[Text]:
    seen, predicted = layer["statistics"], layer["predicted"]
    second, gradient = predicted.get("second_moment"), predicted.get("gradient_rms")
    signal = None if second is None else [None if x is None else math.sqrt(x) for x in second]
    colour = _COLOURS.get(layer["verdict"], "red")
    return [
        Text(printable(layer["path"])),
        Text(layer["verdict"], style=colour),
        *map(
            Text,
            (
                *(_number(seen["rms"]), _band(signal)),
                *(_number(seen["gradient_rms"]), _band(gradient)),
                *(_number(seen[name]) for name in ("correlation", "dead_fraction")),
                _number(seen["saturated_fraction"]),
            ),
        ),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _band(band: Sequence[float | None] | None) -> str:
    return "" if band is None else f"{_number(band[1])}–{_number(band[2])}"


def _shares(shares: Mapping[str, float]) -> list[str]:
    words = ", ".join(f"{100 * share:.3g} % {word}" for word, share in shares.items())
    return [f"of all starts: {words}"] if shares else []
