"""The parts of a page that teaches: text with formulas, derivations, a quiz, a calculator.

Their texts are those of jinit, with formulas in the notation of `formula_markup`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple


@dataclass(frozen=True)
class Prose:
    """Paragraphs of text, with formulas between dollar signs and code between backquotes."""

    texts: Sequence[str]

    template: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Formula:
    """A formula or the steps of a derivation, each with the reason that leads to it."""

    steps: Sequence[tuple[str, str]]
    """Pairs of a formula and its reason, a text with formulas between dollar signs."""

    template: ClassVar[str] = "formula"


@dataclass(frozen=True)
class Question:
    """A question with a choice of answers, or one that a number answers."""

    name: str
    """Name under which the page remembers the answer."""
    text: str
    right: float
    """The number; with choices the place of the right one."""
    worked: str
    """The worked answer, shown after an answer."""
    choices: Sequence[str] = ()
    """Answers as plain text: screen readers do not read formulas in labels."""
    tolerance: float = 0.0
    """Largest error of a number that is correct."""

    @property
    def right_text(self) -> str:
        """The right answer as text."""
        return self.choices[int(self.right)] if self.choices else f"{self.right:.4g}"


@dataclass(frozen=True)
class Quiz:
    """Questions with worked answers; the page remembers what was answered."""

    name: str
    """Name under which the browser keeps the answers."""
    questions: Sequence[Question]

    template: ClassVar[str] = "quiz"
    script: ClassVar[str] = "quiz.js"


class VarianceRule(NamedTuple):
    """An initialization whose variance is a factor over a fan."""

    name: str
    factor: float | None
    """The factor; None for the squared gain of the activation that is chosen."""
    fan: Literal["in", "out", "average"]
    keeps: str
    """The quantity that it preserves."""


class ActivationGain(NamedTuple):
    """An activation and the scale that it needs."""

    name: str
    gain2: float
    """Squared gain 1 / E[φ²]."""
    advice: str
    """A sentence: which initializer to use."""


@dataclass(frozen=True)
class Calculator:
    """Standard deviations and bounds of initializations, for a layer that the reader types in."""

    rules: Sequence[VarianceRule]
    activations: Sequence[ActivationGain]
    truncated_std: float
    """Standard deviation of the standard normal distribution, truncated at ±2."""
    fan_in: int = 4
    fan_out: int = 6
    """Sizes that are shown first."""

    template: ClassVar[str] = "calculator"
    script: ClassVar[str] = "calculator.js"
