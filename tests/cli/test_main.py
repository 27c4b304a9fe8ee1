"""The command line as a whole: help, mistyped words, completion, pipes and narrow terminals."""

import os
import subprocess
import sys

import pytest

import jinit
from jinit.cli import main

PROGRAM = "import sys; from jinit.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "From which weights should this network start, and how do I know?"),
        (["sweep", "--help"], 0, "--depth"),
        (["--version"], 0, f"jinit {jinit.__version__}"),
    ],
)
def test_help(capsys, arguments, code, said):
    assert main(arguments) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Commands:"),
        (["sweeep"], "No such command 'sweeep'. Did you mean sweep?"),
        (["sweep", "--depth", "deep"], "'deep' is not a valid integer range"),
        (["sweep", "--dpeth", "3"], "Did you mean one of: '--depth'"),
    ],
)
def test_arguments_that_cannot_be_read(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(capsys, shell):
    assert main(["completion", shell]) == 0
    assert "_JINIT_COMPLETE" in capsys.readouterr().out


def test_completion_of_a_command():
    variables = {"_JINIT_COMPLETE": "bash_complete", "COMP_WORDS": "jinit sw", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False,
        env=os.environ | variables,
    )  # fmt: skip
    assert done.stdout == "plain,sweep\n"


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -c '{PROGRAM}' list | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout.split()[0], done.stderr) == ("zeros", "")


def test_without_click_the_remedy_is_named():
    program = f"import sys; sys.modules['click'] = None; {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'jinit[sweep]'" in done.stderr
