"""Sweeps for the tests of experiment trackers, with all that a tracker may stumble over."""

import math
from pathlib import Path

from report.synthetic import STEPS, diverged, grid, lane, write_sweep

STARTED = "2026-11-30T06:00:00+00:00"
AXES = {"init": ["zeros", "he_normal"], "lr": [0.1, 0.01]}
DIVERGED_CONFIG = {"init": "zeros", "lr": 0.1}

HOSTILE_AXIS = "a/../b\n<script>σ"
HOSTILE_AXES = {
    HOSTILE_AXIS: ["/../x\n<script>alert(1)</script>", "σ" * 300, None],
    "_private": ["y"],
    "clip": [math.inf, 1.0],
}


def write_small(directory: Path) -> Path:
    """Write eight runs, of which one diverged."""
    rows = grid(AXES, 2, lambda config, seed: lane(config, seed, 0.9, started_at=STARTED))
    rows[0] = diverged(DIVERGED_CONFIG, 0) | {"started_at": STARTED}
    return write_sweep(directory, AXES, rows, block=3, started_at=STARTED)


def write_hostile(directory: Path) -> Path:
    """Write six runs with hostile names, missing and infinite values, and curves of all lengths."""
    none = {"test_<b>\n/x": None, "stopped_at": None}
    rows = grid(HOSTILE_AXES, 1, lambda config, seed: lane(config, seed, 0.9, **none))
    rows[0] |= {"validation_loss_curve": [math.inf, None, math.nan], "train_loss_curve": []}
    rows[1] |= {"validation_loss_curve": [2.0], "train_loss_curve": None, "step": [0]}
    rows[2] |= {"test_<b>\n/x": -math.inf, "stopped_at": STEPS[1]}
    return write_sweep(directory, HOSTILE_AXES, rows)
