"""Lesson: the rules of LeCun, Xavier and He, step by step, with a calculator."""

from collections.abc import Sequence

from jinit.report.learn.drawing import lesson_table
from jinit.report.learn.numbers import (
    ActivationRow,
    LessonNumbers,
    PageConstants,
    PublishedForm,
    SigmoidForm,
)
from jinit.report.page import (
    ActivationGain,
    Calculator,
    DataTable,
    Formula,
    Prose,
    Section,
    Snippet,
    TableColumn,
    VarianceRule,
)


def scale_section(numbers: LessonNumbers) -> Section:
    """Return the lesson that derives the rules of Xavier and He.

    Args:
      numbers: the constants, published forms and gains.
    """
    constants = numbers.constants
    return Section(
        "3. Xavier and He, derived",
        [
            Prose(
                [
                    "How large should random weights be? One sum is all there is to it. Let "
                    "$n_in$ be the number of inputs of a unit, and $n_out$ the number of units "
                    "that each input goes to."
                ]
            ),
            _xavier_steps(constants),
            Prose(
                [
                    "So far the units were linear, which tanh is near 0. relu sets half of its "
                    "arguments to zero:"
                ]
            ),
            _he_steps(constants),
            Prose(
                [
                    "Many libraries cut the normal distribution at two standard deviations, so "
                    "that no weight is huge. This makes it narrower, and a good sampler divides by "
                    f"the factor $s = {constants.truncated_std:.4f}$ first:"
                ]
            ),
            Formula(
                [
                    (
                        "s = √{1 − {4 p(2)}/{2 P(2) − 1}}",
                        "The standard deviation of a standard normal number that is kept if it is "
                        "between −2 and 2, with the normal density $p$ and distribution function "
                        "$P$. jinit and JAX divide by it in `he_normal` and its relatives.",
                    )
                ]
            ),
            Prose(["Calculate the scales of any layer:"]),
            _calculator(numbers.activations, constants),
            *_published_blocks(numbers.published, numbers.published_shape),
            *_sigmoid_blocks(numbers.sigmoid),
            Snippet(
                "jinit.he_normal()          # variance 2 / n_in, for relu\n"
                "jinit.xavier_uniform()     # ± √(6 / (n_in + n_out))\n"
                'jinit.variance_scaling(2.0, "fan_out", "normal")  # He, backward'
            ),
        ],
    )


def _xavier_steps(constants: PageConstants) -> Formula:
    variance = 10 * 1.0 * 1.0
    return Formula(
        [
            (
                "h = w_1 x_1 + w_2 x_2 + … + w_{n_in} x_{n_in}",
                "A unit sums $n_in$ products. Weights are independent, with mean 0, and "
                "independent of the inputs.",
            ),
            (
                "Var(h) = n_in Var(w) E[x^2]",
                "Variances of independent terms add, and $Var(w x) = Var(w) E[x^2]$ because "
                "$E[w] = 0$. Ten inputs with $E[x^2] = 1$ and weights of variance 1 give "
                f"$Var(h) = {variance:g}$.",
            ),
            (
                'n_in Var(w) = 1 "  so  " Var(w) = 1/n_in',
                "Forward: the signal keeps its size if this factor is 1 (LeCun et al. 1998, "
                "section 4.6; Glorot & Bengio 2010, equation 10).",
            ),
            (
                'n_out Var(w) = 1 "  so  " Var(w) = 1/n_out',
                "Backward: the gradient by an input sums $n_out$ products with the same weights "
                "(equation 11).",
            ),
            (
                "Var(w) = 2/{n_in + n_out}",
                "Both hold only if $n_in = n_out$. The compromise of Glorot & Bengio (equation "
                "12), called Xavier or Glorot initialization, divides by the mean of the two.",
            ),
            (
                'Var(U(−a, a)) = a^2/3 "  so  " a = √{6/{n_in + n_out}}',
                "The bound of a uniform distribution with that variance (equation 16). For "
                f"$n_in = 4$ and $n_out = 6$ it is $√{{6/10}} = {constants.bound_4_6:.4f}$; for "
                f"$n_in = 4$ and $n_out = 2$ it is $√{{6/6}} = {constants.bound_4_2:.4g}$.",
            ),
        ]
    )


