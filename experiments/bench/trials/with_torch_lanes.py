"""Lanes in PyTorch, as its tutorial on model ensembling has them: `torch.func.vmap`.

The gradients of all lanes come from one vmapped function of the stacked parameters; Adam is written
out on these, because `torch.optim` has one learning rate for all of them.
"""

import time
from functools import cache

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from trials import digits, in_torch, setting

BETAS, EPSILON = (0.9, 0.999), 1e-8
SHORT = 20  # steps


class Lanes:
    """The stacked networks of a problem."""

    def __init__(self, problem: str, initial: str, trials: int):
        """Load the data and the initial parameters."""
        self.problem, self.initial, self.trials = problem, in_torch.load_initial(initial), trials
        self.train, self.validation = in_torch.load(problem)
        self.model = in_torch.NETWORKS[problem]()
        self.gradients = vmap(grad_and_value(self.loss), in_dims=(0, 0, 0))
        self.steppers = {False: self.step}

    def loss(self, params, x, y):
        """Mean cross-entropy of a batch, for one lane."""
        return functional.cross_entropy(functional_call(self.model, params, (x,)), y)

    def compile(self) -> None:
        """Compile one step of all lanes."""
        self.steppers[True] = torch.compile(self.step)

    def step(self, params, first, second, scale, x, y) -> None:
        """One step of Adam of all lanes, in place; `scale` has the corrected learning rates."""
        gradients, _ = self.gradients(params, x, y)
        rate, correction = scale
        for name, value in params.items():
            gradient, m, v = gradients[name], first[name], second[name]
            m.lerp_(gradient, 1 - BETAS[0])
            v.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            shape = (-1, *(1,) * (value.ndim - 1))
            value.sub_(rate.view(shape) * m / ((v / correction).sqrt() + EPSILON))

    def train_all(self, steps: int, compiled: bool) -> list[float]:
        """Train every lane; the validation losses."""
        settings = [setting(self.problem, number) for number in range(self.trials)]
        x, y = self.train
        drawn = {
            seed: np.stack(list(digits.batches(seed, len(x), steps))) for seed, _ in set(settings)
        }
        indices = torch.from_numpy(np.stack([drawn[seed] for seed, _ in settings], axis=1))
        rates = torch.tensor([rate for _, rate in settings])
        params, _ = stack_module_state([self._build(number) for number in range(self.trials)])
        params = {name: value.detach() for name, value in params.items()}
        first = {name: torch.zeros_like(value) for name, value in params.items()}
        second = {name: torch.zeros_like(value) for name, value in params.items()}
        step = self.steppers[compiled]
        for number, batch in enumerate(indices, start=1):
            correction = [torch.tensor(1 - beta**number) for beta in BETAS]
            step(params, first, second, (rates / correction[0], correction[1]), x[batch], y[batch])
        return vmap(self.loss, in_dims=(0, None, None))(params, *self.validation).tolist()

    def _build(self, number: int) -> torch.nn.Module:
        model = in_torch.NETWORKS[self.problem]()
        model.load_state_dict(self.initial[number])
        return model

    def seconds(self, steps: int) -> float:
        """Seconds of a short training."""
        begin = time.perf_counter()
        self.train_all(steps, compiled=False)
        return time.perf_counter() - begin


lanes = cache(Lanes)


def start(problem: str, initial: str, trials: int) -> dict:
    """Choose the number of threads."""
    return in_torch.fastest_threads(lambda: lanes(problem, initial, trials).seconds(SHORT))


def start_compiled(problem: str, initial: str, trials: int) -> dict:
    """Compile with `torch.compile`, which needs a C++ compiler."""
    begin = time.perf_counter()
    try:
        lanes(problem, initial, trials).compile()
        lanes(problem, initial, trials).train_all(3, compiled=True)
    except Exception as error:  # noqa: BLE001, whatever the compilers raise is the answer
        return {"missing": f"torch.compile fails: {type(error).__name__}"}
    return {"compile_seconds": time.perf_counter() - begin}


def run(problem: str, initial: str, trials: int, steps: int, compiled: bool = False) -> dict:
    """Train all trials at once."""
    stacked = lanes(problem, initial, trials)
    begin = time.perf_counter()
    losses = stacked.train_all(steps, compiled)
    return {"seconds": time.perf_counter() - begin, "losses": losses}
