"""The page of a sweep as data: its sections for unusual sweeps, its answer, size and imports."""

import math
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from report.synthetic import STEPS, diverged, grid, lane, write_accuracies, write_sweep

from jinit.report import Results
from jinit.report.page import Chart, DataTable, Fold, FrameChart, Headline, Snippet
from jinit.report.sweep.page.report import sweep_sections
from jinit.report.sweep.page.signals import candidate_at_step
from jinit.report.sweep.page.sweep_data import read_sweep_data

ANSWER, CANDIDATES, CURVES = "Answer", "Candidates", "Learning curves"
PAIRS, IMPORTANCE = "Pairs of axes", "Which axis mattered"
SEEDS, OUTCOME = "Seeds and paired differences", "Outcome by label at step 0"
SIGNALS, COST, PROVENANCE = "Activations and gradients", "Cost", "Provenance"
ALWAYS = [ANSWER, CANDIDATES, CURVES, SEEDS, OUTCOME, SIGNALS, COST, PROVENANCE]

MERITS = {"zeros": 0.1, "he_normal": 0.9, "orthogonal": 0.85}
PLOTLY_BYTES = 1_600_000


def sections(directory) -> dict[str, list]:
    """The blocks by title, of the sections that are shown, checked to be not empty."""
    found = {each.title: list(each.blocks) for each in sweep_sections(read_sweep_data(directory))}
    shown = {title: blocks for title, blocks in found.items() if blocks}
    for block in flat(block for blocks in shown.values() for block in blocks):
        if isinstance(block, Chart):
            assert block.traces, block.label
        if isinstance(block, FrameChart):
            assert all(frame.traces for frame in block.frames)
        if isinstance(block, DataTable):
            assert block.rows
            assert {len(row) for row in block.rows} == {len(block.columns)}
    return shown


def flat(blocks) -> Iterator:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from flat(block.blocks)


def learned(config, seed):
    """Accuracies by initialization; the largest learning rate makes every run diverge."""
    if config.get("lr") == 1.0:
        return diverged(config, seed)
    return lane(config, seed, MERITS[config["init"]] + 0.01 * seed)


def write(directory, seeds=3, make=learned, changes=None, **axes):
    axes = {"init": list(MERITS), **axes}
    return write_sweep(directory, axes, grid(axes, seeds, make), **(changes or {}))


def headlines(shown) -> list[Headline]:
    return [block for block in shown[ANSWER] if isinstance(block, Headline)]


def test_a_grid_has_every_section_and_the_answer_of_the_terminal_first(tmp_path):
    directory = write(tmp_path, lr=[0.01, 1.0], l2=[0.0, 0.1])
    shown = sections(directory)
    assert list(shown) == [
        ANSWER, CANDIDATES, CURVES, PAIRS, IMPORTANCE, SEEDS, OUTCOME, SIGNALS, COST, PROVENANCE
    ]  # fmt: skip
    (headline,) = headlines(shown)
    (best,) = Results(directory).best()
    assert headline.tone == "good"
    assert headline.answer.startswith("Use he_normal [lr=0.01, l2=0], with validation accuracy")
    assert best.sentence.lower().startswith(headline.answer.lower().removesuffix("."))
    for detail in headline.details:
        assert detail.lower().removesuffix(".") in best.sentence.lower()


def test_cells_of_a_heat_map_are_marked_where_every_run_diverged(tmp_path):
    by_rate, by_penalty = sections(write(tmp_path, lr=[0.01, 1.0], l2=[0.0, 0.1]))[PAIRS]
    texts = [trace.get("text") for trace in by_rate.traces]
    assert ["all 3 ×"] * 3 in texts
    assert "×: runs that diverged" in by_rate.label
    assert "Every cell has its best l2" in by_rate.label
    assert "diverged" not in by_penalty.label


def test_facets_are_frames_of_one_chart_and_headlines(tmp_path):
    shown = sections(write(tmp_path, activation=["relu", "tanh"], depth=[2]))
    assert [each.answer[:6] for each in headlines(shown)] == ["relu: ", "tanh: "]
    (curves,) = shown[CURVES]
    assert curves.frames[0].name == "relu: validation loss"
    assert len(curves.frames) == 2 * 3
    assert PAIRS not in shown


def test_many_facets_are_a_table(tmp_path):
    shown = sections(write(tmp_path, seeds=2, depth=[1, 2, 3, 4, 5]))
    summary, table = shown[ANSWER]
    assert summary.answer == "Best mean of 5 settings: he_normal (5)."
    assert [row[0] for row in table.rows] == [f"depth {depth}" for depth in range(1, 6)]


def test_an_interrupted_sweep_says_what_is_missing(tmp_path):
    axes = {"init": list(MERITS), "lr": [0.01, 0.1]}
    rows = [row for row in grid(axes, 3, learned) if row["init"] != "zeros" and row["seed"] < 2]
    shown = sections(write_sweep(tmp_path, axes, rows, seeds=[0, 1, 2]))
    assert "Unfinished: 8 of 18 runs, none of zeros." in headlines(shown)[0].details
    assert "Gray: no finished run." in shown[PAIRS][0].label


def test_a_sweep_in_which_everything_diverged(tmp_path):
    shown = sections(write(tmp_path, make=lambda config, seed: diverged(config, seed), lr=[0.1]))
    assert headlines(shown)[0].tone == "bad"
    assert "every run diverged" in headlines(shown)[0].answer
    assert "p" not in [column.title for column in shown[CANDIDATES][0].columns]


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": 1},
        {"init": ["he_normal"]},
        {"init": ["he_normal"], "lr": [0.01, 0.1], "l2": [0.0, 0.1]},
        {"init": ["he_normal"], "seeds": 1, "lr": [0.01]},
        {"changes": {"test_metric": "test_accuracy", "test_examples": 100}},
        {"changes": {"metric": "validation_loss", "classes": None}},
    ],
    ids=["one seed", "one initializer", "rates", "one run", "absent test", "loss"],
)
def test_smaller_sweeps_have_no_empty_section(tmp_path, options):
    shown = sections(write(tmp_path, **options))
    assert [title for title in ALWAYS if title not in shown] == []


