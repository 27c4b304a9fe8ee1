"""Trials of one problem: every contender takes its turn in each round."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import tables
from trials import PROBLEMS
from workers import Worker

from sweeps.contenders import Contender

INITIAL_TRIALS = 64


class Field:
    """The contenders that could be started, each in its process."""

    def __init__(self, problem: str, steps: int, contenders: dict[str, Contender]):
        """Start nothing yet."""
        self.problem, self.steps = problem, steps
        self.contenders = dict(contenders)
        self.missing: dict[str, str] = {}
        self.started: dict[str, dict] = {}
        self.workers: dict[str, Worker] = {}
        self.initial = ""

    def start(self, stack: ExitStack) -> None:
        """Start every process, and leave out the contenders that cannot take part."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.initial = str(folder / "initial.npz")
        answers: dict[tuple, dict] = {}
        for name, contender in list(self.contenders.items()):
            if absent := contender.absent():
                self._leave_out(name, f"{' and '.join(absent)} not installed")
                continue
            tables.progress(f"starting {contender.label}")
            if contender.worker not in self.workers:
                worker = Worker(f"trials.{contender.file}")
                self.workers[contender.worker] = stack.enter_context(worker)
            arguments = self._start_arguments(contender)
            question = contender.worker, contender.start, str(arguments)
            try:
                if question not in answers:
                    answers[question] = self._ask(contender, contender.start, arguments)
            except (OSError, RuntimeError):
                answers[question] = {"missing": "fails; its error is printed above"}
            self.started[name] = answers[question]
            if why := answers[question].get("missing"):
                self._leave_out(name, why)

    def _start_arguments(self, contender: Contender) -> dict:
        known = {"trials": contender.trials, "steps": self.steps, **contender.options}
        arguments = {name: known[name] for name in contender.takes}
        return arguments | ({"initial": self._initial_file()} if contender.initial else {})

    def _initial_file(self) -> str:
        """The file of initial parameters, written by a process of JAX when first asked for."""
        if not Path(self.initial).exists():
            trials = INITIAL_TRIALS if self.problem == "mlp" else 16
            with Worker("trials.with_jax") as worker:
                worker.ask("save_initial", problem=self.problem, trials=trials, path=self.initial)
        return self.initial

    def _leave_out(self, name: str, why: str) -> None:
        tables.progress(f"{self.contenders[name].label}: {why}")
        self.missing[name] = why
        del self.contenders[name]

    def _ask(self, contender: Contender, function: str, arguments: dict) -> dict:
        return self.workers[contender.worker].ask(function, problem=self.problem, **arguments)

    def turn(self, name: str) -> dict:
        """Let a contender train its trials once."""
        contender = self.contenders[name]
        arguments = {"trials": contender.trials, "steps": self.steps, **contender.options}
        if contender.initial:
            arguments["initial"] = self.initial
        return self._ask(contender, "run", arguments)

    def matmul_rate(self) -> float:
        """FLOP/s of the matmul probe, in jinit's own process."""
        return self.workers[self.contenders["jinit"].worker].ask("matmul_rate")


def run(problem: str, contenders: dict[str, Contender], rounds: int, steps: int) -> dict:
    """Start everyone, then let them take turns in interleaved rounds."""
    with ExitStack() as stack:
        field = Field(problem, steps, contenders)
        field.start(stack)
        turns = [_round(field, number) for number in range(rounds)]
        peaks = {name: each.peak_resident() for name, each in field.workers.items()}
    return {
        "text": PROBLEMS[problem].text,
        "steps": steps,
        "device": field.started["jinit"]["device"],
        "started": field.started,
        "missing": field.missing,
        "rounds": turns,
        "peak_resident": peaks,
    }


def _round(field: Field, number: int) -> dict:
    """One turn of each, with the matmul probe before and after each sweep of jinit."""
    tables.progress(f"{field.problem}: round {number + 1}")
    matmul, turns = [field.matmul_rate()], {}
    for name, contender in field.contenders.items():
        if number % contender.every == 0:
            turns[name] = field.turn(name)
        if contender.is_ours:
            matmul.append(field.matmul_rate())
    return {"matmul": matmul, "turns": turns}
