"""The figure of a sweep: its files, its panels, and notes about what it leaves out."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from report.synthetic import STEPS, diverged, grid, lane, write_accuracies, write_sweep

from jinit.report import Results, write_figure
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.curve_data import curve_limits
from jinit.report.sweep.curve_panel import annotate_guesses, draw_curves
from jinit.report.sweep.facets import find_facets
from jinit.report.sweep.figure import sweep_figure
from jinit.report.sweep.profile import mean_profile
from jinit.report.sweep.records import read_records


def drawn(directory):
    results = Results(directory)
    records = read_records(directory, results.outline)
    return sweep_figure(find_facets(records.to_pylist(), results.outline), results.outline)


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def varied(config, seed):
    value = 0.5 + 0.05 * len(config["init"]) + 0.01 * seed
    return lane(config, seed, value)


def test_the_png_is_not_blank(tmp_path):
    axes = {"init": ["a", "bb", "ccc"], "activation": ["relu", "tanh"]}
    path = tmp_path / "figure.png"
    Results(write_sweep(tmp_path / "sweep", axes, grid(axes, 3, varied))).plot(path)
    pixels = imread(path)
    assert pixels.shape[0] > 600
    assert pixels.shape[1] > 900
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50
    assert 0.02 < (pixels[..., :3].min(axis=-1) < 0.9).mean() < 0.5


def test_plot_returns_a_figure_and_writes_only_to_a_given_path(tmp_path):
    directory = write_accuracies(tmp_path / "sweep", {"a": [0.9, 0.8]})
    before = sorted(tmp_path.rglob("*"))
    assert len(Results(directory).plot().axes) == 3
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("suffix", "content"),
    [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("PDF", b"%PDF")],
)
def test_the_suffix_is_the_format(tmp_path, suffix, content):
    write_figure(Figure(), tmp_path / f"x.{suffix}")
    assert (tmp_path / f"x.{suffix}").read_bytes().startswith(content)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "x.txt",
            r"cannot draw .*x\.txt: expected a name that ends in \.png, \.pdf or \.svg, such",
        ),
        ("x", r"x: expected a name that ends in \.png, \.pdf or \.svg, such as x\.png"),
        ("no/x.png", r"the folder .*no does not exist; create it, or give another path"),
    ],
)
def test_a_path_that_cannot_be_drawn(tmp_path, name, message):
    results = Results(write_accuracies(tmp_path / "sweep", {"a": [0.9, 0.8]}))
    with pytest.raises(ValueError, match=message):
        results.plot(tmp_path / name)


def test_a_directory_in_place_of_a_figure_file(tmp_path):
    (tmp_path / "x.png").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*x\.png: .*; give another path"):
        write_figure(Figure(), tmp_path / "x.png")


def test_panels_and_their_names(tmp_path):
    axes = {"init": ["a", "bb"], "activation": ["relu", "tanh"]}
    figure = drawn(write_sweep(tmp_path, axes, grid(axes, 2, varied)))
    assert [each.get_title() for each in figure.axes] == ["relu", "tanh", "", "", "", ""]
    assert figure.axes[0].get_ylabel() == "validation loss"
    assert figure.axes[2].get_ylabel() == "std of layer outputs at step 0"
    assert figure.axes[4].get_ylabel() == "std of their gradients at step 0"
    assert legend_texts(figure) == ["bb", "a"]
    assert "digits  ·  mean of 2 seeds with 95 % interval" in figure.get_suptitle()


@pytest.mark.parametrize(("count", "panels"), [(4, 12), (5, 15), (8, 24)])
def test_many_facets_wrap(tmp_path, count, panels):
    axes = {"init": ["a", "bb"], "depth": list(range(1, count + 1))}
    figure = drawn(write_sweep(tmp_path, axes, grid(axes, 2, varied)))
    assert len(figure.axes) == panels


def test_a_sweep_without_measurements_has_no_panels_of_signals(tmp_path):
    columns = ("layers", "activation_std", "gradient_std", "dead_fraction", "saturated_fraction")
    axes = {"init": ["a", "b"], "activation": ["relu", "tanh"]}
    rows = [each | {name: [] for name in columns} for each in grid(axes, 2, varied)]
    figure = drawn(write_sweep(tmp_path, axes, rows))
    assert [each.get_ylabel() for each in figure.axes] == ["validation loss", ""]


def test_the_title_says_that_candidates_are_left_out(tmp_path):
    accuracies = {f"init{index}": [0.5 + index / 100] * 2 for index in range(20)}
    figure = drawn(write_accuracies(tmp_path, accuracies))
    assert legend_texts(figure) == [f"init{index}" for index in range(19, 7, -1)]
    assert "best 12 of 20 candidates" in figure.get_suptitle()
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len(looks) == 12
    assert max(map(looks.count, looks)) <= 2  # matplotlib has one name for dashed and dotted lines


def test_curves_are_geometric_means(tmp_path):
    figure = drawn(write_accuracies(tmp_path, {"a": [0.9, 0.6]}))
    (line,) = figure.axes[0].lines
    assert line.get_xdata().tolist() == STEPS
    assert line.get_ydata()[-1] == pytest.approx(math.sqrt(0.1 * 0.4))


def test_intervals_are_those_of_the_scale():
    lines = np.array([[1.0, 2.0], [3.0, 2.0]])
    plain, log = mean_profile(lines, logarithmic=False), mean_profile(lines, logarithmic=True)
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


def test_a_line_ends_when_half_of_its_seeds_have_diverged():
    lines = np.array([[1.0, np.nan, 1.0], [4.0, 2.0, np.nan], [np.nan, 8.0, np.inf]])
    profile = mean_profile(lines, logarithmic=True)
    assert profile.mean.tolist() == pytest.approx([2.0, 4.0, np.nan], nan_ok=True)


def test_zero_and_infinite_signals_are_marked(tmp_path):
    stds = {"zeros": [0.0] * 4, "huge": [1.0, 1e20, math.inf, math.inf], "fine": [1.0] * 4}
    rows = [
        lane({"init": init}, seed, 0.9, activation_std=std)
        for init, std in stds.items()
        for seed in range(2)
    ]
    figure = drawn(write_sweep(tmp_path, {"init": list(stds)}, rows))
    marks = {
        line.get_marker(): line.get_xdata().tolist()
        for line in figure.axes[1].lines
        if line.get_marker() in "v^" and len(line.get_xdata())
    }
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
        "no better than a guess: stuck and bored",
        "above this range: bad",
    ]


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["zeros"], "no better than a guess: zeros"),
        (["zeros", "ones", "normal(0.01)"], "no better than a guess: zeros and 2 others"),
        (["zeros", "uniform(minval=-0.125)"], "no better than a guess: zeros and 1 other"),
        (["uniform(minval=-0.125)", "uniform(maxval=0.125)"], "2 no better than a guess"),
    ],
)
def test_a_note_names_the_candidates_for_which_there_is_room(labels, note):
    axes = Figure().subplots()
    axes.set_ylim(0.1, 5.0)
    annotate_guesses(axes, dict.fromkeys(labels, 2.3))
    assert [text.get_text() for text in axes.texts] == [note]


def test_negative_losses_have_a_linear_axis():
    rows = ({"step": [0, 1], "loss": [1.0, -2.0], "seed": 0},)
    candidate = Candidate({}, "a", rows, {}, ())
    axes = Figure().subplots()
    assert curve_limits([candidate], "loss") is None
    draw_curves(axes, [candidate], {"a": {"color": "black"}}, "loss", None)
    assert axes.get_yscale() == "linear"


def test_odd_labels_are_drawn_unchanged(tmp_path):
    odd = ["$x^$", "_hidden", "[red]x[/red]", "日本", "long " * 20]
    axes = {"init": odd, "activation": ["$y_$"]}
    rows = grid(axes, 2, lambda config, seed: lane(config, seed, 0.9))
    directory = write_sweep(tmp_path / "sweep", axes, rows)
    assert legend_texts(drawn(directory))[:3] == odd[:3]
    assert legend_texts(drawn(directory))[-1].endswith("…")
    Results(directory).plot(tmp_path / "figure.png")


@pytest.mark.parametrize(
    "missing",
    [
        ["step", "validation_loss_curve", "train_loss_curve"],
        ["validation_loss_curve"],
        ["activation_std", "dead_fraction"],
    ],
)
def test_records_without_curves_or_signals_still_draw(tmp_path, missing):
    rows = [lane({"init": "a"}, seed, 0.9, **{name: [] for name in missing}) for seed in range(2)]
    results = Results(write_sweep(tmp_path / "sweep", {"init": ["a"]}, rows))
    results.plot(tmp_path / "figure.png")


def test_everything_diverged_still_draws(tmp_path):
    rows = [diverged({"init": "a"}, seed, step=-1) for seed in range(2)]
    results = Results(write_sweep(tmp_path / "sweep", {"init": ["a"]}, rows))
    results.plot(tmp_path / "figure.png")


def test_the_color_of_a_candidate_does_not_depend_on_its_rank(tmp_path):
    colors = []
    for name, values in (("first", [0.9, 0.5, 0.7]), ("last", [0.5, 0.9, 0.7])):
        accuracies = dict(zip(["a", "b", "c"], ([value] * 2 for value in values), strict=True))
        figure = drawn(write_accuracies(tmp_path / name, accuracies))
        handles = figure.legends[0].get_lines()
        labels = legend_texts(figure)
        colors.append(dict(zip(labels, (line.get_color() for line in handles), strict=True)))
    assert list(colors[0]) != list(colors[1])
    assert colors[0] == colors[1]
    assert len(set(colors[0].values())) == 3
