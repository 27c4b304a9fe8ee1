"""The progress line, from the first to the last lane-step."""

from types import SimpleNamespace

import pytest

from jinit.report.progress import progress_line, rate_text


def line(**changes):
    state = {"done": 620, "total": 1000, "seconds": 31.0, "diverged": 3, "stage": "training"}
    return progress_line(SimpleNamespace(**state | changes))


def test_in_the_middle():
    assert line() == "training   62 %  20.0 lane-steps/s  3 diverged  0:00:19 left"


def test_before_the_first_step_there_is_no_rate():
    assert line(done=0, seconds=0.0, diverged=0) == "training    0 %  0 diverged"


def test_at_the_end_nothing_is_left():
    assert line(done=1000) == "training  100 %  32.3 lane-steps/s  3 diverged"


def test_not_done_is_never_called_100_percent():
    assert "  99 %" in line(done=9_999, total=10_000)


def test_nothing_to_do():
    assert line(done=0, total=0, seconds=0.0, diverged=0) == "training  100 %  0 diverged"


def test_long_sweeps():
    assert line(done=1, total=10**6, seconds=1.0).endswith("11 days, 13:46:39 left")


@pytest.mark.parametrize(("rate", "text"), [
    (0.5, "0.50"), (9.999, "10.0"), (999.0, "999"), (999.7, "1.00 k"), (41_234, "41.2 k"),
    (4.12e6, "4.12 M"), (2.5e9, "2.50 G"),
])  # fmt: skip
def test_rates(rate, text):
    assert rate_text(rate) == text
