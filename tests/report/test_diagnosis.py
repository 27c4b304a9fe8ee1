"""The page and the figure of a diagnosis, from plain data alone."""

import io
import math

import pytest
from matplotlib.image import imread
from rich.console import Console

from jinit.report import diagnosis_figure
from jinit.report.diagnosis import diagnosis_page


def layer(path, verdict="stable", cause="", cure="", source="", **statistics):
    known = {
        "rms": 1.0,
        "second_moment": 1.0,
        "gradient_rms": 0.1,
        "correlation": 0.5,
        "dead_fraction": 0.25,
        "saturated_fraction": None,
    }
    return {
        "path": path,
        "verdict": verdict,
        "cause": cause,
        "cure": cure,
        "source": source,
        "statistics": known | statistics,
        "predicted": {"second_moment": [1.0, 0.25, 4.0], "gradient_rms": [0.1, 0.05, 0.2]},
    }


def data(verdict, *layers, **changes):
    return {
        "verdict": verdict,
        "layers": layers,
        "loss": 2.5,
        "loss_name": "cross-entropy",
        "faults": [each for each in layers if each["verdict"] != "stable"],
        "notes": ["the inputs have RMS [b]9[/b]"],
        "shares": {},
    } | changes


def printed(page, width=160):
    stream = io.StringIO()
    Console(file=stream, width=width).print(page, highlight=False)
    return stream.getvalue()


def test_a_healthy_page():
    text = printed(diagnosis_page(data("stable", layer("a"), layer("b"))))
    assert text.startswith("✓ stable: signal and gradient pass through all layers")
    assert "0.5–2" in text
    assert "write" not in text
    assert "• the inputs have RMS [b]9[/b]" in text  # shown, not obeyed


def test_a_narrow_page_keeps_the_names_of_layers():
    name = "params/block_0/Dense_0/kernel"
    text = printed(diagnosis_page(data("stable", layer(name))), width=80)
    assert name in text
    assert "0.5–2" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_faults_of_one_kind_are_told_once():
    faults = [layer(f"dense[{n}]", "vanishing", "too small", "use he_normal") for n in range(3)]
    other = layer("last", "misscaled", "odd", "read the axes", rms=None)
    text = printed(diagnosis_page(data("vanishing", *faults, other)))
    assert text.startswith("✗ vanishing: signal or gradient dies out")
    assert "where  dense[0] … dense[2] (3 layers)" in text
    assert text.count("too small") == text.count("write  use he_normal") == 1
    assert "what   misscaled: the scale of the weights" in text


def test_shares_of_many_starts():
    shares = {"stable": 0.75, "dead": 0.25}
    text = printed(diagnosis_page(data("stable", layer("a"), shares=shares)))
    assert "of all starts: 75 % stable, 25 % dead" in text


@pytest.mark.parametrize("rms", [1.0, 0.0, None])
def test_the_figure(tmp_path, rms):
    layers = [layer("a"), layer("b", "dead", rms=rms, correlation=None), layer("c")]
    figure = diagnosis_figure(data("dead", *layers), tmp_path / "figure.png")
    signal, gradient, correlation = figure.axes
    assert [line.get_ydata().size for line in signal.lines] == [3, 2, 1]  # line, healthy, ill
    assert math.isnan(correlation.lines[0].get_ydata()[1])
    assert "gradient" in gradient.get_title(loc="left")
    assert imread(tmp_path / "figure.png").shape[1] > 400


def test_a_network_without_layers():
    assert "stable" in printed(diagnosis_page(data("stable")))
    assert len(diagnosis_figure(data("stable")).axes) == 3
