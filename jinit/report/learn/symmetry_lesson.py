"""Lesson: equal units stay equal."""

from jinit.report.initializer_colors import choose_looks
from jinit.report.learn.drawing import lesson_table, line_trace, titled_axis
from jinit.report.learn.numbers import SymmetryNumbers
from jinit.report.page import LEGEND_ABOVE, Chart, Prose, Section, Snippet, TableColumn
from jinit.report.text import compact_text


def symmetry_section(numbers: SymmetryNumbers) -> Section:
    """Return the lesson on symmetry, with the training of a small network.

    Args:
      numbers: the runs.
    """
    zero, equal, random = numbers.runs
    final = {run.name: float(run.losses[-1]) for run in numbers.runs}
    return Section(
        "1. Symmetry",
        [
            Prose(
                [
                    "A layer computes $h = W x + b$ and passes $φ(h)$ on to the next layer. "
                    "Training changes $W$ and $b$, but they need values to begin with. Why not "
                    "zeros?",
                    "Two hidden units with equal incoming and equal outgoing weights compute the "
                    "same number. They therefore get the same gradient, and are equal again after "
                    "the step. This symmetry is never lost: however wide the layer is, it works as "
                    "one unit. With zeros it is worse. If the outgoing weights are zero, no "
                    "gradient reaches the incoming ones; and if $φ(0) = 0$, none reaches the "
                    "outgoing ones either.",
                    f"A real network shows it: {numbers.inputs} inputs, {numbers.hidden} hidden "
                    "tanh units, one output. It learns whether the first two of its inputs differ "
                    f"in sign (XOR), by gradient descent with rate {numbers.lr:g} on all "
                    f"{2**numbers.inputs} sign patterns. All biases begin at zero. A guess has the "
                    f"loss ln 2 = {zero.losses[0]:.4f}.",
                ]
            ),
            _loss_chart(numbers),
            lesson_table(
                "Hidden weights before the first step and after the last one",
                [
                    TableColumn("initialization"),
                    TableColumn("largest gradient", "of a hidden weight before the first step"),
                    TableColumn("largest difference", "between the gradients of two hidden units"),
                    TableColumn("different units", f"of {numbers.hidden}, after training"),
                    TableColumn("rank", "of the matrix of hidden weights after training"),
                    TableColumn("final loss", digits=4),
                ],
                [
                    [
                        run.name,
                        run.gradient_size,
                        run.gradient_spread,
                        run.distinct_units,
                        run.rank,
                        final[run.name],
                    ]
                    for run in numbers.runs
                ],
            ),
            Prose(
                [
                    f"From equal weights the gradients of all {numbers.hidden} units differ by "
                    f"{equal.gradient_spread:g}, and after {equal.steps[-1]} steps the matrix of "
                    f"hidden weights still has rank {equal.rank}. From random weights all "
                    f"{random.distinct_units} units are different and the loss falls to "
                    f"{compact_text(random.losses[-1])}. Random weights break the symmetry; biases "
                    "may all be zero, because the weights already differ.",
                ]
            ),
            Snippet("nn.Dense(64, kernel_init=jinit.lecun_normal(), bias_init=jinit.zeros)"),
        ],
    )


def _loss_chart(numbers: SymmetryNumbers) -> Chart:
    looks = choose_looks([run.name for run in numbers.runs]).values()
    traces = [
        line_trace(run.name, run.steps, run.losses, look.color, dash=look.dash)
        for run, look in zip(numbers.runs, looks, strict=True)
    ]
    return Chart(
        "Loss while the network learns XOR. From equal weights it stays near ln 2.",
        traces,
        {
            "xaxis": titled_axis("step"),
            "yaxis": titled_axis("loss (nats)", rangemode="tozero"),
            "legend": LEGEND_ABOVE,
        },
        height=340,
    )
