"""One file per library or way of writing it: how each trains the same small networks many times.

A trial trains a network of a `Problem` on the digits: the initial parameters of
`flax.linen.Module.init(jax.random.key(seed), …)`, batches without replacement within an epoch, Adam
with a learning rate of its own, and the validation loss at the end. Trial `number` has the seed and
the learning rate of `setting(number)`, in every file the same. Every file has
- `start(problem, …)`, everything that happens once: loading, threads, compiling; returns what it
  chose, or `{"missing": why}`,
- `run(problem, trials, steps, …)`, the `seconds` of these trials, and their final `losses`; nothing
  is compiled anew.
"""

import itertools
from dataclasses import dataclass

WIDTHS = (64, 64, 64, 64, 10)
"""Units of the MLP."""

TOKENS, DIMENSION, HEADS, BLOCKS = 8, 32, 2, 2
"""Size of the transformer; a token is a row of an image."""

KERNELS = (32, 64)
"""Kernels of the two convolutions of the CNN."""

BATCH = 64


@dataclass(frozen=True)
class Problem:
    """What is trained, and with which learning rates."""

    text: str
    shape: tuple[int, ...]
    """Shape of an image."""
    rates: tuple[float, ...]
    steps: int


PROBLEMS = {
    "mlp": Problem("MLP 64-64-64-64-10", (64,), (3e-4, 1e-3, 3e-3, 1e-2), 500),
    "transformer": Problem(
        f"transformer, {BLOCKS} pre-norm blocks of width {DIMENSION}, {TOKENS} tokens",
        (TOKENS, 8),
        (1e-4, 3e-4, 1e-3, 3e-3),
        100,
    ),
    "cnn": Problem(
        f"CNN, 3×3×{KERNELS[0]} and 3×3×{KERNELS[1]} with stride 2",
        (8, 8, 1),
        (1e-4, 3e-4, 1e-3, 3e-3),
        100,
    ),
}


def mlp_flops_per_step() -> int:
    """Floating-point operations of the matrix products of one step of the MLP.

    Forward, weight gradient and input gradient take 2·in·out per sample each, except that nobody
    needs the gradient of the data. Biases, activations, loss and Adam are not counted.
    """
    products = [a * b for a, b in itertools.pairwise(WIDTHS)]
    return BATCH * (6 * sum(products) - 2 * products[0])


def setting(problem: str, number: int) -> tuple[int, float]:
    """Seed and learning rate of the trial with this number."""
    rates = PROBLEMS[problem].rates
    return number // len(rates), rates[number % len(rates)]