@pytest.mark.parametrize(
    ("columns", "title"),
    [
        (("layers", "activation_std", "gradient_std", "dead_fraction"), SIGNALS),
        (("at_initialization",), OUTCOME),
        (
            ("step", "train_loss_curve", "validation_loss_curve", "validation_accuracy_curve"),
            CURVES,
        ),
        (("compile_seconds",), COST),
    ],
)
def test_a_section_without_records_is_left_out(tmp_path, columns, title):
    def make(config, seed):
        return {**learned(config, seed), **dict.fromkeys(columns)}

    shown = sections(write(tmp_path, make=make))
    assert [each for each in ALWAYS if each not in shown] == [title]


def test_a_random_search_has_a_scatter_plot_of_rates(tmp_path):
    rates = np.geomspace(1e-4, 1.0, 60).tolist()
    configs = [{"init": list(MERITS)[index % 3], "lr": rate} for index, rate in enumerate(rates)]
    rows = [learned(config, seed) for config in configs for seed in range(2)]
    axes = {"init": list(MERITS), "lr": rates}
    shown = sections(write_sweep(tmp_path, axes, rows, configs=configs, lanes=len(rows)))
    (chart,) = shown[PAIRS]
    assert chart.layout["xaxis"]["type"] == "log"
    assert sorted(trace["name"] for trace in chart.traces) == sorted(MERITS)


def test_halving_leaves_shorter_curves(tmp_path):
    def make(config, seed):
        row = learned(config, seed)
        if config["init"] != "he_normal":
            row |= {
                name: row[name][:2] for name in row if name.endswith("_curve") or name == "step"
            }
            row["stopped_at"] = STEPS[1]
        return row

    shown = sections(write(tmp_path, make=make, lr=[0.01, 0.1]))
    assert "18 runs" in shown[COST][0].texts[0]


def test_measured_steps_are_frames(tmp_path):
    later = {"measured_at": [100], "activation_std_by_step": [[2.0] * 4]}
    later |= {"gradient_std_by_step": [[0.0] * 4]}
    directory = write(tmp_path, make=lambda config, seed: learned(config, seed) | later)
    outputs, gradients = sections(directory)[SIGNALS]
    assert [frame.name for frame in outputs.frames] == ["step 0", "step 100"]
    assert gradients.frames[0].sentence == ""
    assert "▽: zero" in gradients.frames[1].sentence
    candidate = candidate_at_step(read_sweep_data(directory).candidates[0], 100)
    assert candidate.records[0]["activation_std"] == [2.0] * 4


def test_the_test_metric_has_a_column(tmp_path):
    changes = {"test_metric": "test_accuracy", "test_examples": 100}
    directory = write(
        tmp_path,
        make=lambda config, seed: {**learned(config, seed), "test_accuracy": 0.5},
        changes=changes,
    )
    table = sections(directory)[CANDIDATES][0]
    assert "test accuracy %" in [column.title for column in table.columns]


def test_the_page_repeats_the_sweep_in_one_line(tmp_path):
    changes = {"command": "jinit sweep mine.toml", "git_revision": "0123abc+"}
    blocks = sections(write(tmp_path, changes=changes))[PROVENANCE]
    snippets = [block.code for block in blocks if isinstance(block, Snippet)]
    assert snippets[0] == "git checkout 0123abc && jinit sweep mine.toml"
    assert "differed from this revision" in blocks[1].texts[0]


def test_other_axes_compete(tmp_path):
    page = Results(write(tmp_path / "sweep", lr=[0.01, 0.1])).report(tmp_path / "a.html", "lr")
    text = page.read_text("utf-8")
    assert "<h1>Comparison of lr on digits</h1>" in text
    assert "he_normal: " in text
    assert "lr=0.01" in text


def test_a_thousand_runs_stay_small(tmp_path):
    axes = {"init": [f"init{index}" for index in range(10)], "activation": ["relu", "tanh"]}
    axes |= {"depth": [16], "lr": [0.1, 0.2, 0.3, 0.4, 0.5]}
    curve, layers = [2.3] + [1.0 / 3] * 30, [0.123] * 17
    long = {
        **{f"{name}_curve": curve for name in ("train_loss", "validation_loss")},
        "step": list(range(0, 310, 10)),
        "layers": [f"Dense_{index}" for index in range(17)],
        "activation_std": layers,
        "gradient_std": layers,
        "dead_fraction": [0.5] * 16 + [math.nan],
    }

    def make(config, seed):
        value = 0.5 + 0.01 * axes["init"].index(config["init"]) + 0.001 * seed
        return lane(config, seed, value, **long)

    directory = write_sweep(tmp_path / "sweep", axes, grid(axes, 10, make), block=1000)
    page = Results(directory).report(tmp_path / "page.html")
    assert page.stat().st_size < PLOTLY_BYTES + 2_000_000


WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
from jinit.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_page_needs_no_jax(tmp_path):
    directory = write_accuracies(tmp_path / "sweep", {"zeros": [0.1, 0.1], "ones": [0.9, 0.8]})
    command = [sys.executable, "-c", WITHOUT_JAX, "report", str(directory)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"Page: {directory / 'report.html'}\n"
    assert "<h1>Initializations on digits</h1>" in (directory / "report.html").read_text("utf-8")
