"""Lesson: deep chains of layers, orthogonal weights and residual branches."""

import math

import numpy as np

from jinit.report.learn.drawing import (
    BLUE,
    PURPLE,
    SKY,
    VERMILION,
    lesson_table,
    line_trace,
    titled_axis,
)
from jinit.report.learn.numbers import DeepChains
from jinit.report.page import (
    LEGEND_ABOVE,
    Chart,
    DataTable,
    Prose,
    Section,
    Snippet,
    TableColumn,
    chart_text,
)
from jinit.report.text import compact_text

_LINES = ((BLUE, "solid"), (SKY, "dash"), (VERMILION, "solid"), (PURPLE, "dash"))
_LARGEST_W2, _LARGEST_B2 = 3.0, 0.35
"""Ends of the axes of the phase diagram."""


def chain_section(chains: DeepChains) -> Section:
    """Return the lesson on deep chains.

    Args:
      chains: the critical line, Jacobians and residual branches.
    """
    depth = chains.depths[-1]
    gaussian, orthogonal = (
        chains.largest[f"linear, {name}"][-1] for name in ("gaussian", "orthogonal")
    )
    return Section(
        "5. Deep chains",
        [
            Prose(
                [
                    "Two inputs go into a deep tanh network. In the ordered phase they become "
                    "equal on the way and gradients vanish; in the chaotic phase the smallest "
                    "difference grows and gradients explode. In between is a line, the edge of "
                    "chaos, with $χ_1 = 1$ (Poole et al. 2016; Schoenholz et al. 2017). A network "
                    "can be trained as far as its distance from that line allows: gradients change "
                    "by a factor e over $1/{|ln χ_1|}$ layers."
                ]
            ),
            _phase_chart(chains),
            _phase_table(chains),
            Prose(
                [
                    "On the line the average direction keeps its length, but single directions do "
                    "not: the product of many random matrices stretches some and crushes others. "
                    "Orthogonal weights keep every length in a linear network (Saxe et al. 2014). "
                    f"After {depth} linear layers the largest stretch is {gaussian:.4g} with "
                    f"Gaussian weights and {orthogonal:.4g} with orthogonal ones. relu undoes most "
                    "of this advantage; tanh near 0 keeps it (Pennington et al. 2017)."
                ]
            ),
            _stretch_chart(chains),
            Prose(
                [
                    "A residual network adds branches to its signal, $x + f(x)$. The gradient "
                    "always has the direct path, so that nothing vanishes; but each branch of unit "
                    "gain doubles the mean square. Dividing the last weights of all $L$ branches "
                    "by $√L$ keeps it below e, and starting them at zero makes the network the "
                    "identity at first."
                ]
            ),
            _residual_table(chains),
            Snippet(
                "jinit.orthogonal()                                # deep plain networks\n"
                "jinit.scaled(jinit.he_normal(), 1 / branches**0.5)  # last kernel of a branch"
            ),
        ],
    )


def _phase_chart(chains: DeepChains) -> Chart:
    line = line_trace(
        "χ₁ = 1",
        chains.critical_w2,
        chains.critical_b2,
        BLUE,
        showlegend=False,
        fill="tozeroy",
        fillcolor="rgba(213,94,0,0.12)",
    )
    points = chains.points
    markers = line_trace(
        "points of the table",
        [point.sigma_w2 for point in points],
        [point.sigma_b2 for point in points],
        VERMILION,
        mode="markers+text",
        showlegend=False,
        cliponaxis=False,
        text=[chart_text(f"{place}") for place in range(1, len(points) + 1)],
        textposition="top center",
        hovertext=[chart_text(point.name) for point in points],
    )
    words = [("ordered", 0.9, 0.2), ("chaotic", 2.6, 0.1)]
    annotations = [
        {"x": x, "y": y, "text": chart_text(text), "showarrow": False} for text, x, y in words
    ]
    return Chart(
        "Phases of deep tanh networks: σ_w² is n_in times the variance of the weights, σ_b² the "
        "variance of the biases. The line has χ₁ = 1; numbers are rows of the table.",
        [line, markers],
        {
            "xaxis": titled_axis("σ_w² (weights)", range=[0, _LARGEST_W2]),
            "yaxis": titled_axis("σ_b² (biases)", range=[-0.012, _LARGEST_B2]),
            "annotations": annotations,
        },
        height=380,
    )


def _phase_table(chains: DeepChains) -> DataTable:
    return lesson_table(
        "Points of the phase diagram of tanh",
        [
            TableColumn("number"),
            TableColumn("weights"),
            TableColumn("σ_w²", digits=4),
            TableColumn("σ_b²", digits=4),
            TableColumn("q*", "variance of the pre-activations deep in the network", 4),
            TableColumn("χ₁", digits=5),
            TableColumn("depth scale", "layers over which the gradient changes by a factor e"),
            TableColumn("phase"),
        ],
        [
            [
                place,
                point.name,
                point.sigma_w2,
                point.sigma_b2,
                point.q,
                point.chi_1,
                "∞" if math.isinf(point.xi_gradient) else point.xi_gradient,
                point.phase,
            ]
            for place, point in enumerate(chains.points, 1)
        ],
    )


def _stretch_chart(chains: DeepChains) -> Chart:
    depths = np.array(chains.depths)
    traces = [
        line_trace(name, depths, values, color, dash=dash, mode="lines+markers")
        for (name, values), (color, dash) in zip(chains.largest.items(), _LINES, strict=True)
    ]
    return Chart(
        "Largest singular value of the Jacobian from input to output, at the critical scale: the "
        "largest stretch of a small change of the input.",
        traces,
        {
            "xaxis": titled_axis("layers"),
            "yaxis": titled_axis("largest singular value", rangemode="tozero"),
            "legend": LEGEND_ABOVE,
        },
        height=360,
    )


def _residual_table(chains: DeepChains) -> DataTable:
    rows = zip(chains.depths, chains.plain_residual, chains.scaled_residual, strict=True)
    return lesson_table(
        "Mean square of the signal after L residual branches, relative to the input",
        [
            TableColumn("branches L"),
            TableColumn("branches of unit gain: 2ᴸ"),
            TableColumn("divided by √L: (1 + 1/L)ᴸ", digits=4),
        ],
        [
            [depth, (compact_text(float(plain), 4), float(plain)), float(scaled)]
            for depth, plain, scaled in rows
        ],
    )
