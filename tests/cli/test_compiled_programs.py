"""Programs that the command line keeps from one run to the next, each in a new process."""

import os
import re
import subprocess
import sys

import pytest

ARGUMENTS = ["sweep", "small.toml", "--out"]
SETTINGS = """
seeds = 1
steps = 2
width = 4
[space]
init = ["he_normal"]
depth = [1]
lr = [0.1]
"""


def run(folder, out, **variables):
    removed = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    command = [sys.executable, "-c", "from jinit.cli import main; exit(main())", *ARGUMENTS, out]
    done = subprocess.run(
        command, cwd=folder, env=kept | variables, capture_output=True, text=True, check=True
    )
    assert "Warning" not in done.stderr
    return next((line for line in done.stdout.splitlines() if line.startswith("Programs")), "")


@pytest.mark.slow
def test_a_second_run_compiles_nothing(tmp_path):
    (tmp_path / "small.toml").write_text(SETTINGS)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert re.match(r"Programs: \d\d compiled, \d found compiled", run(tmp_path, "first", **cache))
    assert list((tmp_path / "cache" / "jinit" / "programs").iterdir())
    assert run(tmp_path, "second", **cache).startswith("Programs: 0 compiled, ")


@pytest.mark.slow
def test_programs_need_not_be_kept(tmp_path):
    (tmp_path / "small.toml").write_text(SETTINGS)
    variables = {"XDG_CACHE_HOME": str(tmp_path), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    assert run(tmp_path, "first", **variables) == ""
    assert not (tmp_path / "jinit").exists()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_to_is_not_used(tmp_path):
    """Below a file: not even an administrator can write there."""
    (tmp_path / "small.toml").write_text(SETTINGS)
    (tmp_path / "file").touch()
    assert run(tmp_path, "first", XDG_CACHE_HOME=str(tmp_path / "file")) == ""
