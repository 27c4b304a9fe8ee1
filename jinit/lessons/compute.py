"""All numbers of the learning page."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata

import jax

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
from jinit.report.learn.numbers import LessonNumbers


def compute_lessons(progress: Callable[[str], None] = lambda _: None) -> LessonNumbers:
    """Compute every number of the learning page, which takes some tens of seconds on two cores.

    Args:
      progress: called with a sentence at each stage.
    """
    progress("training from equal weights")
    symmetry = train_from_symmetry()
    progress("measuring deep networks at initialization")
    signals = tuple(map(scan_scales, ("tanh", "relu")))
    progress("integrating activations")
    constants, sigmoid, activations = page_constants(), sigmoid_forms(), activation_rows()
    progress("following signals through deep chains")
    chains, greedy = deep_chains(), greedy_runs()
    progress("measuring curvature")
    rates = rate_numbers()
    progress("training on digits")
    digits = train_on_digits(lambda state: progress(f"training on digits: {state}"))
    versions = (
        f"jinit {metadata.version('jinit')}, JAX {jax.__version__}, {datetime.now(UTC):%Y-%m-%d}"
    )
    return LessonNumbers(
        symmetry=symmetry,
        signals=signals,
        published_shape=PUBLISHED_SHAPE,
        published=published_forms(),
        sigmoid=sigmoid,
        activations=activations,
        chains=chains,
        greedy=greedy,
        digits=digits,
        rates=rates,
        constants=constants,
        versions=versions,
    )
