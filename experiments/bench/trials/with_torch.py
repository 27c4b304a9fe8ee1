"""The usual PyTorch loop, eager, one trial after the other."""

import itertools
import time

import numpy as np
import torch
from machine import cores
from torch import nn

from trials import BATCH, WIDTHS, digits, learning_rate

(train_x, train_y), validation = (
    tuple(torch.from_numpy(array) for array in arrays) for arrays in digits.load()
)
train_y, validation = train_y.long(), (validation[0], validation[1].long())


def build() -> nn.Sequential:
    """Linear layers with ReLU between them, He normal weights, zero biases."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def trial(number: int, steps: int, fused: bool | None) -> float:
    """Train once; the validation accuracy. `fused` is Adam's own option, None its default."""
    torch.manual_seed(number)
    model, loss = build(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate(number), fused=fused)
    generator = np.random.default_rng(number)
    for batch in digits.batches(generator, len(train_x), BATCH, steps):
        batch = torch.from_numpy(batch)
        optimizer.zero_grad()
        loss(model(train_x[batch]), train_y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        correct = model(validation[0]).argmax(-1) == validation[1]
    return correct.float().mean().item()


def start() -> dict:
    """Choose the number of threads that trains faster: one, or one per core."""
    seconds = {}
    for threads in sorted({1, cores()}):
        torch.set_num_threads(threads)
        trial(0, 20, None)
        seconds[threads] = min(_seconds(200) for _ in range(3))
    chosen = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(chosen)
    return {"threads": chosen, "seconds_by_threads": seconds}


def _seconds(steps: int) -> float:
    """Seconds of one short trial."""
    begin = time.perf_counter()
    trial(0, steps, None)
    return time.perf_counter() - begin


def run(trials: int, steps: int, fused: bool | None = None) -> dict:
    """Train the given number of trials one after the other."""
    begin = time.perf_counter()
    reached = [trial(number, steps, fused) for number in range(trials)]
    return {"seconds": time.perf_counter() - begin, "accuracy": float(np.mean(reached))}
