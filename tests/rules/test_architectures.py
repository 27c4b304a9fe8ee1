"""Real architectures as recommended: every leaf is read, and every layer's variance is as promised.

Kernels are drawn independently of what reaches them, so that a pre-activation z = Σ w x has
E[z² | x] = var(w) Σ x² exactly, whatever x is: the same contraction of x² with a kernel of ones.
What units of a layer and draws of its network add to their mean is independent, and gives the
error of the mean: an error of six times that is a false alarm with a probability below 1e-6 per
layer, 1e-4 for all.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import gpt2, lstm, mixer, moe, resnet, unet, vit
from flax import nnx

import jinit
from jinit import recipes
from jinit.model import tapped
from jinit.theory import moments

DRAWS = 6
GELU = moments(jax.nn.gelu).gain ** 2


@dataclass(frozen=True)
class Case:
    """An architecture at a small size, and what is known of it by counting."""

    linen: Callable[..., Any]
    nnx: Callable[..., Any]
    small: Any
    shape: tuple[int, ...]
    """Of the inputs: of tokens, if there are two axes."""
    full: tuple[int, ...]
    count: int
    """Parameters at the published size."""
    roles: dict[str, int]
    """How many leaves play each role, in NNX."""
    fans: dict[str, tuple[float, float]]
    gains: dict[str, float]
    """By glob of paths, E[z²] where E[x²] = 1; 1 for all others."""
    normalized: tuple[str, ...] = ()
    """Globs of kernels whose input has E[x²] = 1: it is normalized, or the network's, unpadded."""
    inputs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By glob of paths, where E[x²] may lie if not between 1/5 and 5, for reasons given."""
    linen_roles: dict[str, int] = field(default_factory=dict)


ATTENTION = ("*/query/kernel", "*/key/kernel", "*/value/kernel")
TRANSFORMER = {"*/out/kernel": 1 / 4, "*up*": GELU, "*down*": 1 / 4}  # two layers, four branches
# A mean of n values that are not all alike is smaller than they are, down to 1/n.
CASES = {
    "gpt2": Case(
        gpt2.LinenGPT2, gpt2.NnxGPT2, gpt2.Config(50, 16, 32, 4, 2, False), (2, 8), (1, 8),
        124_439_808, {"kernel": 13, "bias": 17, "scale": 5, "embedding": 2},
        {"block_0/attention/out/kernel": (32, 32), "block_1/down/kernel": (128, 32),
         "tokens/embedding": (1, 32)},
        TRANSFORMER, (*ATTENTION, "*/up/kernel", "head/kernel"),
        {"*/out/kernel": (1 / 8, 1)},
    ),
    "resnet": Case(
        resnet.LinenResNet, resnet.NnxResNet, resnet.Config(10, 3, 16, (2, 1)),
        (4, 32, 32, 3), (1, 64, 64, 3),
        25_557_032, {"kernel": 13, "bias": 13, "scale": 12, "state": 24},
        {"stem/kernel": (147, 7 * 7 * 16 / 4), "block_0_0/conv_2/kernel": (144, 144),
         "block_1_0/conv_2/kernel": (9 * 32, 9 * 32 / 4), "block_1_0/shortcut/kernel": (64, 32)},
        {"stem/*": 2, "*/conv_[12]/*": 2},
    ),
    "vit": Case(
        vit.LinenViT, vit.NnxViT, vit.Config(10, 3, 16, 4, 32, 4, 2),
        (2, 16, 16, 3), (1, 224, 224, 3),
        86_567_656, {"kernel": 14, "bias": 19, "scale": 5, "position": 1, "token": 1},
        {"patches/kernel": (4 * 4 * 3, 32), "block_0/up/kernel": (32, 128)},
        TRANSFORMER, ("patches/kernel", *ATTENTION, "*/up/kernel", "head/kernel"),
        {"*/out/kernel": (1 / 17, 1)},
    ),
    "mixer": Case(
        mixer.LinenMixer, mixer.NnxMixer, mixer.Config(10, 3, 16, 4, 32, 2, 24, 64),
        (2, 16, 16, 3), (1, 224, 224, 3),
        59_880_472, {"kernel": 10, "bias": 15, "scale": 5},
        {"block_0/mix_patches/up/kernel": (16, 24), "block_0/mix_patches/down/kernel": (24, 16),
         "block_0/mix_channels/up/kernel": (32, 64)},
        TRANSFORMER, ("patches/kernel", "*/up/kernel"),
        {"head/kernel": (1 / 16, 1)},
    ),
    # |h| < 1 whatever the kernels are, and about a twelfth of E[z²] is left of it.
    "lstm": Case(
        lstm.LinenLSTM, lstm.NnxLSTM, lstm.Config(50, 32, 2), (2, 8), (1, 8),
        19_775_200, {"kernel": 5, "bias": 3, "embedding": 1},
        {"layer_0/cell/dense_h/kernel": (32, 128), "layer_1/cell/ig/kernel": (32, 32)},
        {}, (),
        {"layer_0/cell/*i*/*": (0.8, 1.25), "layer_0/cell/*h*/*": (1 / 50, 1 / 5),
         "layer_1/cell/*i*/*": (1 / 50, 1 / 5),
         "layer_1/cell/*h*/*": (1 / 1000, 1 / 50), "head/kernel": (1 / 1000, 1 / 50)},
        linen_roles={"kernel": 17, "bias": 9, "embedding": 1},
    ),
    "unet": Case(
        unet.LinenUNet, unet.NnxUNet, unet.Config(2, 1, 16, 2), (2, 16, 16, 1), (1, 32, 32, 1),
        31_030_658, {"kernel": 13, "bias": 13},
        {"down_0/conv_1/kernel": (9, 9 * 16), "rise_1/kernel": (2 * 2 * 64 / 4, 2 * 2 * 32),
         "up_0/conv_1/kernel": (9 * 32, 9 * 16)},
        {"*/conv_?/kernel": 2},
    ),
    "moe": Case(
        moe.LinenMoE, moe.NnxMoE, moe.Config(50, 16, 32, 4, 2, 4, 2), (2, 8), (1, 8),
        559_426_560, {"kernel": 15, "bias": 13, "scale": 5, "embedding": 2},
        {"block_0/experts/up": (32, 4 * 128), "block_0/experts/down": (128, 32),
         "block_1/experts/router/kernel": (32, 4)},
        TRANSFORMER, (*ATTENTION, "*/router/kernel", "*/up", "head/kernel"),
        {"*/out/kernel": (1 / 8, 1)},
    ),
}  # fmt: skip
BOTH = [(name, framework) for name in CASES for framework in ("linen", "nnx")]
every_architecture = pytest.mark.parametrize(("name", "framework"), BOTH)
# Twins run the same programs: those in NNX with -m slow.
one_of_twins = pytest.mark.parametrize(
    ("name", "framework"),
    [pytest.param(*each, marks=() if each[1] == "linen" else pytest.mark.slow) for each in BOTH],
)


def example(shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32 if len(shape) == 2 else jnp.float32)


@cache
def recommended(name, framework):
    """The plan for the small size; without the model's own start beside it, to save time."""
    case = CASES[name]
    if framework == "linen":
        model = jinit.linen.trace(case.linen(case.small), example(case.shape))
    else:
        model = jinit.nnx.trace(lambda rngs: case.nnx(case.small, rngs), example(case.shape))
    model = replace(model, finish=lambda params, key: params)
    return replace(jinit.recommend(replace(model, init=None)), model=model)


