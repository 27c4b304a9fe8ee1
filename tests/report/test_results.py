"""The directory of a sweep: the order of records, missing ones, and errors about bad files."""

import json
import subprocess
import sys

import pyarrow.parquet
import pytest
from report.synthetic import grid, lane, write_accuracies, write_sweep

from jinit.report import Results

AXES = {"init": ["zeros", "he_normal"], "activation": ["tanh", "relu"], "lr": [0.1, 0.01]}


def test_the_frame_is_sorted_by_the_axes_and_the_seeds(tmp_path):
    rows = grid(AXES, 3, lambda config, seed: lane(config, seed, 0.5))
    frame = Results(write_sweep(tmp_path, AXES, rows, block=5)).frame()
    keys = [*AXES, "seed"]
    assert frame[keys].to_dict("records") == [{key: row[key] for key in keys} for row in rows]
    assert frame["activation_std"].iloc[0].tolist() == [0.5] * 4
    assert frame["diverged_at"].isna().all()


def test_numbers_written_as_integers_match(tmp_path):
    rows = [lane({"init": "a", "lr": lr}, 0, 0.5) for lr in (2.0, 1.0)]
    frame = Results(write_sweep(tmp_path, {"init": ["a"], "lr": [2, 1]}, rows)).frame()
    assert frame["lr"].tolist() == [2.0, 1.0]


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path):
    directory = write_accuracies(tmp_path / "kind=x", {"a": [0.9, 0.8]})
    assert "kind" not in Results(directory).frame().columns


def test_values_that_the_outline_does_not_name_come_last(tmp_path):
    rows = [lane({"init": init}, 0, 0.5) for init in ("stranger", "a")]
    frame = Results(write_sweep(tmp_path, {"init": ["a"]}, rows)).frame()
    assert frame["init"].tolist() == ["a", "stranger"]


def test_results_are_values(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9]})
    assert Results(directory) == Results(str(directory))
    assert hash(Results(directory)) == hash(Results(directory))
    with pytest.raises(AttributeError):
        Results(directory).directory = tmp_path


def test_a_missing_directory(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist; expected the output directory"):
        Results(tmp_path / "nowhere")


def test_a_directory_without_a_sweep(tmp_path):
    with pytest.raises(ValueError, match=r"does not contain sweep\.json; .* run `jinit sweep`"):
        Results(tmp_path)


def test_a_file_instead_of_a_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file; expected the output directory of a sweep"):
        Results(tmp_path / "file")


def test_an_outline_that_is_not_json(tmp_path):
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ValueError, match=r"sweep\.json is not JSON .* Restore it, or run"):
        Results(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"task": 3}'])
def test_an_outline_without_a_task(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"has task = .*; expected a string\. .* another version"):
        Results(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"axes": {"init": 3}},
            r"has axes = {'init': 3}; expected a dictionary of non-empty",
        ),
        ({"axes": {"init": []}}, "expected a dictionary of non-empty lists"),
        ({"compare": [1]}, r"has compare = \[1\]; expected a list of strings"),
        ({"tune": ["no"]}, r"has 'no' in tune; expected names of axes: init"),
        ({"tune": ["init"]}, r"has 'init' in compare and in tune; expected it in one of them"),
        ({"configs": []}, r"has configs = \[\]; expected a non-empty list of dictionaries"),
        ({"configs": [{"no": 1}]}, r"has 'no' in configs; expected names of axes: init"),
        ({"larger_is_better": 1}, "has larger_is_better = 1; expected true or false"),
        ({"seeds": ["0"]}, r"has seeds = \['0'\]; expected a list of integers of at least 0"),
        ({"lanes": True}, "has lanes = True; expected an integer of at least 0"),
        ({"chance": "high"}, "has chance = 'high'; expected a number"),
        ({"classes": [10]}, r"has classes = \[10\]; expected an integer of at least 0"),
        ({"format": 4}, r"has format 4, and this version of jinit reads format 3: pip install"),
        ({"format": 1}, r"has format 1, and this version of jinit reads format 3: run the sweep"),
        ({"format": None}, r"has format 0, and this version .* reads format 3: run the sweep"),
    ],
)
def test_an_outline_with_wrong_inner_types(tmp_path, changes, message):
    directory = write_accuracies(tmp_path, {"a": [0.9]})
    outline = json.loads((directory / "sweep.json").read_text())
    (directory / "sweep.json").write_text(json.dumps(outline | changes))
    with pytest.raises(ValueError, match=message):
        Results(directory)


