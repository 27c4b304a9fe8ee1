"""Verdicts of a sweep: known cases, and no false alarm on healthy random networks."""

import math

import numpy as np
import pytest

from jinit.diagnostics import verdict
from jinit.theory import finite_width


def judge(ratio=1.0, depth=10, width=4096, *, backward=1.0, **changes):
    """The verdict on second moments that grow by `ratio` per layer, gradients by `backward`."""
    statistics = {
        "second_moment": ratio ** np.arange(depth),
        "gradient_std": (backward ** np.arange(depth))[::-1],
        "saturated_fraction": np.zeros(depth),
        "identical": np.zeros(depth, bool),
        "widths": [width] * depth,
    } | changes
    return verdict(**statistics)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "stable"),
        ({"ratio": 1.3}, "stable"),  # 1.3^9 = 10.6, inside ln 4L = ln 40
        ({"ratio": 2.0}, "exploding"),
        ({"ratio": 0.5}, "vanishing"),
        ({"ratio": 0.5, "depth": 3}, "stable"),  # a quarter over three layers says nothing
        ({"ratio": 0.5, "width": 4}, "stable"),  # nor half per layer in layers this narrow
        ({"ratio": 0.5, "depth": 60, "width": 16}, "vanishing"),
        ({"backward": 2.0}, "exploding"),
        ({"backward": 0.5}, "vanishing"),
        ({"ratio": 0.5, "backward": 4.0}, "exploding"),
        ({"depth": 1}, "stable"),
        ({"depth": 0}, "stable"),
        ({"saturated_fraction": [0.0, 0.65, 0.0]}, "saturated"),
        ({"saturated_fraction": [0.57] * 3}, "stable"),
        ({"saturated_fraction": [math.nan]}, "stable"),
        ({"ratio": 2.0, "saturated_fraction": [0.9]}, "saturated"),
        ({"identical": [False, True]}, "symmetric"),
        ({"ratio": 2.0, "saturated_fraction": [0.9], "identical": [True]}, "symmetric"),
        ({"second_moment": [1.0, 10.0, math.inf]}, "exploding"),
        ({"second_moment": [1.0, 10.0, math.nan]}, "exploding"),
        ({"second_moment": [1.0, 1e-30, 0.0]}, "vanishing"),
        ({"second_moment": [0.0, 0.0, 0.0]}, "vanishing"),
        ({"gradient_std": [0.0, 0.0, 0.0]}, "vanishing"),
        ({"gradient_std": [0.0, 1.0, 1.0]}, "vanishing"),
        ({"gradient_std": [math.inf, 1.0, 1.0]}, "exploding"),
        ({"gradient_std": [1e30, 1e10, 1.0]}, "exploding"),
    ],
)
def test_known_cases(options, expected):
    assert judge(**options) == expected


def test_arrays_and_lists_are_both_taken():
    assert verdict([1.0], [1.0], [0.0], [False], [8]) == "stable"
    columns = (np.ones(3, np.float32), np.ones(3), np.zeros(3), np.zeros(3, bool), (8, 8, 8))
    assert verdict(*columns) == "stable"


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(
    ("deviations", "expected"),
    [(2, "stable"), (-2, "stable"), (4, "exploding"), (-4, "vanishing")],
)
def test_the_healthy_interval_ends_between_two_and_four_deviations(direction, deviations, expected):
    depth, width = 33, 4
    healthy = finite_width([width] * (depth - 1))
    ratio = math.exp(healthy.log_mean + deviations * math.sqrt(healthy.log_var))
    growth = np.geomspace(1, ratio, depth)
    changes = (
        {"second_moment": growth}
        if direction == "forward"
        else {"gradient_std": np.sqrt(growth)[::-1]}
    )
    assert judge(depth=depth, width=width, **changes) == expected


def random_signals(phi, slope, variance, depth, width):
    """Second moments and gradients of bias-free random networks by layer, in NumPy alone.

    The loss is a random linear function of the last layer, so it does not distort the gradient.
    """
    rng = np.random.default_rng(depth * width)
    signal, products = rng.normal(size=(SEEDS, 32, width)), []
    for _ in range(depth):
        kernel = rng.normal(size=(SEEDS, width, width)) * math.sqrt(variance / width)
        products.append((kernel, signal @ kernel))
        signal = phi(products[-1][1])
    back, gradients = rng.normal(size=signal.shape), []
    for kernel, product in reversed(products):
        gradient = back * slope(product)
        gradients.append(gradient.std((1, 2)))
        back = gradient @ kernel.swapaxes(1, 2)
    moments = [(product**2).mean((1, 2)) for _, product in products]
    return np.stack(moments, 1), np.stack(gradients[::-1], 1)


RELU = (lambda h: np.maximum(h, 0), lambda h: h > 0)
TANH = (np.tanh, lambda h: 1 - np.tanh(h) ** 2)
HEALTHY = {"He relu": (*RELU, 2.0), "critical tanh": (*TANH, 1.0)}
SEEDS = 40


def verdicts(phi, slope, variance, depth, width):
    moments, gradients = random_signals(phi, slope, variance, depth, width)
    zeros = [0.0] * depth
    return [
        verdict(moment, gradient, zeros, [False] * depth, [width] * depth)
        for moment, gradient in zip(moments, gradients, strict=True)
    ]


@pytest.mark.parametrize(("depth", "width"), [(2, 16), (2, 256), (8, 64), (32, 16), (32, 96)])
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_are_stable(name, depth, width):
    assert verdicts(*HEALTHY[name], depth, width) == ["stable"] * SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("width", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_are_stable_of_every_size(name, width, depth):
    assert verdicts(*HEALTHY[name], depth, width) == ["stable"] * SEEDS


@pytest.mark.parametrize(("variance", "expected"), [(8.0, "exploding"), (0.5, "vanishing")])
def test_faulty_networks_are_found(variance, expected):
    """Four times too much or too little variance in every layer, 16 layers: never missed."""
    assert verdicts(*RELU, variance, 16, 64) == [expected] * SEEDS
