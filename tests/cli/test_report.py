"""`jinit report`: where it writes, and how it refuses what is not a sweep."""

import click
from report.synthetic import write_accuracies

from jinit.cli import main

VALUES = {"zeros": [0.1, 0.1, 0.1], "he_normal": [0.9, 0.8, 0.9]}


def test_a_page_is_written_beside_the_records_and_opened(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    directory = write_accuracies(tmp_path / "sweep", VALUES)
    assert main(["report", str(directory), "--open"]) == 0
    page = directory / "report.html"
    assert capsys.readouterr().out == f"Report: {page}\n"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert opened == [str(page)]


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
        ([str(directory / "sweep.json")], "is a file; expected the directory of a sweep"),
        ([str(directory), "--compare", "lrr"], "unknown axis 'lrr'"),
        ([str(directory), "-o", "page.pdf"], "expected a name that ends in .html"),
    ):
        assert main(["report", *arguments]) == 2
        assert message in capsys.readouterr().err