def plain(path):
    """A path of Linen's as in NNX."""
    return path.removeprefix("params/").removeprefix("batch_stats/")


def found(table, path, default):
    """What the first glob says that matches."""
    return next((value for glob, value in table.items() if fnmatch(path, glob)), default)


@every_architecture
def test_every_leaf_is_read(name, framework):
    case, plan = CASES[name], recommended(name, framework)
    everywhere = jinit.plan(plan.model, recipes.everywhere(jinit.he_normal()))
    for rows in (plan.rows, everywhere.rows):
        assert sorted(row.path for row in rows) == sorted(plan.model.paths)
    expected = (framework == "linen" and case.linen_roles) or case.roles
    assert Counter(row.role for row in plan.rows) == expected
    fans = {plain(row.path): (row.fan_in, row.fan_out) for row in plan.rows}
    known = fans.keys() & case.fans.keys()
    assert {path: fans[path] for path in known} == {path: case.fans[path] for path in known}
    assert known


@one_of_twins
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
def test_gains_are_as_counted(name, framework):
    rows = [row for row in recommended(name, framework).rows if row.role == "kernel"]
    gains = {plain(row.path): row.std**2 * row.fan_in for row in rows}
    expected = {path: found(CASES[name].gains, path, 1.0) for path in gains}
    assert gains == pytest.approx(expected, rel=1e-4)


