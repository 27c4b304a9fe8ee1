"""The color and the dashes of every initializer, the same in all figures and pages.

The colors are those of Okabe and Ito (Color universal design, 2008), which readers with color
vision deficiency can distinguish. Yellow is left out, which is hard to see on white, and gray
stands for black, which is not seen on a dark page. Relatives share a color and differ in dashes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class LineLook:
    """The color and the dashes of a line.

    Args:
      color: color as hexadecimal digits.
      dash: `solid`, `dash`, `dot` or `dashdot`, as plotly names them.

    >>> LineLook("#0072B2").dash
    'solid'
    """

    color: str
    dash: str = "solid"


_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#808080")
_DASHES = ("solid", "dash", "dot", "dashdot")
LINE_LOOKS: tuple[LineLook, ...] = tuple(
    LineLook(color, dash) for dash in _DASHES for color in _COLORS
)
"""All looks, in the order in which they are given to names that are not in the table."""

_BY_DASH = {
    "solid": (
        *("he_normal", "orthogonal", "xavier_normal", "lecun_normal"),
        *("normal", "random_uniform", "zeros"),
    ),
    "dash": (
        *("he_uniform", "delta_orthogonal", "xavier_uniform", "lecun_uniform"),
        *("truncated_normal", "uniform", "constant"),
    ),
    "dot": (
        *("sigmoid_normal", "convolutional_orthogonal", "torch_default", "keras_default"),
        *("sparse", "variance_scaling", "ones"),
    ),
    "dashdot": (
        *("activation_scaled", "identity", "autoinit", "rbm", "lsuv", "gradinit", "autoencoder"),
    ),
}
_ALIASES = {
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "random_normal": "normal",
    "zeros_init": "zeros",
    "ones_init": "ones",
}


def _fixed_looks() -> dict[str, LineLook]:
    looks = {
        name: LineLook(color, dash)
        for dash, names in _BY_DASH.items()
        for name, color in zip(names, _COLORS, strict=True)
    }
    return looks | {alias: looks[name] for alias, name in _ALIASES.items()}


INITIALIZER_LOOKS: Mapping[str, LineLook] = MappingProxyType(_fixed_looks())
"""The look by name, of the initializers that are compared most."""


def choose_looks(labels: Sequence[str]) -> dict[str, LineLook]:
    """Return a look by label, different for different labels as long as there are enough.

    Initializers of the table have their own, with options too. The others, and a second one of the
    same name with other options, get those that are left, in order, rarely used colors first.

    Args:
      labels: labels that begin with the name of an initializer, such as `normal(0.1) [gain=2]`.

    >>> looks = choose_looks(["mine", "he_normal", "normal(0.1)", "normal(1.0)"])
    >>> looks["he_normal"].color, looks["normal(0.1)"] == INITIALIZER_LOOKS["normal"]
    ('#0072B2', True)
    >>> len(set(looks.values()))
    4
    """
    looks: dict[str, LineLook] = {}
    for label in labels:
        fixed = INITIALIZER_LOOKS.get(_initializer_name(label))
        if fixed is not None and fixed not in looks.values():
            looks[label] = fixed
    for label in labels:
        if label not in looks:
            looks[label] = _next_look(looks.values())
    return looks


def _initializer_name(label: str) -> str:
    return label.partition(" [")[0].partition("(")[0]


def _next_look(used: Collection[LineLook]) -> LineLook:
    """Return a free look, of the color that is used least; the least used one if none is free."""
    colors = [look.color for look in used]
    counts = list(used)
    return min(LINE_LOOKS, key=lambda look: (counts.count(look), colors.count(look.color)))
