"""The tutorials run, and say what they promise."""

import runpy
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "experiments" / "tutorials"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "sentence", "file"),
    [
        ("flax_nnx", "no parameter matches Rule(zeros, path='**/gate/**')", None),
        ("flax_linen", "write  kernel_init=jinit.he_normal()", "linen_sweep.html"),
        ("from_pytorch", "PyTorch: chaotic", "pytorch_sweep/sweep.json"),
    ],
)
def test_tutorial_runs(name, sentence, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(TUTORIALS / f"{name}.py"), run_name="__main__")
    assert sentence in capsys.readouterr().out
    assert file is None or (tmp_path / file).is_file()


def test_every_tutorial_is_run_and_listed():
    names = {path.name for path in TUTORIALS.glob("*.py")}
    assert names == {"flax_linen.py", "flax_nnx.py", "from_pytorch.py"}
    assert all(f"({name})" in (TUTORIALS / "README.md").read_text("utf-8") for name in names)
