"""`jinit report`: where it writes, and how it refuses what is neither sweep nor diagnosis."""

import json
import webbrowser

import pytest
from report.synthetic import write_accuracies

from jinit.cli import main

VALUES = {"zeros": [0.1, 0.1, 0.1], "he_normal": [0.9, 0.8, 0.9]}


def test_a_page_is_written_beside_the_records_and_opened(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    directory = write_accuracies(tmp_path / "sweep", VALUES)
    assert main(["report", str(directory), "--open"]) == 0
    page = directory / "report.html"
    assert capsys.readouterr().out == f"Page: {page}\n"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert opened == [page.as_uri()]


def test_another_file_and_other_axes_that_compete(tmp_path):
    directory, page = write_accuracies(tmp_path / "sweep", VALUES), tmp_path / "mine.html"
    arguments = ["-o", str(page), "--compare", "activation", "--compare", "init"]
    assert main(["report", str(directory), *arguments]) == 0
    assert "he_normal, relu" in page.read_text("utf-8")
    assert not (directory / "report.html").exists()


def test_bad_input_is_one_line(tmp_path, capsys):
    directory = write_accuracies(tmp_path / "sweep", VALUES)
    for arguments, message in (
        ([str(tmp_path / "no")], "does not exist; expected the output directory of a sweep"),
        ([str(directory / "sweep.json")], "not a diagnosis: 'verdict' is missing"),
        ([str(directory / "sweep.json"), "--compare", "lr"], "--compare chooses axes of a sweep"),
        ([str(directory), "--compare", "lrr"], "unknown axis 'lrr'"),
        ([str(directory), "-o", "page.pdf"], "expected a name that ends in .html"),
    ):
        assert main(["report", *arguments]) == 2
        assert message in capsys.readouterr().err


DIAGNOSIS = {
    "verdict": "stable",
    "layers": [],
    "faults": [],
    "notes": [],
    "shares": {"stable": 1.0},
    "loss": 2.3,
    "loss_name": "cross entropy",
}


def test_a_file_with_a_diagnosis(tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(DIAGNOSIS))
    assert main(["report", str(file)]) == 0
    assert capsys.readouterr().out == f"Page: {tmp_path / 'mine.html'}\n"
    assert "stable" in (tmp_path / "mine.html").read_text("utf-8")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"nan", b"[1]"])
def test_a_file_that_is_no_diagnosis(tmp_path, capsys, text):
    file = tmp_path / "mine.json"
    file.write_bytes(text)
    assert main(["report", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("jinit: ")
    assert "jinit diagnose --json" in said
    assert len(said.splitlines()) == 1
