"""Recommended plans of real architectures: every leaf is read, and every variance is as planned.

Kernels are independent of their inputs, so that a pre-activation z = Σ w x has
E[z² | x] = var(w) Σ x² exactly for any x: the same contraction of x² with a kernel of ones. The
contributions of units and draws to the mean are independent, which gives the error of the mean.
Six times that error is a false alarm with a probability below 1e-6 per layer, and 1e-4 for all.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from rules.architecture_cases import CASES

import jinit
from jinit import recipes
from jinit.model import apply_taps

DRAWS = 6

BOTH = [(name, framework) for name in CASES for framework in ("linen", "nnx")]
every_architecture = pytest.mark.parametrize(("name", "framework"), BOTH)
# Networks in Linen and NNX run the same programs: those in NNX run with -m slow.
MEASURED = [("gpt2", "linen"), ("unet", "linen"), ("moe", "linen")]
"""Cases whose layers are measured in every run."""
one_framework = pytest.mark.parametrize(
    ("name", "framework"),
    [pytest.param(*each, marks=() if each[1] == "linen" else pytest.mark.slow) for each in BOTH],
)


def example(shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32 if len(shape) == 2 else jnp.float32)


@cache
def recommended(name, framework):
    """Return the plan for the small size, without the model's current scales, to save time."""
    case = CASES[name]
    if framework == "linen":
        model = jinit.linen.trace(case.linen(case.small), example(case.shape))
    else:
        model = jinit.nnx.trace(lambda rngs: case.nnx(case.small, rngs), example(case.shape))
    model = replace(model, wrap=lambda params, key: params)
    return replace(jinit.recommend(replace(model, init=None)), model=model)


def nnx_path(path):
    """Return a path of Linen as in NNX."""
    return path.removeprefix("params/").removeprefix("batch_stats/")


def look_up(table, path, default):
    """Return the value of the first glob that matches a path."""
    return next((value for glob, value in table.items() if fnmatch(path, glob)), default)


@pytest.mark.few(5)
@every_architecture
def test_every_leaf_is_read(name, framework):
    case, plan = CASES[name], recommended(name, framework)
    everywhere = jinit.plan(plan.model, recipes.everywhere(jinit.he_normal()))
    for rows in (plan.rows, everywhere.rows):
        assert sorted(row.path for row in rows) == sorted(plan.model.paths)
    expected = (framework == "linen" and case.linen_roles) or case.roles
    assert Counter(row.role for row in plan.rows) == expected
    fans = {nnx_path(row.path): (row.fan_in, row.fan_out) for row in plan.rows}
    known = fans.keys() & case.fans.keys()
    assert {path: fans[path] for path in known} == {path: case.fans[path] for path in known}
    assert known


@pytest.mark.few(2)
@one_framework
def test_the_published_number_of_parameters(name, framework):
    case = CASES[name]
    config = type(case.small)()
    if framework == "linen":
        module, x = case.linen(config), example(case.full)
        params = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    else:
        params = nnx.state(nnx.eval_shape(lambda: case.nnx(config, nnx.Rngs(0))), nnx.Param)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == case.count


@every_architecture
def test_gains_are_the_counted_ones(name, framework):
    rows = [row for row in recommended(name, framework).rows if row.role == "kernel"]
    gains = {nnx_path(row.path): row.std**2 * row.fan_in for row in rows}
    expected = {path: look_up(CASES[name].gains, path, 1.0) for path in gains}
    assert gains == pytest.approx(expected, rel=1e-4)


@dataclass(frozen=True)
class Layer:
    """Second moments at one use of a kernel, over several draws of the network and its input."""

    path: str
    ratio: np.ndarray
    """Mean of z² over all positions, divided by its expectation, by draw and unit."""
    before: float
    """Mean of x² over all products that the layer sums; zero for padding."""
    after: float
    """Mean of z²."""


