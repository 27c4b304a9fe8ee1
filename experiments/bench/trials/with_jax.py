"""JAX loops: one jitted training step, called from Python, one trial after the other.

Once as guides write it, each batch an argument; once with all that a careful user can do.
"""

import time
from functools import cache

import jax
import numpy as np

from trials import digits, setting
from trials.in_jax import Training


class Loop:
    """The compiled functions of a loop over the steps of a problem."""

    def __init__(self, problem: str):
        """Compile everything with one short trial of each kind."""
        self.problem, self.training = problem, Training(problem)
        self.init = jax.jit(self.training.init)
        self.usual_step = jax.jit(self.training.step)
        self.tuned_step = jax.jit(self._indexed_step, donate_argnums=(0, 1))
        self.loss = jax.jit(self.training.loss)
        for tuned in (False, True):
            self.trial(*setting(problem, 0), 2, tuned)

    def _indexed_step(self, params, state, rate, x, y, batch):
        """One step that takes its batch from the data inside the program, and reuses buffers."""
        return self.training.step(params, state, rate, x[batch], y[batch])

    def trial(self, seed: int, rate: float, steps: int, tuned: bool = False) -> float:
        """Train once; the validation loss."""
        training = self.training
        params, state = self.init(jax.random.key(seed), rate)
        for batch in digits.batches(seed, training.size, steps):
            if tuned:
                params, state, _ = self.tuned_step(params, state, rate, *training.train, batch)
            else:
                x, y = (array[batch] for array in training.on_host)
                params, state, _ = self.usual_step(params, state, rate, x, y)
        return float(self.loss(params, *training.validation))


@cache
def loop(problem: str) -> Loop:
    """The loop of a problem, compiled when it is first asked for."""
    return Loop(problem)


def start(problem: str) -> dict:
    """Compile everything."""
    begin = time.perf_counter()
    loop(problem)
    return {"compile_seconds": time.perf_counter() - begin}


def save_initial(problem: str, trials: int, path: str) -> None:
    """Write the initial parameters of some trials, for the rivals that are not in JAX."""
    saved = {}
    for number in range(trials):
        params, _ = loop(problem).init(jax.random.key(setting(problem, number)[0]), 0.0)
        for where, leaf in jax.tree.leaves_with_path(params["params"]):
            name = "/".join(key.key for key in where)
            saved[f"{number}:{name}"] = np.asarray(leaf)
    np.savez(path, **saved)


def run(problem: str, trials: int, steps: int, tuned: bool = False) -> dict:
    """Train the given number of trials one after the other."""
    trial = loop(problem).trial
    begin = time.perf_counter()
    losses = [trial(*setting(problem, number), steps, tuned) for number in range(trials)]
    return {"seconds": time.perf_counter() - begin, "losses": losses}
