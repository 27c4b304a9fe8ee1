"""The usual PyTorch loop, eager or with `torch.compile`, one trial after the other."""

import time
from functools import cache

import torch
from torch.nn import functional

from trials import digits, in_torch, setting

SHORT = 20  # steps


class Loop:
    """The loop over the steps of a problem."""

    def __init__(self, problem: str, initial: str):
        """Load the data and the initial parameters; draw nothing."""
        self.problem, self.initial = problem, in_torch.load_initial(initial)
        self.train, self.validation = in_torch.load(problem)
        self.compiled = None

    def build(self, number: int) -> torch.nn.Module:
        """The network of a trial before its first step."""
        model = in_torch.NETWORKS[self.problem]()
        model.load_state_dict(self.initial[number])
        return model

    def compile(self) -> None:
        """Compile one network, whose parameters each trial then sets."""
        model = self.build(0)
        self.compiled = model, torch.compile(model)

    def trial(self, number: int, steps: int, fused: bool, compiled: bool) -> float:
        """Train once; the validation loss."""
        if compiled and self.compiled:
            module, model = self.compiled
            module.load_state_dict(self.initial[number])
        else:
            module = model = self.build(number)
        seed, rate = setting(self.problem, number)
        optimizer = torch.optim.Adam(module.parameters(), lr=rate, fused=fused or None)
        x, y = self.train
        for indices in digits.batches(seed, len(x), steps):
            batch = torch.from_numpy(indices)
            optimizer.zero_grad()
            functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            return functional.cross_entropy(module(self.validation[0]), self.validation[1]).item()

    def seconds(self, steps: int) -> float:
        """Seconds of one short trial."""
        begin = time.perf_counter()
        self.trial(0, steps, fused=True, compiled=False)
        return time.perf_counter() - begin


loop = cache(Loop)


def start(problem: str, initial: str) -> dict:
    """Choose the number of threads."""
    return in_torch.fastest_threads(lambda: loop(problem, initial).seconds(SHORT))


def start_compiled(problem: str, initial: str) -> dict:
    """Compile with `torch.compile`, which needs a C++ compiler."""
    begin = time.perf_counter()
    try:
        loop(problem, initial).compile()
        loop(problem, initial).trial(0, 3, fused=True, compiled=True)
    except Exception as error:  # noqa: BLE001, whatever the compilers raise is the answer
        return {"missing": f"torch.compile fails: {type(error).__name__}"}
    return {"compile_seconds": time.perf_counter() - begin}


def run(
    problem: str,
    initial: str,
    trials: int,
    steps: int,
    fused: bool = False,
    compiled: bool = False,
) -> dict:
    """Train the given number of trials one after the other."""
    trial = loop(problem, initial).trial
    begin = time.perf_counter()
    losses = [trial(number, steps, fused, compiled) for number in range(trials)]
    return {"seconds": time.perf_counter() - begin, "losses": losses}