@dataclass(frozen=True)
class Layer:
    """Second moments at one use of a kernel, over several draws of the network and its input."""

    path: str
    ratio: np.ndarray
    """By draw and unit, of the sum of z² over all places, to what is expected there."""
    before: float
    """Mean of x² over all products that the layer sums; of padding, it is zero."""
    after: float
    """Mean of z²."""


@cache
def layers(name, framework):
    """All uses of all kernels in real forward passes, loops unrolled."""
    plan = recommended(name, framework)
    model, rows = plan.model, {row.path: row for row in plan.rows}
    with jax.disable_jit():
        graph = model.graph  # every step of a loop is an operation of its own
    shape, tokens = (DRAWS, *model.inputs[0].shape), model.inputs[0].dtype == jnp.int32
    random = np.random.default_rng(0)
    x = random.integers(50, size=shape) if tokens else random.standard_normal(shape, np.float32)
    drawn = [plan.init(key) for key in jax.random.split(jax.random.key(0), DRAWS)]
    params = jax.tree.map(lambda *each: np.stack(list(map(np.asarray, each))), *drawn)

    def run(params, x):
        taps = {
            layer.place: lambda operands, z, probe: (z, (*operands, z))
            for layer in model.contractions
        }
        return list(tapped(graph, [*jax.tree.leaves(params), x], taps)[1].values())

    seen = jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(params, x))
    products = _products(graph, model.contractions, seen)
    paths = (label.partition("#")[0] for label in model.layer_names)
    return [
        _layer(rows[path], *_by_unit(graph.operations[layer.place[0]], layer, z**2, sums))
        for path, layer, (*_, z), sums in zip(
            paths, model.contractions, seen, products, strict=True
        )
    ]


def _products(graph, contractions, seen):
    """The sums of x² over the products that each entry of a result sums."""
    arguments = []
    for layer, (*operands, _) in zip(contractions, seen, strict=True):
        operands[layer.signal] = operands[layer.signal] ** 2
        operands[1 - layer.signal] = np.ones_like(operands[1 - layer.signal])
        arguments.append(operands)

    # The ones are arguments: of constant ones, jax 0.10 to 0.12 make garbage under jit and vmap.
    def run(arguments):
        operations = (graph.operations[layer.place[0]] for layer in contractions)
        return [
            operation.bind(operands)[0]
            for operation, operands in zip(operations, arguments, strict=True)
        ]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(arguments))


def _by_unit(operation, layer, *values):
    """Means over all places of each unit and copy, by draw."""
    copies = 0
    if operation.primitive.name == "dot_general":
        copies = len(operation.params["dimension_numbers"][1][0])
    places = [axis for axis in range(copies, len(layer.shape)) if axis not in layer.units]
    return [value.mean(tuple(axis + 1 for axis in places)) for value in values]


def _layer(row, after, products):
    expected = row.std**2 * products
    ratio = np.divide(after, expected, out=np.full_like(after, np.nan), where=expected > 0)
    return Layer(plain(row.path), ratio.ravel(), products.mean() / row.fan_in, after.mean())


def error(values):
    return values.std() / math.sqrt(values.size)


@one_of_twins
def test_the_variance_of_every_layer_is_that_of_its_products(name, framework):
    """Of a recurrent kernel, at its first step with an input: a later one depends on the kernel."""
    checked = set()
    for layer in layers(name, framework):
        again = layer.path in checked and fnmatch(layer.path, "*/cell/*h*")
        if layer.before > 0 and not again:
            assert abs(layer.ratio.mean() - 1) < 6 * error(layer.ratio), layer.path
            checked.add(layer.path)
    gains = {plain(row.path) for row in recommended(name, framework).rows if row.role == "kernel"}
    joined = 12 if (name, framework) == ("lstm", "linen") else 0  # four gates in one product
    assert len(checked) == len(gains) - joined


@one_of_twins
def test_the_variance_of_every_layer_is_that_of_its_gain(name, framework):
    """gain² where E[x²] = 1, and elsewhere as many times that as E[x²] may be."""
    case = CASES[name]
    for layer in layers(name, framework):
        if layer.before == 0:
            continue
        size = layer.after / found(case.gains, layer.path, 1.0)
        if any(fnmatch(layer.path, glob) for glob in case.normalized):
            assert layer.before == pytest.approx(1, abs=0.05)
            assert abs(size - 1) < 6 * error(layer.ratio) + 0.05, layer.path
        low, high = found(case.inputs, layer.path, (1 / 5, 5))
        assert low < size < high, layer.path
        assert low < layer.before < high, layer.path
