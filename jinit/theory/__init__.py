"""What a random layer does to a signal; true without any network."""

from jinit.theory.finite_width import FiniteWidth, finite_width
from jinit.theory.marginals import (
    Marginal,
    frame_law,
    normal_law,
    scaled_law,
    truncated_normal_law,
    uniform_law,
)
from jinit.theory.moments import Activation, Moments, gain, moments
from jinit.theory.quadrature import normal_mean

__all__ = [
    "Activation",
    "FiniteWidth",
    "Marginal",
    "Moments",
    "finite_width",
    "frame_law",
    "gain",
    "moments",
    "normal_law",
    "normal_mean",
    "scaled_law",
    "truncated_normal_law",
    "uniform_law",
]
