"""The progress line, from the first to the last lane-step."""

from types import SimpleNamespace

import pytest

from jinit.report.sweep.progress import progress_line, rate_text


def line(**changes):
    state = {
        "lane_steps": 620,
        "total_lane_steps": 1000,
        "training_seconds": 31.0,
        "diverged_lanes": 3,
        "stage": "training",
    }
    return progress_line(SimpleNamespace(**state | changes))


def test_in_the_middle():
    assert line() == "training   62 %  20.0 steps/s  3 diverged  0:00:19 left"


def test_before_the_first_step_there_is_no_rate():
    assert (
        line(lane_steps=0, training_seconds=0.0, diverged_lanes=0) == "training    0 %  0 diverged"
    )


def test_at_the_end_no_time_left_is_shown():
    assert line(lane_steps=1000) == "training  100 %  32.3 steps/s  3 diverged"


def test_unfinished_sweeps_never_show_100_percent():
    assert "  99 %" in line(lane_steps=9_999, total_lane_steps=10_000)


def test_nothing_to_do():
    assert (
        line(lane_steps=0, total_lane_steps=0, training_seconds=0.0, diverged_lanes=0)
        == "training  100 %  0 diverged"
    )


def test_long_sweeps():
    assert line(lane_steps=1, total_lane_steps=10**6, training_seconds=1.0).endswith(
        "11 days, 13:46:39 left"
    )


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.5, "0.50"),
        (9.999, "10.0"),
        (999.0, "999"),
        (999.7, "1.00 k"),
        (41_234, "41.2 k"),
        (4.12e6, "4.12 M"),
        (2.5e9, "2.50 G"),
    ],
)
def test_rates(rate, text):
    assert rate_text(rate) == text
