"""Computes the numbers of the learning page; the page itself is in `jinit.report.learn`."""

from jinit.lessons.compute import compute_lessons
from jinit.lessons.deep_chains import deep_chains
from jinit.lessons.digit_sweep import train_on_digits
from jinit.lessons.greedy_pretraining import greedy_runs
from jinit.lessons.learning_rates import rate_numbers
from jinit.lessons.scales import (
    PUBLISHED_SHAPE,
    activation_rows,
    page_constants,
    published_forms,
    sigmoid_forms,
)
from jinit.lessons.signal_scan import scan_scales
from jinit.lessons.symmetry import train_from_symmetry

__all__ = [
    "PUBLISHED_SHAPE",
    "activation_rows",
    "compute_lessons",
    "deep_chains",
    "greedy_runs",
    "page_constants",
    "published_forms",
    "rate_numbers",
    "scan_scales",
    "sigmoid_forms",
    "train_from_symmetry",
    "train_on_digits",
]
