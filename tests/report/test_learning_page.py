"""The learning page from its numbers: the quiz's answers, formulas, and lessons that lack data."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from lesson_numbers import lesson_numbers

from jinit.report.learn import write_learning_page
from jinit.report.learn.digits_lesson import digits_section
from jinit.report.learn.quiz_lesson import quiz_section
from jinit.report.page import Prose, Quiz, formula_markup, prose_markup

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def numbers():
    return lesson_numbers()


@pytest.fixture(scope="module")
def questions(numbers):
    (quiz,) = [block for block in quiz_section(numbers).blocks if isinstance(block, Quiz)]
    return {question.name: question for question in quiz.questions}


def test_answers_that_are_numbers(questions):
    right = {name: each.right for name, each in questions.items() if not each.choices}
    assert right == pytest.approx(
        {
            "sum": 10.0,
            "xavier-4-6": 0.7745966692,
            "xavier-4-2": 1.0,
            "gain-relu": math.sqrt(2),
            "he-50": 0.2,
            "lecun-relu": 1 / 2**20,
            "truncated": 0.8796256610,
            "quadratic": 0.2,
        }
    )
    for question in questions.values():
        assert question.choices or 0 < question.tolerance < 0.01 * question.right


def test_answers_that_are_chosen(questions):
    right = {name: each.right_text for name, each in questions.items() if each.choices}
    assert right == {
        "zeros": "All its units stay equal, as if it had one.",
        "relu-choice": "he_normal",
        "tanh-choice": "lecun_normal (gain 1) or orthogonal",
        "sigmoid-choice": "none; use another activation or a normalization",
        "loss-stuck": "whether a gradient of a healthy size arrives in every layer before the "
        "first step",
        "orthogonal": "They keep the length of every signal, not only the average one.",
    }
    assert len(questions) >= 10


def test_the_page_holds_the_formulas_and_numbers(numbers, tmp_path):
    text = write_learning_page(tmp_path / "learn.html", numbers).read_text("utf-8")
    for shown in ("0.7746", "1.4142", "0.8796", "jinit of tests", "he_normal is best."):
        assert shown in text
    for name in ("Glorot", "LeCun", "Hinton", "Saxe", "Poole"):
        assert name in text


def test_missing_digits_are_said():
    section = digits_section("The digits need scikit-learn.", math.log(10))
    (block,) = section.blocks
    assert isinstance(block, Prose)
    assert block.texts[-1] == "The digits need scikit-learn."


@pytest.mark.parametrize(
    ("formula", "markup"),
    [
        ("x_1^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
        ("e^{−x}", "<msup><mi>e</mi><mrow><mo>−</mo><mi>x</mi></mrow></msup>"),
        ("a/b_2", "<mfrac><mi>a</mi><msub><mi>b</mi><mn>2</mn></msub></mfrac>"),
        (
            "(a)^2",
            "<msup><mrow><mo>(</mo><mrow><mi>a</mi></mrow><mo>)</mo></mrow><mn>2</mn></msup>",
        ),
        ("√2 < 0.5", "<msqrt><mn>2</mn></msqrt><mo>&lt;</mo><mn>0.5</mn>"),
    ],
)
def test_notation_of_formulas(formula, markup):
    found = formula_markup(formula)
    assert found == f"<math><mrow>{markup}</mrow></math>"
    ElementTree.fromstring(found)


@pytest.mark.parametrize("formula", ["{a", "(a", "a)", "a/", "a^", "√"])
def test_a_formula_that_ends_early_is_an_error(formula):
    with pytest.raises(ValueError, match="expected an operand"):
        formula_markup(formula)


def test_text_around_formulas_is_escaped():
    assert prose_markup("<b> & $x$") == (
        '&lt;b&gt; &amp; <span class="formula"><math><mrow><mi>x</mi></mrow></math></span>'
    )
    assert "<script>" not in prose_markup("`<script>` $<script>$")
