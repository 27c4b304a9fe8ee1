"""The color of every verdict, the same in all tables."""

_COLORS = {
    "stable": "green",
    "vanishing": "blue",
    "underflowing": "blue",
    "exploding": "red",
    "overflowing": "red",
    "diverged": "bold red",
    "dead": "red",
    "collapsed": "red",
    "symmetric": "magenta",
    "chaotic": "magenta",
    "saturated": "yellow",
    "misscaled": "yellow",
    "frozen": "blue",
    "unread": "",
}


def verdict_color(verdict: str) -> str:
    """Return the color of a verdict as a rich style; no color for an unknown verdict.

    >>> verdict_color("stable"), verdict_color("new")
    ('green', '')
    """
    return _COLORS.get(verdict, "")
