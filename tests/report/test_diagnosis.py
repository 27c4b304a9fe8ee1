"""Text, page, HTML and figure of a diagnosis, from plain data alone."""

import io
import math

import pytest
from matplotlib.image import imread
from rich.console import Console

from jinit.report import diagnosis_figure
from jinit.report.diagnosis.html import diagnosis_html
from jinit.report.diagnosis.terminal import diagnosis_table
from jinit.report.diagnosis.text import diagnosis_text, headline_text

ESCAPE = chr(27) + "[31m"


def layer(path, verdict="stable", cause="", cure="", source="", **statistics):
    defaults = {
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
        "statistics": defaults | statistics,
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
    text = printed(diagnosis_table(data("stable", layer("a"), layer("b"))))
    assert text.startswith("✓ stable: signal and gradient pass through all layers")
    assert "0.5–2" in text
    assert "write" not in text
    assert "• the inputs have RMS [b]9[/b]" in text  # markup is not interpreted


@pytest.mark.parametrize("width", [60, 80, 110])
def test_a_page_fits_its_terminal_and_keeps_the_names_of_layers(width):
    name = "params/block_0/Dense_0/kernel"
    fault = layer(
        "params/block_1/kernel", "vanishing", "its gain is too small " * 5, "use he_normal"
    )
    text = printed(diagnosis_table(data("vanishing", layer(name), fault)), width)
    assert max(map(len, text.splitlines())) <= width
    assert name in text
    assert "corr." in text if width >= 80 else "corr." not in text
    assert ("0.5–2" in text) == (width >= 110)
    assert "why    its gain" in text


def test_faults_with_the_same_verdict_and_cure_are_shown_once():
    faults = [layer(f"dense[{n}]", "vanishing", "too small", "use he_normal") for n in range(3)]
    other = layer("last", "misscaled", "odd", "read the axes", rms=None)
    text = printed(diagnosis_table(data("vanishing", *faults, other)))
    assert text.startswith("✗ vanishing: signal or gradient decays from layer to layer")
    assert "where  dense[0] … dense[2] (3 layers)" in text
    assert text.count("too small") == text.count("write  use he_normal") == 1
    assert "what   misscaled: the scale of weights" in text


def test_where_lists_layers_in_execution_order_whatever_the_order_of_faults():
    layers = [layer(name, "dead", name, "a cure") for name in ("first", "second", "third")]
    text = diagnosis_text(data("dead", *layers, faults=layers[::-1]))
    assert "where  first … third (3 layers)" in text
    assert "why    first" in text


def test_a_chain_with_one_cure_is_one_fault_and_other_faults_are_separate():
    layers = [
        layer("a", "collapsed", "equal results", "use tanh"),
        layer("b", "vanishing", "small gradient", "use tanh"),
        layer("c", "symmetric", "equal units", "use tanh"),
    ]
    faults = [layers[2], layers[1], layers[0]]
    assert diagnosis_text(data("symmetric", *layers, faults=faults, notes=[])).splitlines()[1:] == [
        "  where  c",
        "  why    equal units",
        "  write  use tanh",
        "  where  a … b (2 layers)",
        "  what   vanishing",
        "  why    small gradient",
        "  write  use tanh",
    ]


def test_text_has_causes_and_cures_and_the_headline_is_short():
    fault = layer("k", "dead", "no input", "give one")
    other = layer("m", "collapsed", "equal results", "")
    found = data("dead", fault, other, layer("n"), loss=None)
    assert headline_text(found) == "dead, 3 layers, 2 with a fault, cross-entropy not finite"
    assert diagnosis_text(found).splitlines() == [
        "dead, 3 layers, 2 with a fault, cross-entropy not finite",
        "  where  k",
        "  why    no input",
        "  write  give one",
        "  where  m",
        "  what   collapsed",
        "  why    equal results",
        "  • the inputs have RMS [b]9[/b]",
    ]
    many = [layer(f"k{n}", "dead", f"cause {n}") for n in range(7)]
    assert "  2 more faults: see diagnosis.table()" in diagnosis_text(data("dead", *many))


def test_names_cannot_steer_a_terminal_or_a_notebook():
    fault = layer(f"<script>{ESCAPE}", "dead", f"<b>{ESCAPE}", f"<i>{ESCAPE}")
    found = data("dead", fault, notes=[f"<u>{ESCAPE}"], loss_name=f"<s>{ESCAPE}")
    html = diagnosis_html(found)
    for text in (printed(diagnosis_table(found)), diagnosis_text(found), html):
        assert chr(27) not in text
        assert "x1b[31m" in text
    assert not any(tag in html for tag in ("<script>", "<i>", "<u>", "<s>"))


def test_html_has_faults_and_a_row_for_each_layer():
    html = diagnosis_html(data("dead", layer("k", "dead", "no input", "give one"), layer("n")))
    assert html.startswith("<div><p><b>✗ dead</b>: a gradient is zero and stays zero")
    assert "<b>dead</b> at k<br>no input<br><code>give one</code>" in html
    assert html.count("<tr>") == 3  # the head and two layers
    assert "<summary>2 layers</summary>" in html


def test_shares_of_many_initializations():
    shares = {"stable": 0.75, "dead": 0.25}
    text = printed(diagnosis_table(data("stable", layer("a"), shares=shares)))
    assert "of all initializations: 75 % stable, 25 % dead" in text


@pytest.mark.parametrize("rms", [1.0, 0.0, None])
def test_the_figure(tmp_path, rms):
    layers = [layer("a"), layer("b", "dead", rms=rms, correlation=None), layer("c")]
    figure = diagnosis_figure(data("dead", *layers), tmp_path / "figure.png")
    signal, gradient, correlation = figure.axes
    assert [line.get_ydata().size for line in signal.lines] == [3, 2, 1]  # line, healthy, faulty
    assert math.isnan(correlation.lines[0].get_ydata()[1])
    assert "gradient" in gradient.get_title(loc="left")
    assert imread(tmp_path / "figure.png").shape[1] > 400


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("suffix", "beginning"),
    [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("SVG", b"<?xml")],
)
def test_a_figure_has_the_format_of_its_suffix(tmp_path, suffix, beginning):
    path = tmp_path / f"figure.{suffix}"
    diagnosis_figure(data("stable", layer("a")), path)
    assert path.read_bytes().startswith(beginning)


