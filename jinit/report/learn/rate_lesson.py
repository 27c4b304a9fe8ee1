"""Lesson: learning rate, curvature and regularization beside the scale of the weights."""

import numpy as np

from jinit.report.learn.drawing import (
    BLUE,
    GREEN,
    PURPLE,
    VERMILION,
    lesson_table,
    line_trace,
    titled_axis,
)
from jinit.report.learn.numbers import RateNumbers
from jinit.report.page import (
    LEGEND_ABOVE,
    Chart,
    DataTable,
    Formula,
    Prose,
    Section,
    Snippet,
    TableColumn,
    log_axis,
)

_LINES = ((BLUE, "solid"), (GREEN, "dash"), (PURPLE, "dot"), (VERMILION, "solid"))


def rate_section(numbers: RateNumbers) -> Section:
    """Return the lesson on learning rates and regularization.

    Args:
      numbers: runs on a quadratic, eigenvalues and weight decay.
    """
    eigenvalues = numbers.largest_eigenvalues
    return Section(
        "8. Learning rate and regularization",
        [
            Prose(
                [
                    "Near a point the loss is a parabola in every direction, with a curvature λ, "
                    "an eigenvalue of the Hessian. Gradient descent with rate η does:"
                ]
            ),
            Formula(
                [
                    (
                        "x ← x − η λ x = (1 − η λ) x",
                        "It converges if $|1 − η λ| < 1$, so for η below $2/λ$. The largest "
                        "eigenvalue sets the limit for all directions.",
                    )
                ]
            ),
            _descent_chart(numbers),
            Prose(
                [
                    "The scale of the weights changes λ, and so the rates that work. Measured on a "
                    "relu network with four hidden layers before training:"
                ]
            ),
            _eigenvalue_table(numbers),
            Prose(
                [
                    f"From the smallest to the largest scale, λ grows "
                    f"{eigenvalues[-1] / eigenvalues[0]:.0f} times, and the limit $2/λ$ shrinks "
                    "as much. Compare initializations only with a learning rate tuned for "
                    "each. This is the limit before training; while a network trains, λ "
                    "changes and often settles near 2/η (Cohen et al. 2021).",
                    "L2 regularization adds ${λ_2/2} w^2$ to the loss for every weight:",
                ]
            ),
            Formula(
                [
                    (
                        "w ← (1 − η λ_2) w − η {∂L}/{∂w}",
                        "Each step shrinks the weights, whatever the data say. A weight without a "
                        "gradient loses its initial scale over about $1/{η λ_2}$ steps.",
                    )
                ]
            ),
            _decay_table(numbers),
            Prose(
                [
                    "So an L2 term slowly undoes the scale that initialization chose, and deep "
                    "networks feel it as a power of their depth. Only the product $η λ_2$ counts: "
                    "who changes the learning rate changes the decay. With Adam the L2 gradient is "
                    "divided like all others, which is why AdamW decays weights directly "
                    "(Loshchilov & Hutter 2019). Before a normalization the scale of the weights "
                    "does not change the output, but it divides the gradient: there decay sets the "
                    "effective rate $η/{‖w‖^2}$ (van Laarhoven 2017). Biases and scales of "
                    "normalizations are usually not decayed."
                ]
            ),
            Snippet(
                "jinit.diagnose(model, params, x, labels, optimizer=optax.sgd(0.1)).learning_rate",
                "Is it the initialization or the learning rate?",
            ),
        ],
    )


def _descent_chart(numbers: RateNumbers) -> Chart:
    traces = [
        line_trace(
            f"η = {run.lr * numbers.curvature:.2g}/λ",
            np.arange(len(run.distances)),
            np.where(run.distances > 0, run.distances, np.nan),
            color,
            dash=dash,
            mode="lines+markers",
        )
        for run, (color, dash) in zip(numbers.descents, _LINES, strict=True)
    ]
    return Chart(
        f"Distance from the minimum of a parabola with λ = {numbers.curvature:g}. η = 1/λ reaches "
        "the minimum in one step; zero has no place on a logarithmic axis.",
        traces,
        {
            "xaxis": titled_axis("step", dtick=5),
            "yaxis": log_axis(1e-3, 30, "distance |x|"),
            "legend": LEGEND_ABOVE,
        },
        height=340,
    )


def _eigenvalue_table(numbers: RateNumbers) -> DataTable:
    return lesson_table(
        "Largest eigenvalue of the Hessian by the scale of the weights",
        [
            TableColumn("σ_w"),
            TableColumn("λ_max"),
            TableColumn("2/λ_max", "above this rate gradient descent diverges at first"),
        ],
        [
            [float(sigma), float(value), 2 / float(value)]
            for sigma, value in zip(numbers.sigmas, numbers.largest_eigenvalues, strict=True)
        ],
    )


def _decay_table(numbers: RateNumbers) -> DataTable:
    return lesson_table(
        f"What L2 alone does in {numbers.decay_steps} steps with η = {numbers.decay_lr:g}",
        [
            TableColumn("λ₂"),
            TableColumn("a weight is multiplied by", digits=4),
            TableColumn(
                f"the outputs of a relu network with {numbers.decay_depth} layers by",
                "without biases",
                4,
            ),
        ],
        [[decay, weight, output] for decay, weight, output in numbers.decay_rows],
    )
