"""The picture: written, filled, and honest about what it leaves out."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from report.synthetic import STEPS, diverged, grid, lane, write_accuracies, write_sweep

from jinit.report import Results
from jinit.report.curve_panel import curve_limits, draw_curves
from jinit.report.facets import Candidate, facets
from jinit.report.figures import sweep_figure
from jinit.report.profile import profile
from jinit.report.records import read_records


def drawn(directory):
    results = Results(directory)
    records = read_records(directory, results.outline)
    return sweep_figure(facets(records.to_pylist(), results.outline), results.outline)


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def varied(config, seed):
    value = 0.5 + 0.05 * len(config["init"]) + 0.01 * seed
    return lane(config, seed, value)


def test_the_png_is_no_blank_page(tmp_path):
    axes = {"init": ["a", "bb", "ccc"], "activation": ["relu", "tanh"]}
    path = Results(write_sweep(tmp_path, axes, grid(axes, 3, varied))).plot()
    assert path == tmp_path / "sweep.png"
    pixels = imread(path)
    assert pixels.shape[0] > 600
    assert pixels.shape[1] > 900
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50
    assert 0.02 < (pixels[..., :3].min(axis=-1) < 0.9).mean() < 0.5


def test_another_path(tmp_path):
    directory = write_accuracies(tmp_path / "sweep", {"a": [0.9, 0.8]})
    assert Results(directory).plot(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert not (directory / "sweep.png").exists()


def test_panels_and_their_names(tmp_path):
    axes = {"init": ["a", "bb"], "activation": ["relu", "tanh"]}
    figure = drawn(write_sweep(tmp_path, axes, grid(axes, 2, varied)))
    assert [each.get_title() for each in figure.axes] == ["relu", "tanh", "", ""]
    assert figure.axes[0].get_ylabel() == "validation loss"
    assert figure.axes[2].get_ylabel() == "std of layer outputs at step 0"
    assert legend_texts(figure) == ["bb", "a"]
    assert "digits  ·  mean of 2 seeds with 95 % band" in figure.get_suptitle()


@pytest.mark.parametrize(("count", "panels"), [(4, 8), (5, 10), (8, 16)])
def test_many_facets_wrap(tmp_path, count, panels):
    axes = {"init": ["a"], "depth": list(range(1, count + 1))}
    figure = drawn(write_sweep(tmp_path, axes, grid(axes, 2, varied)))
    assert len(figure.axes) == panels


def test_many_candidates_are_cut_and_it_is_said(tmp_path):
    accuracies = {f"start{index}": [0.5 + index / 100] * 2 for index in range(20)}
    figure = drawn(write_accuracies(tmp_path, accuracies))
    assert legend_texts(figure) == [f"start{index}" for index in range(19, 7, -1)]
    assert "best 12 of 20 starts" in figure.get_suptitle()
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 12


def test_curves_are_geometric_means(tmp_path):
    figure = drawn(write_accuracies(tmp_path, {"a": [0.9, 0.6]}))
    (line,) = figure.axes[0].lines
    assert line.get_xdata().tolist() == STEPS
    assert line.get_ydata()[-1] == pytest.approx(math.sqrt(0.1 * 0.4))


def test_profiles_have_the_bands_of_their_scale():
    lines = np.array([[1.0, 2.0], [3.0, 2.0]])
    plain, log = profile(lines, logarithmic=False), profile(lines, logarithmic=True)
    assert plain.mean.tolist() == [2.0, 2.0]
    assert plain.high[1] == 2.0
    assert log.mean[0] == pytest.approx(math.sqrt(3))
    assert log.low[0] > 0 > plain.low[0]


def test_diverged_runs_are_crossed_out(tmp_path):
    rows = [lane({"init": "a"}, seed, 0.9) for seed in range(3)] + [diverged({"init": "a"}, 3)]
    figure = drawn(write_sweep(tmp_path, {"init": ["a"]}, rows))
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [100]
    assert "× diverged" in figure.get_suptitle()


def test_a_line_ends_when_half_of_its_seeds_are_gone():
    lines = np.array([[1.0, np.nan, 1.0], [4.0, 2.0, np.nan], [np.nan, 8.0, np.inf]])
    over = profile(lines, logarithmic=True)
    assert over.mean.tolist() == pytest.approx([2.0, 4.0, np.nan], nan_ok=True)


def test_zero_and_infinite_signals_are_marked(tmp_path):
    stds = {"zeros": [0.0] * 4, "huge": [1.0, 1e20, math.inf, math.inf], "fine": [1.0] * 4}
    rows = [lane({"init": init}, seed, 0.9, activation_std=std)
            for init, std in stds.items() for seed in range(2)]  # fmt: skip
    figure = drawn(write_sweep(tmp_path, {"init": list(stds)}, rows))
    marks = {line.get_marker(): line.get_xdata().tolist() for line in figure.axes[1].lines
             if line.get_marker() in "v^" and len(line.get_xdata())}  # fmt: skip
    assert marks == {"v": [1, 2, 3, 4], "^": [3, 4]}
    lines = [line for line in figure.axes[1].lines if line.get_marker() == "None"]
    assert len(lines) == 3
    assert all(np.isfinite(line.get_ydata()).all() for line in lines)
    assert "▽ zero" in figure.get_suptitle()


def test_exploding_losses_leave_the_rest_visible(tmp_path):
    rows = [lane({"init": "good"}, seed, 0.9) for seed in range(2)]
    huge = {"validation_loss": 1e9, "validation_loss_curve": [1e9] * len(STEPS)}
    rows += [lane({"init": "bad"}, seed, 0.05, **huge) for seed in range(2)]
    rows += [lane({"init": "stuck"}, seed, 0.1) for seed in range(2)]
    rows += [lane({"init": "bored"}, seed, 0.1) for seed in range(2)]
    figure = drawn(write_sweep(tmp_path, {"init": ["good", "bad", "stuck", "bored"]}, rows))
    assert figure.axes[0].get_ylim()[1] < 10
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "2 no better than a guess",
        "1 above this range",
    ]


def test_negative_losses_have_a_linear_axis():
    rows = ({"step": [0, 1], "loss": [1.0, -2.0], "seed": 0},)
    start = Candidate({}, "a", rows, {}, ())
    axes = Figure().subplots()
    assert curve_limits([start], "loss") is None
    draw_curves(axes, [start], {"a": {"color": "black"}}, "loss", None)
    assert axes.get_yscale() == "linear"


def test_odd_labels_are_drawn_as_they_are(tmp_path):
    odd = ["$x^$", "_hidden", "[red]x[/red]", "日本", "long " * 20]
    axes = {"init": odd, "activation": ["$y_$"]}
    directory = write_sweep(
        tmp_path, axes, grid(axes, 2, lambda config, seed: lane(config, seed, 0.9))
    )
    assert legend_texts(drawn(directory))[:3] == odd[:3]
    assert legend_texts(drawn(directory))[-1].endswith("…")
    Results(directory).plot()


@pytest.mark.parametrize("missing", [
    ["step", "validation_loss_curve", "train_loss_curve"],
    ["validation_loss_curve"],
    ["activation_std", "dead_fraction"],
])  # fmt: skip
def test_records_without_curves_or_signals_still_draw(tmp_path, missing):
    rows = [lane({"init": "a"}, seed, 0.9, **{name: [] for name in missing}) for seed in range(2)]
    Results(write_sweep(tmp_path, {"init": ["a"]}, rows)).plot()


def test_everything_diverged_still_draws(tmp_path):
    rows = [diverged({"init": "a"}, seed, step=-1) for seed in range(2)]
    Results(write_sweep(tmp_path, {"init": ["a"]}, rows)).plot()
