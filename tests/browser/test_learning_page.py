"""The learning page in a real browser: quiz by keyboard, calculator, slider, accessibility."""

from pathlib import Path

import pytest
from lesson_numbers import SIGMAS, lesson_numbers

from jinit.initializers import he_normal, lecun_uniform, xavier_uniform
from jinit.report.learn import write_learning_page

from .accessibility import serious_violations


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return write_learning_page(tmp_path_factory.mktemp("learn") / "learn.html", lesson_numbers())


def question(page, name):
    return page.locator(f'form[data-name="{name}"]')


def mark(page, name):
    return question(page, name).locator(".mark").inner_text()


@pytest.mark.slow
def test_the_quiz_by_keyboard_and_its_memory(open_page, file):
    page = open_page(file)
    score = page.locator(".score")
    assert score.inner_text() == "0 of 14 questions answered, 0 correct."
    page.locator('form[data-name="sum"] input').focus()
    page.keyboard.type("a guess")
    page.keyboard.press("Enter")
    assert mark(page, "sum") == "Type a number, such as 0.5."
    page.keyboard.press("Control+a")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    assert mark(page, "sum") == "✗ Not correct."
    assert "Answer: 10." in question(page, "sum").locator(".worked").inner_text()
    page.keyboard.press("Control+a")
    page.keyboard.type("10")
    page.keyboard.press("Enter")
    assert mark(page, "sum") == "✓ Correct."
    page.keyboard.press("Tab")  # to its button, and on to the next question
    page.keyboard.press("Tab")
    page.keyboard.type("0,775")
    page.keyboard.press("Enter")
    assert mark(page, "xavier-4-6") == "✓ Correct."
    page.locator('form[data-name="relu-choice"] button').press("Enter")
    assert mark(page, "relu-choice") == "Choose an answer first."
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert "Correct" in mark(page, "relu-choice") or "Not correct" in mark(page, "relu-choice")
    assert score.inner_text() == "3 of 14 questions answered, 2 correct."
    page.reload()
    assert score.inner_text() == "3 of 14 questions answered, 2 correct."
    assert mark(page, "sum") == "✓ Correct."
    assert page.locator('form[data-name="sum"] input').input_value() == "10"
    page.get_by_role("button", name="Forget all answers").press("Enter")
    assert score.inner_text() == "0 of 14 questions answered, 0 correct."
    assert not question(page, "sum").locator(".worked").is_visible()


@pytest.mark.slow
def test_every_right_answer_is_accepted(open_page, file):
    page = open_page(file)
    for form in page.locator(".question").all():
        right = form.get_attribute("data-right")
        if form.locator("input[type=radio]").count():
            form.locator(f'input[value="{int(float(right))}"]').check()
        else:
            form.locator("input").fill(f"{float(right):.3g}")
        form.locator("button").click()
        assert form.locator(".mark").inner_text() == "✓ Correct."
    assert page.locator(".score").inner_text() == "14 of 14 questions answered, 14 correct."


@pytest.mark.slow
def test_a_broken_memory_is_an_empty_one(open_page, file):
    page = open_page(file)
    for storage in ("not json", "[]", "null"):
        page.evaluate("text => localStorage.setItem('jinit-quiz-initialization', text)", storage)
        page.reload()
        assert page.locator(".score").inner_text().startswith("0 of 14")


def test_the_calculator_agrees_with_jinit(open_page, file):
    page = open_page(file)
    rows = {
        row.locator("td").first.inner_text(): row
        for row in page.locator(".calculator tbody tr").all()
    }

    def cell(name: str, column: str) -> float:
        return float(rows[name].locator(f'[data-cell="{column}"]').inner_text())

    for shape in ((4, 6), (4, 2), (300, 100)):
        page.locator(".fan-in").fill(str(shape[0]))
        page.locator(".fan-out").fill(str(shape[1]))
        xavier, he = xavier_uniform().marginal(shape), he_normal().marginal(shape)
        assert cell("Xavier", "bound") == pytest.approx(xavier.high, rel=1e-4)
        assert cell("He", "std") == pytest.approx(he.std, rel=1e-4)
        assert cell("He", "untruncated") == pytest.approx(he.high / 2, rel=1e-4)
        assert cell("LeCun", "bound") == pytest.approx(
            lecun_uniform().marginal(shape).high, rel=1e-4
        )
        assert cell("gain of the activation", "variance") == pytest.approx(2 / shape[0], rel=1e-4)
    page.locator(".activation").select_option(label="tanh")
    assert cell("gain of the activation", "variance") == pytest.approx(2.53617543 / 300, rel=1e-4)
    assert "1.5925" in page.locator(".advice").inner_text()
    page.locator(".fan-in").fill("0")
    assert rows["He"].locator('[data-cell="std"]').inner_text() == "–"
    assert "whole numbers" in page.locator(".advice").inner_text()


@pytest.mark.slow
def test_the_slider_shows_another_scale(open_page, file):
    page = open_page(file)
    slider = page.locator("input[type=range]").first
    assert slider.input_value() == str(SIGMAS.index(1.0))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".control output").first.inner_text() == "2"
    says = page.locator(".says").first.inner_text()
    assert says.startswith("Activations: 2 in the first layer, 16 in the last.")
    sizes = "Array.from(document.querySelectorAll('.chart')[1]._fullData[1].y)"
    assert page.evaluate(sizes) == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [pytest.param(1200, "light", marks=pytest.mark.slow), (390, "dark")]
)
def test_the_page_is_accessible_and_fits(open_page, file, width, scheme):
    page = open_page(file, width, scheme)
    question(page, "sum").locator("input").fill("3")
    question(page, "sum").locator("button").click()
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
