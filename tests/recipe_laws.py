"""Distributions of one entry, written as numbers, to compare recipes with their sources."""

import math
from fnmatch import fnmatch
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

import jinit
from jinit.rules import plan


class Law(NamedTuple):
    """Mean, standard deviation and bound of |x - mean| of one entry."""

    std: float
    bound: float = math.inf
    mean: float = 0.0


ZERO, ONE = Law(0, 0), Law(0, 0, 1)


def uniform(bound):
    return Law(bound / math.sqrt(3), bound)


def cut(std, bounds):
    """Return N(0, std²) truncated at `bounds` times std, without correction."""
    density = math.exp(-bounds * bounds / 2) / math.sqrt(2 * math.pi)
    return Law(
        std * math.sqrt(1 - 2 * bounds * density / math.erf(bounds / math.sqrt(2))), std * bounds
    )


def corrected(std):
    """Return a normal distribution truncated at two of its standard deviations, of this one."""
    return Law(std, 2 * std / cut(1, 2).std)


def xavier(inputs, outputs):
    return math.sqrt(2 / (inputs + outputs))


def assert_laws(model, recipe, laws):
    """Assert the law of every parameter; the first glob that matches its path counts."""
    for row in plan(model, recipe).rows:
        path = row.path.removeprefix("params/")
        law = next(law for glob, law in laws.items() if fnmatch(path, glob))
        assert stated_law(row) == pytest.approx(law, rel=1e-4, abs=1e-12), (
            f"{path}: {row.initializer}"
        )


def stated_law(row):
    """Return the law that the initializer of a row states; constants are drawn."""
    marginal = row.initializer.marginal(row.shape)
    if marginal is None:
        values = row.initializer(jax.random.key(0), row.shape)
        assert float(values.min()) == float(values.max()), f"{row.path} states no law"
        return Law(0, 0, float(values.min()))
    return Law(marginal.std, marginal.high - marginal.mean, marginal.mean)


def assert_draws(model, recipe, laws):
    """Assert that a draw has the laws: bounds, and mean and deviation to six standard errors."""
    params = model.by_path(jinit.init(model, jax.random.key(1), recipe))
    for path, values in params.items():
        law = next(law for glob, law in laws.items() if fnmatch(path.removeprefix("params/"), glob))
        assert float(jnp.abs(values - law.mean).max()) <= law.bound * (1 + 1e-6), path
        error = 6 / math.sqrt(values.size)
        assert abs(float(values.mean()) - law.mean) <= error * law.std, path
        if values.size >= 100:
            assert abs(float(values.std()) - law.std) <= error * law.std, path
