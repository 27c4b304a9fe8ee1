"""Pages of diagnoses, phase diagrams and scales: their words, and data that they refuse."""

import json

import numpy as np
import pytest
from synthetic_diagnosis import HOSTILE, diagnosis, layer, phases, scale_data

from jinit.report.diagnosis.faults import VERDICT_MEANINGS
from jinit.report.diagnosis.page import diagnosis_report
from jinit.report.diagnosis.phase_page import phase_report
from jinit.report.diagnosis.text import diagnosis_text, headline_text
from jinit.report.layer_traces import LogRange, layer_axis, range_trace, short_layer_names
from jinit.report.page import log_axis
from jinit.report.scale.page import scale_report
from jinit.report.scale.text import scale_text

ESCAPED = "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"


def test_a_page_says_what_the_terminal_says(tmp_path):
    data = json.loads(json.dumps(diagnosis()))
    page = diagnosis_report(data, tmp_path / "a.html").read_text("utf-8")
    assert headline_text(data) in page
    assert VERDICT_MEANINGS["vanishing"] in page
    for line in diagnosis_text(data).splitlines()[1:]:
        words = line.strip().removeprefix("•").split(maxsplit=1)[-1]
        assert words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert "<img" not in page
    assert ESCAPED in page


def test_data_of_older_versions_is_shown(tmp_path):
    old = layer(0)
    for name in ("healthy", "histograms", "shape", "source"):
        del old[name]
    data = diagnosis(layers=[old], faults=[], verdict="stable")
    for name in ("other_faults", "learning_rate", "jacobian", "provenance"):
        del data[name]
    page = diagnosis_report(data, tmp_path / "a.html").read_text("utf-8")
    assert "Not measured. jinit.diagnose(..., jacobian=True)" in page
    assert "Histograms" not in page


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1], "not a diagnosis: the whole: expected an object, got [1]; expected what"),
        ({"accuracy": 1}, "not a diagnosis: 'verdict' is missing"),
        (diagnosis(verdict="fine"), "verdict: expected one of overflowing, underflowing"),
        (diagnosis(layers=[{"path": "a"}]), "'layers[0].verdict' is missing"),
        (diagnosis(layers=[layer(0, statistics={})]), "'layers[0].statistics.rms' is missing"),
        (diagnosis(layers=[layer(0, predicted={"rms": [1]})]), "expected three numbers, got [1]"),
        (diagnosis(layers=[layer(0, histograms={"a": [1]})]), "a: expected a histogram"),
        (diagnosis(notes=[3]), "notes[0]: expected a text, got 3"),
        (diagnosis(jacobian={"largest": "x"}), "'jacobian.singular_values' is missing"),
        (diagnosis(loss="nan"), "loss: expected a number, got 'nan'"),
    ],
)
def test_what_is_not_a_diagnosis_is_named(tmp_path, data, words):
    with pytest.raises(ValueError, match="not a diagnosis") as caught:
        diagnosis_report(data, tmp_path / "a.html")
    assert words in str(caught.value)
    assert not (tmp_path / "a.html").exists()


def test_names_of_layers_lose_what_they_share():
    loop = [f"params/loop/up/kernel[{number}]" for number in range(2)]
    assert short_layer_names([*loop, "params/head/kernel#2"]) == [
        "loop/up[0]",
        "loop/up[1]",
        "head#2",
    ]
    assert short_layer_names(["w"]) == ["w"]
    assert max(map(len, short_layer_names(["x" * 50 + "1", "y"]))) == 20
    assert len(layer_axis([f"layer_{n}" for n in range(70)])["tickvals"]) <= 24


def test_a_log_axis_has_few_ticks_and_room_for_what_is_drawn():
    assert log_axis(1e-40, 1e40, "loss")["dtick"] == 8
    assert log_axis(1e-4, 1e4, "loss")["dtick"] == 1
    ends = LogRange.of(np.array([0.0, np.nan, 3.0]))
    assert ends.low < 3 < ends.high
    assert ends.high / ends.low >= 9.99
    assert LogRange.of(np.zeros(2)) == (0.1, 1.0)
    edges = range_trace(np.array([[np.nan, 1.0], [0.0, 1e300]]), "range", "#000000", ends.low)
    assert edges["fill"] == "toself"


def test_the_scales_in_words(tmp_path):
    data = scale_data()
    assert scale_text(data).splitlines() == [
        "stable at × 1",
        "  vanishing    × 0.5",
        "  stable       × 1",
        "  overflowing  × 2",
        "  the kernels need × 1.41 by theory",
    ]
    page = scale_report(data, tmp_path / "a.html").read_text("utf-8")
    assert "Stable at × 1" in page
    assert "<img" not in page
    assert ESCAPED in page
    assert HOSTILE not in page


def test_a_phase_diagram_names_the_phase_of_the_network(tmp_path):
    page = phase_report(phases(), tmp_path / "a.html").read_text("utf-8")
    assert "σ_w = 1.05 and σ_b = 0, is critical: χ = 1 in the nearest cell" in page
    far = phases() | {"own": {"sigma_w": 9.0, "sigma_b": 0.0}}
    page = phase_report(far, tmp_path / "a.html").read_text("utf-8")
    assert "σ_w = 9 and σ_b = 0, is outside of this diagram" in page
    depths = phases() | {"own": None, "depths": [2, 8], "sigma_b": [0.0, 0.0]}
    page = phase_report(depths, tmp_path / "a.html").read_text("utf-8")
    assert "Where this network is ordered, critical or chaotic" in page
