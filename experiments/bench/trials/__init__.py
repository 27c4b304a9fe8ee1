"""One file per library: how each trains the same small network many times.

One trial: the digits MLP 64-64-64-64-10 with relu, He normal weights, zero biases, batches of 64
without replacement within an epoch, Adam with a learning rate of its own, and the validation
accuracy at the end. Every file has
- `start()`, everything that happens once: loading, threads, compiling; returns what it chose,
- `run(trials, steps)`, the seconds and the mean accuracy of so many trials, nothing compiled anew.
"""

import itertools

WIDTHS = (64, 64, 64, 64, 10)
BATCH = 64
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)


def flops_per_trial(steps: int) -> int:
    """Floating-point operations of the matrix products of one trial.

    Forward, weight gradient and input gradient take 2·in·out per sample each, except that nobody
    needs the gradient of the data. Biases, activations, loss and Adam are not counted.
    """
    products = [a * b for a, b in itertools.pairwise(WIDTHS)]
    return steps * BATCH * (6 * sum(products) - 2 * products[0])


def learning_rate(trial: int) -> float:
    """Learning rate of the trial with this number."""
    return LEARNING_RATES[trial % len(LEARNING_RATES)]
