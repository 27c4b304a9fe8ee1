"""Initial losses and dead networks, against simulation."""

import math

import numpy as np
import pytest

from jinit.theory import born_dead, initial_loss


def test_known_losses_are_reproduced():
    assert initial_loss(10) == math.log(10)
    assert initial_loss(100, 1.0) == pytest.approx(5.10017, abs=6e-6)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_random_logits_have_the_expected_loss(classes):
    """Four standard errors, and s⁴/4 for the higher orders."""
    std, draws = 0.3, 20_000
    logits = std * np.random.default_rng(0).normal(size=(draws, classes))
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
    tolerance = 4 * losses.std() / math.sqrt(draws) + std**4 / 4
    assert abs(losses.mean() - initial_loss(classes, std)) < tolerance


def test_known_rates_of_dead_networks_are_reproduced():
    assert born_dead([2] * 10) == pytest.approx(0.9436864853, abs=1e-10)
    assert born_dead([4] * 20) == pytest.approx(0.7249412101, abs=1e-10)
    assert born_dead([100] * 3) == pytest.approx(3 * 2.0**-100, rel=1e-12)
    assert born_dead([]) == 0


def test_networks_are_born_dead_at_that_rate():
    """5000 relu networks on one input; five standard errors."""
    rng, draws, widths = np.random.default_rng(2), 5000, (3, 2, 4)
    signal = np.ones((draws, 3))
    for width in widths:
        kernel = rng.normal(size=(draws, signal.shape[1], width))
        signal = np.maximum(np.einsum("di,dio->do", signal, kernel), 0)
    rate = born_dead(widths)
    dead = (signal == 0).all(axis=1).mean()
    assert abs(dead - rate) < 5 * math.sqrt(rate * (1 - rate) / draws)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: initial_loss(1), "classes: expected at least 2"),
        (lambda: initial_loss(10, -1.0), "logit_std: expected"),
        (lambda: born_dead([3, 0]), "born_dead: expected integer widths of at least 1"),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
