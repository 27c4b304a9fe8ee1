"""Pages of diagnoses, phase diagrams and scales, in a real browser."""

from pathlib import Path

import pytest
from synthetic_diagnosis import HOSTILE, diagnosis, phases, scale_data

from jinit.report.diagnosis.page import diagnosis_report
from jinit.report.diagnosis.phase_page import phase_report
from jinit.report.scale.page import scale_report

from .accessibility import serious_violations

SHOWN = HOSTILE.replace("\x1b", "\\x1b")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "diagnosis": diagnosis_report(diagnosis(), folder / "diagnosis.html"),
        "deep": diagnosis_report(diagnosis(70), folder / "deep.html"),
        "phases": phase_report(phases(), folder / "phases.html"),
        "scale": scale_report(scale_data(), folder / "scale.html"),
    }


def test_a_diagnosis_shows_its_fault_first_and_marks_what_cannot_be_drawn(open_page, files):
    page = open_page(files["diagnosis"])
    assert page.inner_text(".answer").startswith("✗ vanishing: signal or gradient decays")
    assert page.locator("pre").first.inner_text() == "kernel_init=jinit.he_normal()"
    assert f"Why: its gain is too small {SHOWN}" in page.inner_text("main")
    legend = page.locator(".legendtext").all_text_contents()
    for name in ("range of healthy networks", "with a fault", "zero (at the lower end)"):
        assert name in legend
    assert "not finite (at the upper end)" in legend
    assert page.locator(".table").first.locator("tbody tr").count() == 3
    assert page.locator("tbody td").nth(1).inner_text() == f"params/{SHOWN}_0/kernel"


def test_the_slider_over_layers_names_them(open_page, files):
    page = open_page(files["diagnosis"])
    page.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".control output").inner_text() == f"params/{SHOWN}_1/kernel"
    assert page.locator(".says").inner_text().startswith("vanishing: RMS 1, activations that are 0")


def test_the_slider_over_scales_moves_every_layer(open_page, files):
    page = open_page(files["scale"])
    heights = "place => place._fullData.filter(t => t.name === 'measured').map(t => [...t.y])"
    chart = page.locator(".chart").first
    assert page.locator(".says").inner_text().startswith("✓ stable")
    assert chart.evaluate(heights) == [[1, 1], [1, 1]]
    page.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".control output").inner_text() == "× 2"
    assert page.locator(".says").inner_text().endswith("not finite")
    assert "not finite (at the upper end)" in chart.evaluate(
        "place => place._fullData.map(t => t.name)"
    )


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("diagnosis", 390, "dark"),
        pytest.param("deep", 1200, "light", marks=pytest.mark.slow),
        ("phases", 390, "light"),
        ("scale", 390, "dark"),
    ],
)
def test_every_page_is_accessible_and_fits(open_page, files, name, width, scheme):
    page = open_page(files[name], width, scheme)
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").count() == 0
