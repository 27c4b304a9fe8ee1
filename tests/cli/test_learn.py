"""`jinit learn`."""

import pytest

from jinit.cli import main


def test_a_wrong_name_is_refused_before_anything_is_computed(capsys):
    assert main(["learn", "-o", "page.pdf"]) == 2
    assert "ends in .html" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_is_written(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    file = tmp_path / "learn.html"
    assert main(["learn", "-o", str(file), "--open"]) == 0
    assert capsys.readouterr().out == f"Page: {file}\n"
    assert opened == [file.as_uri()]
    text = file.read_text("utf-8")
    assert "nan" not in text.partition('id="charts"')[0].lower().replace("nano", "")
    assert "Sources" in text
