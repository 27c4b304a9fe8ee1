"""Figures of filters, reconstructions and histories, from numbers alone."""

import warnings

import numpy as np
import pytest
from matplotlib import colormaps

from jinit.report import calibration_figure, filter_figure, history_figure
from jinit.report.pretraining.image_panel import example_panels, filter_panel
from jinit.report.pretraining.image_shape import read_filters

COLORS = colormaps["RdBu_r"]
BLACK, EMPTY = [0, 0, 0, 255], [0, 0, 0, 0]


def center(panel, place, rows):
    """The color at the center of an image in a panel with some rows."""
    height, width = (
        panel.pixels.shape[0] / rows,
        panel.pixels.shape[1] / panel.columns,
    )
    row, column = divmod(place, panel.columns)
    return panel.pixels[int((row + 0.5) * height), int((column + 0.5) * width)].tolist()


def test_filters_are_ordered_by_norm_on_a_symmetric_scale():
    kernel = np.outer(np.ones(9), [0.5, -1.0, 0.0, np.nan, 0.25])
    panel = filter_panel(read_filters(kernel))
    assert (panel.colors.low, panel.colors.high, panel.columns) == (-1, 1, 5)
    expected = [BLACK, *(list(COLORS((1 + value) / 2, bytes=True)) for value in (-1, 0.5, 0.25, 0))]
    assert [center(panel, place, 1) for place in range(5)] == expected
    assert panel.title == "5 filters of 3 × 3, largest norm first; black where not finite"


def test_a_filter_keeps_its_orientation():
    image = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(read_filters(image.reshape(6, 1), (2, 3))[0, ..., 0], image)
    colored = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(read_filters(colored.reshape(12, 1))[0], colored)
    kernel = np.arange(24.0).reshape(2, 3, 1, 4)
    np.testing.assert_array_equal(read_filters(kernel)[3, ..., 0], kernel[..., 0, 3])


def test_filters_that_are_not_drawn_are_counted():
    assert filter_panel(np.ones((150, 4, 4, 1))).title.startswith("100 of 150 filters of 4 × 4")
    panel = filter_panel(np.ones((32, 3, 3, 20)))
    assert panel.title == (
        "12 of 32 filters of 3 × 3 in rows, largest norm first; 16 of 20 channels in columns"
    )
    assert center(filter_panel(np.ones((13, 3, 3, 1))), 13, 2) == EMPTY


def test_zeros_are_white_and_colors_have_gray_as_zero():
    zero = filter_panel(np.zeros((1, 3, 3, 1)))
    assert center(zero, 0, 1) == list(COLORS(0.5, bytes=True))
    red = filter_panel(np.ones((1, 3, 3, 3)) * [1.0, 0.0, -1.0])
    assert center(red, 0, 1) == [255, 128, 0, 255]


def test_examples_and_reconstructions_share_a_scale_and_the_error_is_that_of_all():
    examples = np.linspace(0, 2, 12 * 9).reshape(12, 9)
    upper, lower = example_panels(examples, examples + 0.1, (3, 3, 1))
    assert upper.colors == lower.colors
    assert upper.title == "10 of 12 examples"
    assert lower.title.endswith("mean squared error 0.01 per input over 12 examples")


@pytest.mark.parametrize(
    ("kernel", "shape", "message"),
    [
        ((50, 3), None, r"50 inputs are neither a square nor three squares; give shape="),
        ((50, 3), (5, 9), r"shape=\(5, 9\) does not fit 50 inputs"),
        ((50, 3), (5, 5, 2), r"does not fit 50 inputs; expected .* with 1 or 3 channels"),
        ((50, 3), (50,), r"shape=\(50,\) does not fit 50 inputs"),
        ((2, 16, 3), None, r"shape \(2, 16, 3\), expected \[inputs, units\] or"),
        ((16, 0), None, r"shape \(16, 0\), expected"),
        ((3, 3, 1, 4), (9, 1), r"filters of \(3, 3, 1\); leave shape out"),
    ],
)
def test_a_kernel_that_has_no_images_is_refused(kernel, shape, message):
    with pytest.raises(ValueError, match=message):
        filter_figure(np.ones(kernel), shape=shape)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_figures_are_written_in_the_format_of_their_suffix(tmp_path, suffix):
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    pair = np.ones((3, 16)), np.zeros((3, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filter_figure(np.eye(16), tmp_path / f"a{suffix}", examples=pair)
    assert (tmp_path / f"a{suffix}").read_bytes().startswith(starts[suffix])
    with pytest.raises(ValueError, match="does not exist"):
        filter_figure(np.eye(16), tmp_path / "no" / f"a{suffix}")


HISTORY = {
    "log-likelihood": [np.nan, -2.0, np.nan, -1.0],
    "log-likelihood standard error": [np.nan, 0.5, np.nan, 0.25],
    "pseudo-log-likelihood": [np.nan] * 4,
    "reconstruction error": [3.0, 2.0, 1.0, 0.5],
}


def test_error_bars_stand_at_the_epochs_with_an_estimate():
    figure = history_figure(HISTORY)
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "log-likelihood ± standard error"
    assert upper.get_ylabel() == "nats per example"
    line, _, (bars,) = upper.containers[0].lines
    np.testing.assert_array_equal(line.get_xydata(), [[2, -2], [4, -1]])
    np.testing.assert_array_equal(
        [bar[:, 1] for bar in bars.get_segments()], [[-2.5, -1.5], [-1.25, -0.75]]
    )
    assert lower.get_title(loc="left") == "reconstruction error"
    assert "pseudo-log-likelihood" in figure.get_suptitle()


def test_several_runs_are_several_lines_and_names_are_not_formulas(tmp_path):
    (axes,) = history_figure({"$loss^": np.ones((3, 5))}, tmp_path / "history.svg").axes
    assert len(axes.lines) == 3


def test_a_history_without_numbers_is_refused():
    for history in ({}, {"loss": []}, {"loss": [np.nan, np.inf]}):
        with pytest.raises(ValueError, match="nothing to draw"):
            history_figure(history)


def test_a_report_draws_the_curves_of_layers_together_with_their_error_bars():
    layers = ["first", "second"]
    data = {
        "method": "rbm()",
        "layers": [*layers, "last"],
        "statistics": {name: [values[-1], values[-1], np.nan] for name, values in HISTORY.items()},
        "history": {f"{each} {name}": HISTORY[name] for each in layers for name in HISTORY},
        "passes": 3,
    }
    figure = calibration_figure(data)
    by_layer, by_epoch = figure.axes[:2], figure.axes[2:]
    for axes in (by_layer, by_epoch):
        titles = [each.get_title(loc="left") for each in axes]
        assert titles == ["log-likelihood ± standard error", "reconstruction error"]
    assert by_layer[0].containers[0].has_yerr
    assert [len(each.get_legend_handles_labels()[1]) for each in by_epoch] == [2, 2]
    assert [text.get_text() for text in by_epoch[0].get_legend().get_texts()] == layers
    assert figure.get_suptitle().count("pseudo-log-likelihood") == 1