def test_an_outline_nested_too_deeply(tmp_path):
    (tmp_path / "sweep.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"sweep\.json is not JSON"):
        Results(tmp_path)


def test_a_string_that_is_not_utf_8(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9], "badname": [0.8]})
    file = directory / "records" / "00000.parquet"
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table, file, compression="none", use_dictionary=False)
    file.write_bytes(file.read_bytes().replace(b"badname", b"bad\xff\xfeme"))
    for read in (Results(directory).frame, Results(directory).best):
        with pytest.raises(ValueError, match=r"00000\.parquet cannot be read as Parquet"):
            read()


def test_results_are_shown_by_their_directory_and_as_html(tmp_path):
    results = Results(write_accuracies(tmp_path, {"a<b>": [0.9, 0.8], "c": [0.1, 0.1]}))
    assert repr(results) == f"Results({str(tmp_path)!r})"
    html = results._repr_html_()
    assert html.startswith("<pre")
    assert "a&lt;b&gt;" in html
    assert "did not learn" in html


def test_an_unknown_metric(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9]})
    outline = json.loads((directory / "sweep.json").read_text())
    (directory / "sweep.json").write_text(json.dumps(outline | {"metric": "speed"}))
    with pytest.raises(ValueError, match="'speed' does not say whether more is better; expected"):
        Results(directory)


def test_no_finished_block(tmp_path):
    results = Results(write_sweep(tmp_path, {"init": ["a"]}, []))
    for read in (results.frame, results.best, results.table, results.plot, results.comparison):
        with pytest.raises(ValueError, match="contains no finished block of runs: the sweep"):
            read()


def test_a_broken_record(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9, 0.8]})
    (directory / "records" / "00001.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(
        ValueError, match=r"00001\.parquet cannot be read as Parquet .* move this file away"
    ):
        Results(directory).frame()


def test_a_missing_column(tmp_path):
    rows = [{"init": "a", "seed": 0}]
    with pytest.raises(
        ValueError, match="have no column validation_accuracy; they have init, seed"
    ):
        Results(write_sweep(tmp_path, {"init": ["a"]}, rows)).frame()


def test_a_lane_recorded_twice(tmp_path):
    rows = [lane({"init": "a"}, 3, 0.9)] * 2
    with pytest.raises(ValueError, match=r"the run \(init a, seed 3\) is recorded twice in"):
        Results(write_sweep(tmp_path, {"init": ["a"]}, rows)).best()


ROOM = """
import sys
import jinit.report
"""
WITHOUT = """
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent)
try:
    jinit.report.Results({directory!r}).{method}()
except ImportError as error:
    print(error)
"""


def output(code):
    command = [sys.executable, "-c", ROOM + code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("library", "method", "purpose"),
    [
        ("pyarrow", "best", "Reading records needs pyarrow"),
        ("pandas", "frame", "A frame of the records needs pandas"),
        ("pandas", "comparison", "A comparison needs pandas"),
        ("pandas", "importance", "The importance of axes needs pandas"),
        ("rich", "table", "A table needs rich"),
        ("matplotlib", "plot", "Drawing needs matplotlib"),
    ],
)
def test_a_missing_extra_names_the_command(tmp_path, library, method, purpose):
    directory = write_accuracies(tmp_path, {"a": [0.9, 0.8]})
    text = output(WITHOUT.format(library=library, directory=str(directory), method=method))
    assert text.startswith(f"{purpose}, which is not installed")
    assert "pip install 'jinit[report]'" in text


def test_importing_the_report_loads_nothing_heavy():
    heavy = ("jax", "pandas", "pyarrow", "matplotlib", "rich")
    assert output(f"print(*set({heavy}) & set(sys.modules))").split() == []
    assert output(f"import rich; print(*set({heavy}) & set(sys.modules))").split() == ["rich"]