@cache
def layers(name, framework):
    """Return all uses of all kernels in forward passes with unrolled loops."""
    plan = recommended(name, framework)
    model, rows = plan.model, {row.path: row for row in plan.rows}
    with jax.disable_jit():
        graph = model.graph  # every step of a loop is an operation of its own
    shape, tokens = (DRAWS, *model.inputs[0].shape), model.inputs[0].dtype == jnp.int32
    random = np.random.default_rng(0)
    x = random.integers(50, size=shape) if tokens else random.standard_normal(shape, np.float32)
    draws = [plan.init(key) for key in jax.random.split(jax.random.key(0), DRAWS)]
    params = jax.tree.map(lambda *arrays: np.stack(list(map(np.asarray, arrays))), *draws)

    def run(params, x):
        taps = {
            layer.place: lambda operands, z, probe: (z, (*operands, z))
            for layer in model.contractions
        }
        return list(apply_taps(graph, [*jax.tree.leaves(params), x], taps)[1].values())

    observed = jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(params, x))
    products = _products(graph, model.contractions, observed)
    paths = (label.partition("#")[0] for label in model.layer_names)
    return [
        _layer(rows[path], *_by_unit(graph.operations[layer.place[0]], layer, z**2, sums))
        for path, layer, (*_, z), sums in zip(
            paths, model.contractions, observed, products, strict=True
        )
    ]


def _products(graph, contractions, observed):
    """Return the sums of x² over the products that each entry of a result sums."""
    arguments = []
    for layer, (*operands, _) in zip(contractions, observed, strict=True):
        operands[layer.signal_operand] = operands[layer.signal_operand] ** 2
        operands[1 - layer.signal_operand] = np.ones_like(operands[1 - layer.signal_operand])
        arguments.append(operands)

    # The ones are arguments, because jax 0.10 to 0.12 return wrong values under jit and vmap for
    # constant ones.
    def run(arguments):
        operations = (graph.operations[layer.place[0]] for layer in contractions)
        return [
            operation.bind(operands)[0]
            for operation, operands in zip(operations, arguments, strict=True)
        ]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(arguments))


def _by_unit(operation, layer, *values):
    """Return means over all positions of each unit and copy, by draw."""
    copies = 0
    if operation.primitive.name == "dot_general":
        copies = len(operation.params["dimension_numbers"][1][0])
    positions = [axis for axis in range(copies, len(layer.shape)) if axis not in layer.unit_axes]
    return [value.mean(tuple(axis + 1 for axis in positions)) for value in values]


def _layer(row, after, products):
    expected = row.std**2 * products
    ratio = np.divide(after, expected, out=np.full_like(after, np.nan), where=expected > 0)
    return Layer(nnx_path(row.path), ratio.ravel(), products.mean() / row.fan_in, after.mean())


def error(values):
    return values.std() / math.sqrt(values.size)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "framework"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each not in MEASURED)) for each in BOTH],
)
def test_the_variance_of_every_layer_is_that_of_its_products(name, framework):
    """A recurrent kernel is checked at its first step; inputs of later steps depend on it."""
    checked = set()
    for layer in layers(name, framework):
        is_later_step = layer.path in checked and fnmatch(layer.path, "*/cell/*h*")
        if layer.before > 0 and not is_later_step:
            assert abs(layer.ratio.mean() - 1) < 6 * error(layer.ratio), layer.path
            checked.add(layer.path)
    gains = {
        nnx_path(row.path) for row in recommended(name, framework).rows if row.role == "kernel"
    }
    joined = 12 if (name, framework) == ("lstm", "linen") else 0  # four gates in one product
    assert len(checked) == len(gains) - joined


@pytest.mark.few(2)
@one_framework
def test_the_variance_of_every_layer_is_that_of_its_gain(name, framework):
    """E[z²] is gain² where E[x²] = 1, and gain² times an interval of E[x²] elsewhere."""
    case = CASES[name]
    for layer in layers(name, framework):
        if layer.before == 0:
            continue
        size = layer.after / look_up(case.gains, layer.path, 1.0)
        if any(fnmatch(layer.path, glob) for glob in case.normalized):
            assert layer.before == pytest.approx(1, abs=0.05)
            assert abs(size - 1) < 6 * error(layer.ratio) + 0.05, layer.path
        low, high = look_up(case.inputs, layer.path, (1 / 5, 5))
        assert low < size < high, layer.path
        assert low < layer.before < high, layer.path
