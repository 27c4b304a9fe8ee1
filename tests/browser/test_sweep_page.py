"""The page of a sweep in a real browser: hostile names, widths and themes, charts and tables."""

from pathlib import Path

import pytest
from report.synthetic import diverged, grid, lane, write_sweep

from jinit.report import Results

from .accessibility import serious_violations

HOSTILE = "<script>document.title='x'</script> \" ' & %{x} 🎲 שלום \x1b[31m"
SHOWN = "<script>document.title='x'</script> \" ' & %{x} 🎲 שלום \\x1b[31m"
AXES = {
    "init": ["zeros", HOSTILE, "he_normal"],
    HOSTILE: [HOSTILE, "plain"],
    "lr": [0.01, 1.0],
    "l2": [0.0, 0.1],
}


def make(config: dict, seed: int) -> dict:
    if config["lr"] == 1.0:
        return diverged(config, seed)
    value = 0.5 + 0.1 * AXES["init"].index(config["init"]) + 0.01 * seed
    return lane(config, seed, value, activation_std=[1.0, 0.5, 0.0, 1.0])


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    changes = {"task": HOSTILE, "device": HOSTILE, "command": f"jinit sweep '{HOSTILE}'"}
    directory = write_sweep(folder / "sweep", AXES, grid(AXES, 4, make), **changes)
    return Results(directory).report(folder / "page.html")


def test_hostile_names_are_shown_and_every_chart_has_its_data(open_page, file):
    page = open_page(file)
    assert page.title() == page.inner_text("h1") == f"Initializations on {SHOWN}"
    assert page.locator(".answer").first.inner_text().startswith(SHOWN)
    assert SHOWN in page.locator("td").all_text_contents()
    assert SHOWN in page.locator("option").nth(0).inner_text()
    charts = page.locator(".chart")
    assert charts.count() == 9
    assert charts.evaluate_all("all => all.every(each => each._fullData.length > 0)")
    legend = charts.first.locator(".legendtext").all_text_contents()
    assert any(text.startswith(SHOWN[:30]) for text in legend)  # charts cut long names
    axis = "place => place._fullLayout.yaxis.title.text"
    assert charts.first.evaluate(axis) == "validation loss"
    page.locator("select").first.select_option(index=1)
    assert charts.first.evaluate(axis) == "validation accuracy"


def test_a_narrow_page_fits_is_accessible_and_answers_on_the_first_screen(open_page, file):
    page = open_page(file, 390, "dark")
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".answer").first.bounding_box()
    assert box["y"] + box["height"] < 900