def _he_steps(constants: PageConstants) -> Formula:
    return Formula(
        [
            (
                "E[relu(h)^2] = {1/2} E[h^2]",
                "$h$ is symmetric around 0, so that the negative half, which relu removes, has "
                f"half of the mean square: ${constants.relu_second:g}$ for $E[h^2] = 1$.",
            ),
            (
                '{1/2} n_in Var(w) = 1 "  so  " Var(w) = 2/n_in',
                "He et al. 2015, equation 10. The standard deviation is $√{2/n_in}$, for "
                f"$n_in = 50$ it is {constants.he_std_50:.4g}.",
            ),
            (
                "a = √{3 Var(w)} = √{6/n_in}",
                f"The uniform bound; for $n_in = 6$ it is {constants.he_bound_6:.4g}.",
            ),
            (
                '{1/2} n_out Var(w) = 1 "  so  " Var(w) = 2/n_out',
                "Backward (equation 14). Either is enough: with the other one, all layers "
                "together change the signal by a ratio of two widths, not by a power of the depth.",
            ),
            (
                "Var(w) = 2/{(1 + s^2) n_in}",
                "For leaky relu of slope $s$ below zero (equation 15).",
            ),
            (
                'Var(w) = g^2/n_in "  with the gain  " g = 1/√{E[φ(z)^2]}',
                "For any activation $φ$, with $z$ standard normal: the mean square of the next "
                f"pre-activation is 1 again. For relu $g = √2 = {constants.relu_gain:.4f}$.",
            ),
        ]
    )


def _calculator(rows: Sequence[ActivationRow], constants: PageConstants) -> Calculator:
    rules = [
        VarianceRule("gain of the activation", None, "in", "mean square of the signal"),
        VarianceRule("LeCun", 1.0, "in", "signal of linear units"),
        VarianceRule("Xavier", 1.0, "average", "signal and gradient, as far as both can be kept"),
        VarianceRule("He", 2.0, "in", "signal of relu units"),
        VarianceRule("He, backward", 2.0, "out", "gradient of relu units"),
        VarianceRule("sigmoid_normal", 4.0, "in", "pre-activations of tanh, for sigmoid"),
    ]
    ordered = sorted(rows, key=lambda row: row.name != "relu")
    gains = [
        ActivationGain(
            row.name,
            row.gain**2,
            f"{row.name} has the gain {row.gain:.4f}; the usual choice is jinit.{row.initializer}.",
        )
        for row in ordered
    ]
    return Calculator(rules, gains, constants.truncated_std)


def _published_blocks(
    forms: Sequence[PublishedForm], shape: tuple[int, int]
) -> tuple[Prose, DataTable]:
    fan_in, fan_out = shape
    text = (
        "The published forms differ, and so do libraries and courses. Some call $1/n_in$ Xavier, "
        "which is only its forward condition. The oldest one, a bound of $1/√{n_in}$, has a third "
        "of LeCun's variance, and is still the default of PyTorch's linear layers."
    )
    table = lesson_table(
        f"Published scales, with numbers for n_in = {fan_in} and n_out = {fan_out}",
        [
            TableColumn("name"),
            TableColumn("variance"),
            TableColumn("uniform bound"),
            TableColumn("source"),
            TableColumn("std", "standard deviation of a weight", 4),
            TableColumn("bound", "bound of the uniform distribution", 4),
        ],
        [
            [form.name, form.variance, form.bound, form.source, form.std, form.largest]
            for form in forms
        ],
    )
    return Prose([text]), table


def _sigmoid_blocks(forms: Sequence[SigmoidForm]) -> tuple[Prose, DataTable, Prose]:
    largest = max(form.chi_1 for form in forms)
    table = lesson_table(
        "Scales in use before sigmoid; numbers for n_in = n_out and zero biases",
        [
            TableColumn("variance"),
            TableColumn("source"),
            TableColumn("reason"),
            TableColumn("n_in · variance", digits=4),
            TableColumn("χ₁", "factor of the squared gradient per layer, deep in a network", 3),
        ],
        [[form.rule, form.source, form.reason, form.sigma_w2, form.chi_1] for form in forms],
    )
    before = (
        "For sigmoid, $1/(1 + e^{−x})$, four scales are in use, which answer four different "
        "questions. None is wrong, but name the one you mean."
    )
    after = (
        f"None of them makes a deep network of sigmoids trainable: even the largest leaves "
        f"{largest:.2f} of the squared gradient in each layer, and over ten layers "
        f"{largest**10:.1g} of it. The mean of sigmoid is ½, not 0, and its slope is at most ¼."
    )
    return Prose([before]), table, Prose([after])