def test_a_figure_that_cannot_be_written_fails_before_it_is_drawn(tmp_path):
    for name in ("figure.txt", "figure"):
        with pytest.raises(ValueError, match=rf"{name}: expected a name that ends in .png, .pdf"):
            diagnosis_figure({}, tmp_path / name)
    with pytest.raises(ValueError, match=r"the folder .*nowhere does not exist; create it"):
        diagnosis_figure({}, tmp_path / "nowhere" / "figure.png")


@pytest.mark.parametrize("value", [0.0, None])
def test_a_network_of_zeros_or_nan_has_a_figure(tmp_path, value):
    names = ("rms", "second_moment", "gradient_rms", "correlation")
    bad = layer("a", "symmetric", **dict.fromkeys(names, value)) | {"predicted": {}}
    figure = diagnosis_figure(data("symmetric", bad, bad, loss=None), tmp_path / "figure.png")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["zero or not finite in every layer"]
    assert imread(tmp_path / "figure.png").shape[1] > 400


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_ticks_are_whole_layers(count):
    figure = diagnosis_figure(data("stable", *(layer(f"k{n}") for n in range(count))))
    figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in figure.axes[-1].get_xticks())


def test_a_network_without_layers():
    assert "stable" in printed(diagnosis_table(data("stable")))
    assert len(diagnosis_figure(data("stable")).axes) == 3
