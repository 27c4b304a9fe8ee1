"""What all pages share, in a real browser: charts, tables, controls, themes, hostile text."""

from pathlib import Path

import numpy as np
import pytest

from jinit.report.page import (
    Chart,
    DataTable,
    Fold,
    Frame,
    FrameChart,
    Headline,
    Paragraphs,
    Section,
    Snippet,
    TableColumn,
    chart_array,
    chart_text,
    log_axis,
    write_page,
)

from .accessibility import serious_violations

HOSTILE = "</script><script>document.title='x'</script> \" ' & 🎲 שלום \x1b[31m \u202e"
SHOWN = "</script><script>document.title='x'</script> \" ' & 🎲 שלום \\x1b[31m \\u202e"


def line(name: str, values: np.ndarray) -> dict:
    x, y = chart_array(np.arange(len(values))), chart_array(values)
    return {"type": "scatter", "name": chart_text(name, most=99), "x": x, "y": y}


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    curve = np.array([1.0, np.nan, 0.25])
    frames = [
        Frame(f"scale {scale}", [line("std", scale ** np.arange(1.0, 9.0))], {}, f"says {scale}")
        for scale in (0.5, 1.0, 2.0)
    ]
    rows = [
        ["he", 0.5, ("0.10 ± 0.01", 0.1)],
        [HOSTILE, 10.0, None],
        ["zeros", 9.0, ("0.02 ± 0.01", 0.02)],
        ["ones", float("nan"), None],
    ]
    columns = [TableColumn("start", HOSTILE), TableColumn("loss"), TableColumn("interval")]
    chart = Chart(f"Curves {HOSTILE}", [line(HOSTILE, curve), line("zeros", curve)], {})
    sections = [
        Section("Answer", [Headline(f"Use {HOSTILE}", [HOSTILE], "good"), Paragraphs([HOSTILE])]),
        Section("Curves", [chart]),
        Section(
            "Scale",
            [
                FrameChart(
                    "Std by layer",
                    "scale",
                    frames,
                    {"yaxis": log_axis(0.001, 300, "std")},
                    kind="slider",
                    first=1,
                ),
                FrameChart("Std again", "which", frames, {}),
            ],
        ),
        Section("Runs", [DataTable("All runs", columns, rows), Snippet(HOSTILE, "Again")]),
        Section("More", [Fold("More", [Paragraphs(["folded"]), chart])]),
        Section("Nothing", []),
    ]
    return write_page(tmp_path_factory.mktemp("page") / "page.html", f"Page {HOSTILE}", sections)


def test_hostile_text_is_shown_as_it_is(open_page, file):
    page = open_page(file)
    assert page.title() == f"Page {SHOWN}"
    assert page.inner_text(".answer") == f"Use {SHOWN}"
    assert page.inner_text("h1") == f"Page {SHOWN}"
    assert SHOWN in [*page.locator(".chart .legendtext").all_text_contents()]
    assert page.locator("td").nth(3).inner_text() == SHOWN
    assert page.locator("th button").first.get_attribute("title") == SHOWN
    assert "Nothing" not in page.inner_text("nav")


def test_no_other_script_runs_even_if_text_were_not_escaped(open_page, file, tmp_path):
    forged = tmp_path / "forged.html"
    text = file.read_text("utf-8")
    forged.write_text(text.replace("<main", "<script>document.title='forged'</script><main"))
    page = open_page(forged, expects="Content Security Policy")
    assert page.title() == f"Page {SHOWN}"


def test_a_slider_and_a_choice_show_other_frames(open_page, file):
    page = open_page(file)
    slider = page.locator("input[type=range]")
    drawn = page.locator(".chart").nth(1)
    values = "place => Array.from(place._fullData[0].y)"
    assert page.locator(".says").first.inner_text() == "says 1.0"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".control output").inner_text() == "scale 2.0"
    assert page.locator(".says").first.inner_text() == "says 2.0"
    assert drawn.evaluate(values) == [2.0**power for power in range(1, 9)]
    page.locator("select").select_option(label="scale 0.5")
    assert page.locator(".says").nth(1).inner_text() == "says 0.5"
    assert page.locator(".chart").nth(2).evaluate(values)[0] == 0.5


def test_a_table_sorts_numbers_as_numbers_and_filters(open_page, file):
    page = open_page(file)
    losses = page.locator("tbody tr td:nth-child(2)")
    head = page.locator("th button", has_text="loss")
    head.click()
    assert losses.all_inner_texts() == ["0.5", "9", "10", "–"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    head.press("Enter")
    assert losses.all_inner_texts() == ["10", "9", "0.5", "–"]
    page.get_by_label("Filter").fill("zEr")
    assert page.locator("tbody tr:visible").count() == 1
    assert page.locator(".tools output").inner_text() == "1 of 4 rows"


def test_a_chart_that_stands_twice_is_two_charts(open_page, file):
    page = open_page(file)
    found = page.locator("[id]").evaluate_all("nodes => nodes.map(node => node.id)")
    assert len(found) == len(set(found))
    numbers = page.locator(".chart").evaluate_all("nodes => nodes.map(each => each.dataset.chart)")
    assert numbers == ["0", "1", "2", "3"]


def test_gaps_stay_gaps_in_a_curve(open_page, file):
    page = open_page(file)
    points = "place => Array.from(place._fullData[0].y).map(y => Number.isNaN(y) ? 'gap' : y)"
    assert page.locator(".chart").first.evaluate(points) == [1.0, "gap", 0.25]


@pytest.mark.few(1)
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (380, "dark")])
def test_every_width_and_theme_is_accessible_and_fits(open_page, file, width, scheme):
    page = open_page(file, width, scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_kept_and_charts_follow(open_page, file):
    page = open_page(file)
    color = "document.querySelector('.chart').layout.template.layout.font.color"
    before = page.evaluate(color)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(color) != before
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_keyboard_alone_reaches_every_control(open_page, file):
    page = open_page(file)
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + document.activeElement.type"))
    assert {"A", "BUTTONbutton", "INPUTrange", "INPUTsearch", "SELECTselect-one"} <= reached


def test_printing_unfolds_everything_on_white(open_page, file):
    page = open_page(file, scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert len(page.pdf()) > 10_000
