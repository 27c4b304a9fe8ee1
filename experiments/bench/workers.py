"""Separate processes for measurements that must not share caches, allocators or devices.

A worker imports one module and then answers questions: each line on its standard input is a JSON
object `{"function": name, "arguments": {…}}`, each answer one line of JSON. Between questions it
sleeps in `read`, so that several workers can take turns, one round after the other.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self, cast

import measure

HERE = Path(__file__).parent


class Worker:
    """A process that has imported `module` and calls its functions on request."""

    def __init__(self, module: str):
        """Start the process; its error stream is shown, its output is the answers."""
        self.module = module
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "workers.py"), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.questions = cast(IO[str], self.process.stdin)
        self.answers = cast(IO[str], self.process.stdout)

    def ask(self, function: str, **arguments: Any) -> Any:
        """The value of `module.function(**arguments)`, computed in the worker."""
        question = json.dumps({"function": function, "arguments": arguments})
        print(question, file=self.questions, flush=True)
        answer = self.answers.readline()
        if not answer:
            code = self.process.wait()
            raise RuntimeError(
                f"the process for {self.module} ended with code {code} while it was asked for "
                f"{function}({arguments}); its error is printed above"
            )
        return json.loads(answer)

    def peak_resident(self) -> int:
        """Largest resident set of the process so far, in bytes; 0 where the system hides it."""
        try:
            return measure.peak_resident(self.process.pid)
        except (OSError, ValueError):
            return 0

    def __enter__(self) -> Self:
        """Use as a context: the process ends with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the worker's input, which ends it."""
        self.questions.close()
        self.process.wait()


def answer(module_name: str) -> None:
    """Answer the questions on standard input until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    module = importlib.import_module(module_name)
    for line in sys.stdin:
        question = json.loads(line)
        value = getattr(module, question["function"])(**question["arguments"])
        print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    answer(sys.argv[1])
