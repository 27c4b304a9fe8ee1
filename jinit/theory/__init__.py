"""What a random layer does to a signal; true without any network."""

from jinit.theory.finite_width import FiniteWidth, finite_width
from jinit.theory.marginals import (
    Marginal,
    frame_law,
    normal_law,
    truncated_normal_law,
    uniform_law,
)

__all__ = [
    "FiniteWidth",
    "Marginal",
    "finite_width",
    "frame_law",
    "normal_law",
    "truncated_normal_law",
    "uniform_law",
]
