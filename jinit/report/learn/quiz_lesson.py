"""The quiz: questions whose answers are numbers of the page."""

import math
from collections.abc import Sequence

from jinit.report.learn.numbers import LessonNumbers
from jinit.report.page import Prose, Question, Quiz, Section

_TOLERANCE = 0.006
"""Relative error of a number that is correct: three digits are enough."""


def quiz_section(numbers: LessonNumbers) -> Section:
    """Return the quiz.

    Args:
      numbers: the numbers that the page shows.
    """
    questions = [*_scale_questions(numbers), *_choice_questions(numbers)]
    return Section(
        "9. Quiz",
        [
            Prose(
                [
                    "Answers are checked here, and this browser remembers them. Numbers need three "
                    "digits."
                ]
            ),
            Quiz("initialization", questions),
        ],
    )


def _number(name: str, text: str, right: float, worked: str) -> Question:
    return Question(name, text, right, worked, tolerance=_TOLERANCE * abs(right))


def _scale_questions(numbers: LessonNumbers) -> Sequence[Question]:
    constants = numbers.constants
    return [
        _number(
            "sum",
            "A unit sums 10 products of weights and inputs, all independent. Weights have mean 0 "
            "and variance 1, inputs have mean square 1. What is the variance of the sum?",
            10 * 1.0 * 1.0,
            "$Var(h) = n_in Var(w) E[x^2]$ $= 10 · 1 · 1 = 10$.",
        ),
        _number(
            "xavier-4-6",
            "What is the bound of Xavier's uniform distribution for $n_in = 4$ and $n_out = 6$?",
            constants.bound_4_6,
            f"$√{{6/{{n_in + n_out}}}} = √{{6/10}} = {constants.bound_4_6:.4f}$.",
        ),
        _number(
            "xavier-4-2",
            "And for $n_in = 4$ and $n_out = 2$?",
            constants.bound_4_2,
            f"$√{{6/{{4 + 2}}}} = √{{6/6}} = {constants.bound_4_2:.4g}$.",
        ),
        _number(
            "gain-relu",
            "What is the gain of relu?",
            constants.relu_gain,
            "$E[relu(z)^2] = 1/2$, because half of the normal distribution is cut off, and "
            f"$g = 1/√{{1/2}} = √2 = {constants.relu_gain:.4f}$.",
        ),
        _number(
            "he-50",
            "Which standard deviation does He's rule give for $n_in = 50$?",
            constants.he_std_50,
            f"$√{{2/n_in}} = √{{2/50}} = {constants.he_std_50:.4g}$. $n_out$ does not count.",
        ),
        _number(
            "lecun-relu",
            "A relu network has LeCun's weights, $Var(w) = 1/n_in$. By which factor does the mean "
            "square of the signal change over 20 layers?",
            constants.lecun_growth,
            "Each layer halves it: $n_in Var(w) · 1/2 = 1/2$, and "
            f"$2^{{−20}} = {constants.lecun_growth:.3g}$. You may type it as 9.54e-7.",
        ),
        _number(
            "truncated",
            "A normal distribution of standard deviation 1 is cut at ±2. What is its standard "
            "deviation then?",
            constants.truncated_std,
            f"{constants.truncated_std:.4f}. To get 0.1 after the cut, a sampler starts from "
            f"0.1/{constants.truncated_std:.4f} = {0.1 / constants.truncated_std:.4f}.",
        ),
        _number(
            "quadratic",
            f"The largest eigenvalue of the Hessian is {numbers.rates.curvature:g}. Above which "
            "learning rate does gradient descent diverge?",
            2 / numbers.rates.curvature,
            f"$2/λ = 2/{numbers.rates.curvature:g} = {2 / numbers.rates.curvature:g}$.",
        ),
    ]


def _choice_questions(numbers: LessonNumbers) -> Sequence[Question]:
    equal = numbers.symmetry.runs[1]
    chance = numbers.constants.loss_of_chance
    sigmoid = max(form.chi_1 for form in numbers.sigmoid)
    return [
        Question(
            "zeros",
            "All weights of a layer begin with the same number. What happens?",
            1,
            "Equal units get equal gradients and stay equal: after training the hidden weights of "
            f"lesson 1 have rank {equal.rank}.",
            (
                "It learns, only more slowly.",
                "All its units stay equal, as if it had one.",
                "Its gradients explode.",
            ),
        ),
        Question(
            "relu-choice",
            "Which initializer belongs before relu?",
            2,
            "$Var(w) = 2/n_in$ makes up for the half of the mean square that relu removes.",
            ("lecun_normal", "xavier_uniform", "he_normal", "zeros"),
        ),
        Question(
            "tanh-choice",
            "Which one belongs before tanh in a deep chain without normalization?",
            0,
            "$σ_w^2 = 1$ has $χ_1 = 1$ at zero bias. The gain 5/3 of PyTorch has "
            f"$χ_1 = {numbers.constants.tanh_chi:.4f}$: over 50 layers the squared gradient grows "
            f"by {numbers.constants.tanh_chi**50:.2g}.",
            (
                "lecun_normal (gain 1) or orthogonal",
                "he_normal (gain √2)",
                "normal with gain 5/3",
            ),
        ),
        Question(
            "sigmoid-choice",
            "Which scale makes a network of 20 sigmoid layers keep signal and gradient?",
            3,
            f"None does: among the published ones the best leaves {sigmoid:.2f} of the squared "
            f"gradient per layer, {sigmoid**20:.1g} over 20 layers.",
            (
                "1/n_in",
                "4/n_in",
                "16/n_in",
                "none; use another activation or a normalization",
            ),
        ),
        Question(
            "loss-stuck",
            f"The loss of 10 classes stays at {chance:.2f}. What do you check first?",
            0,
            f"{chance:.4f} is ln 10, the loss of a guess, so nothing has been learned. Compare the "
            "sizes of activations and gradients, layer by layer, before the first step: "
            "`jinit.diagnose` does it in one pass. Zeros or vanishing gradients are the usual "
            "cause; only then comes the learning rate.",
            (
                "whether a gradient of a healthy size arrives in every layer before the first step",
                "whether more epochs help",
                "whether a wider network helps",
                "whether stronger regularization helps",
            ),
        ),
        Question(
            "orthogonal",
            "Why orthogonal weights in a deep linear network?",
            1,
            f"After {numbers.chains.depths[-1]} layers the largest stretch is "
            f"{numbers.chains.largest['linear, orthogonal'][-1]:.3g} with orthogonal and "
            f"{numbers.chains.largest['linear, gaussian'][-1]:.3g} with Gaussian weights.",
            (
                "They are cheaper to draw.",
                "They keep the length of every signal, not only the average one.",
                f"They need no learning rate below {math.sqrt(2):.2f}.",
            ),
        ),
    ]
