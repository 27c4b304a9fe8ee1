"""Lesson: greedy pre-training, why it came and why it went."""

from jinit.report.initializer_colors import choose_looks
from jinit.report.learn.drawing import line_trace, titled_axis
from jinit.report.learn.numbers import GreedyRuns
from jinit.report.page import LEGEND_ABOVE, Chart, Prose, Section, Snippet, chart_array
from jinit.report.text import compact_text


def pretraining_section(numbers: GreedyRuns) -> Section:
    """Return the lesson on greedy pre-training.

    Args:
      numbers: results of the experiment.
    """
    small, *others = numbers.runs
    failed = next(
        depth
        for depth, mean in zip(small.depths, small.means, strict=True)
        if mean < 2 * numbers.chance
    )
    hidden = failed - 1
    lowest = min(float(run.means.min()) for run in others)
    factor = numbers.gradient_factor
    return Section(
        "6. Greedy pre-training",
        [
            Prose(
                [
                    "Until 2006 deep networks of sigmoids were thought untrainable. Their small "
                    f"random weights, here $N(0, 0.1^2)$ with 100 inputs, so that $σ_w^2 = "
                    f"{numbers.sigma_w2:g}$, multiply the gradient by about {factor:.2f} in every "
                    f"layer, and by {compact_text(factor**hidden)} over {hidden} hidden layers.",
                    "Hinton et al. 2006 trained each layer by itself first, as a Boltzmann machine "
                    "that models the output of the layer below, without labels. Bengio et al. 2007 "
                    "and Vincent et al. 2010 did the same with autoencoders. The weights found in "
                    "this way have a useful size and direction, and ordinary training goes on from "
                    "there.",
                ]
            ),
            _accuracy_chart(numbers),
            Prose(
                [
                    f"From {failed} layers of weights on, the network with small random "
                    "weights does not learn: it is right in "
                    f"{100 * numbers.chance:.1f} %, as a guess would be. With pre-training no "
                    f"depth is below {100 * lowest:.1f} %; at {small.depths[0]} layers, where "
                    "training worked already, it gains nothing. These numbers took minutes, so "
                    "they were not computed for this page: experiments/06_greedy_pretraining "
                    f"measured them on {numbers.date} with JAX {numbers.jax_version} and 8 seeds.",
                    "Why did it go? It cured bad initial weights, and cheaper cures came: weights "
                    "of the right variance (Glorot & Bengio 2010), relu (Glorot et al. 2011) with "
                    "He's variance (2015), batch normalization (Ioffe & Szegedy 2015) and residual "
                    "branches (He et al. 2016), together with more labeled data. What stayed is "
                    "pre-training without labels of the whole network at once, where labels are "
                    "few.",
                ]
            ),
            Snippet(
                "params, report = jinit.pretrain.rbm(model, params, inputs, epochs=20)",
                "Greedy pre-training of your own network",
            ),
        ],
    )


def _accuracy_chart(numbers: GreedyRuns) -> Chart:
    looks = choose_looks([run.init for run in numbers.runs]).values()
    traces = [
        line_trace(
            run.name,
            run.depths,
            100 * run.means,
            look.color,
            dash=look.dash,
            mode="lines+markers",
            error_y={"type": "data", "array": chart_array(100 * run.errors), "thickness": 1.5},
        )
        for run, look in zip(numbers.runs, looks, strict=True)
    ]
    return Chart(
        "Test accuracy on digits of sigmoid networks with 100 units per layer, mean of 8 seeds "
        "with its 95 % interval, by initialization.",
        traces,
        {
            "xaxis": titled_axis("layers of weights", dtick=1),
            "yaxis": titled_axis("test accuracy (%)", range=[0, 104]),
            "legend": LEGEND_ABOVE,
        },
        height=360,
    )
