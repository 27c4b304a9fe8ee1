"""Each cure of each fault, taken as its text says, ends in a stable network."""

import re

import diagnostics.test_network_faults as plain
import diagnostics.test_whole_network as between
import diagnostics.test_zeros as zeros
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from diagnostics.mixing import MIXES, mixed_network
from diagnostics.planted import FAULTS, network
from diagnostics.taking import evaluate, heal, write

import jinit
from jinit import diagnose

SLOW = pytest.mark.slow
KEY = jax.random.key(0)


def failures(diagnoses):
    """The faults that are left after the last cure."""
    return [(each.path, each.verdict, each.cause, each.cure) for each in diagnoses[-1].faults]


PLAIN = [
    ("tanh", 4, 32),
    *(
        pytest.param(*case, marks=SLOW)
        for case in (
            *((name, 8, 64) for name in ("relu", "tanh", "gelu", "tanh with biases")),
            *(("relu", 24, 16), ("tanh", 24, 32), ("gelu", 24, 128)),
        )
    ),
]


@pytest.mark.parametrize(("name", "depth", "width"), PLAIN)
def test_cures_of_planted_faults(name, depth, width):
    model, init, x = network(name, depth, width)
    left = {}
    for fault, (plant, _) in FAULTS.items():
        for place in {2, depth // 2, depth - 1}:
            params = init(KEY)
            plant(params, place, KEY)
            if found := failures(heal(model, params, x)):
                left[fault, place] = found
    assert not left


@SLOW
@pytest.mark.parametrize("depth", [4, 8, 16])
@pytest.mark.parametrize("name", MIXES)
def test_cures_of_growth_between_layers(name, depth):
    model, batch = mixed_network(name, depth, is_healthy=False)
    diagnoses = heal(model, model.init(jax.random.key(1)), *batch, steps=depth)
    assert not failures(diagnoses)


def first_choice(cure):
    return cure.split(", or ")[0]


def straight_through(cure):
    return re.search(r"h \+ jax.*?- h\)", cure)[0]


# The network after the cure: a function of the text gives the operation between or after layers.
REWRITTEN = {
    "log, between first and last": lambda cure: {
        "between": lambda h: evaluate(first_choice(cure), h=h)
    },
    "sqrt, between first and last": lambda cure: {"between": lambda h: evaluate(cure, h=h - 1)},
    "exp, between first and last": lambda cure: {
        "between": lambda h: h * evaluate(first_choice(cure), h=99 * h)
    },
    "log, between last and the loss": lambda cure: {
        "after": lambda h: evaluate(first_choice(cure), h=h)
    },
    "the division of 1 by the result of first": lambda cure: {
        "between": lambda h: evaluate(cure.split(" for ")[0], h=1.0, divisor=between.relu(h))
    },
    "the derivative of sqrt, between first and last": lambda cure: {
        "between": lambda h: jnp.where(
            h > 0, evaluate(re.search(r"as in (.*?): ", cure)[1], h=h), 0
        )
    },
    "the conversion to int8, between first": lambda cure: {
        "between": lambda h: evaluate(straight_through(cure), h=9 * h)
    },
    "the conversion to int8, between last and the loss": lambda cure: {
        "after": lambda y: evaluate(straight_through(cure), h=0.01 * y)
    },
    "the factor 0, between last and the loss": lambda _: {},
    "the factor 0, between first and last": lambda _: {"between": lambda h: h},
    "stop_gradient, between first and last": lambda _: {"between": lambda h: h},
    "round, between first and last": lambda cure: {
        "between": lambda h: evaluate(straight_through(cure), h=3 * h)
    },
    "argmax over axis 1, between first": lambda cure: {
        "between": lambda h: evaluate(first_choice(cure.removeprefix("use ")), h=h)
    },
}


@SLOW
@pytest.mark.parametrize("text", between.BROKEN | between.STOPPED)
def test_cures_of_operations(text):
    diagnosis = diagnose(*between.network(**(between.BROKEN | between.STOPPED)[text]), between.X)
    fault = next(each for each in diagnosis.faults if text in each.cause)
    cured = between.network(**REWRITTEN[text](fault.cure))
    assert not failures(heal(*cured, between.X))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("bytes", "NaN") else pytest.param(name, marks=SLOW)
        for name, (_, verdict, _) in plain.INPUTS.items()
        if verdict != "stable" and name != "zero"
    ],
)
def test_cures_of_inputs(name):
    x = np.asarray(plain.INPUTS[name][0])
    fault = plain.judge(x, plain.LABELS).faults[0]
    codes = re.findall(r"(?:\bx = )(.*?)(?:,|$)|(x / \S+)|(jnp\..*\))", fault.cure)
    assert codes
    for code in map("".join, codes):
        cured = evaluate(code, x=x)
        assert not plain.judge(cured, plain.LABELS).faults, (code, fault.cause)


@SLOW
@pytest.mark.parametrize("targets", [1e3 * plain.TARGETS, plain.TARGETS + 2000])
def test_cures_of_targets(targets):
    (fault,) = plain.judge(plain.X, targets).faults
    code = re.match("y = (.*?), with", fault.cure)[1]
    assert not plain.judge(plain.X, evaluate(code, y=np.asarray(targets))).faults


@SLOW
def test_the_cure_of_large_logits():
    def scaled(divisor):
        return jinit.trace(lambda p, x: 1e3 * plain.mlp(p, x) / divisor, plain.PARAMS, plain.X)

    (fault,) = plain.judge(plain.X, plain.LABELS, model=scaled(1.0)).faults
    divisor = float(fault.cure.removeprefix("divide the logits by "))
    assert not plain.judge(plain.X, plain.LABELS, model=scaled(divisor)).faults


BROKEN_WEIGHTS = {
    "NaN": lambda w: w.at[2, 2].set(jnp.nan),
    "too large to be squared": lambda w: 1e20 * w,
    "too large": lambda w: 50 * w,
}


@pytest.mark.parametrize("name", ["NaN", *(pytest.param(n, marks=SLOW) for n in BROKEN_WEIGHTS)])
def test_cures_of_weights_of_a_model_without_an_initialization_of_its_own(name):
    params = plain.PARAMS | {"second": BROKEN_WEIGHTS[name](plain.PARAMS["second"])}
    assert not failures(heal(plain.MODEL, params, plain.X, plain.LABELS))


STUCK = ("gate down", "up", "a b", "query key", "value out", "gate down query key", "base a head")


@SLOW
@pytest.mark.parametrize("names", STUCK)
def test_cures_of_zeros(names):
    assert not failures(heal(zeros.MODEL, zeros.change(names), zeros.X, zeros.LABELS))


@SLOW
@pytest.mark.parametrize(
    "params",
    [
        zeros.change("bias", -100.0),
        zeros.change("base", 0.1),
        zeros.change("up", 0.1),
        jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), zeros.DRAWN),
        jax.tree.map(jnp.zeros_like, zeros.DRAWN),
    ],
)
def test_cures_of_constants(params):
    assert not failures(heal(zeros.MODEL, params, zeros.X, zeros.LABELS))


def normalized_kernels(scale, factor=1.0, has_gains=True):
    """A network of normalized kernels, with gains that are parameters or without any."""
    keys = jax.random.split(KEY, 6)
    params = {f"kernel_{n}": normals(key, (16, 16)) for n, key in enumerate(keys)}
    if has_gains:
        params |= {f"gain_{n}": jnp.full(16, scale) for n in range(6)}

    def apply(params, x):
        for n in range(6):
            kernel = params[f"kernel_{n}"]
            kernel = kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)
            if has_gains:
                kernel = kernel * params[f"gain_{n}"][None]
            x = jax.nn.relu(x @ (kernel if has_gains else kernel * scale * factor))
        return x

    return jinit.trace(apply, params, plain.X), params


@SLOW
def test_cures_of_normalized_kernels():
    assert not failures(heal(*normalized_kernels(8.0), plain.X))
    diagnosis = diagnose(*normalized_kernels(8.0, has_gains=False), plain.X)
    factor = re.match(r"multiply the normalized kernel by (\S+):", diagnosis.faults[0].cure)[1]
    network = normalized_kernels(8.0, float(factor), has_gains=False)
    assert diagnose(*network, plain.X).healthy


@SLOW
def test_the_cure_of_gradients_that_underflow():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), plain.PARAMS)
    x = plain.X.astype(jnp.float16)
    model = jinit.trace(plain.mlp, params, x)

    def judge(factor):
        return diagnose(model, params, x, loss=lambda y: jnp.float32(factor * 1e-6) * y.mean())

    factor, found = 1.0, judge(1.0)
    for _ in range(2):  # a factor that float16 holds is not always enough
        assert found.verdict == "underflowing"
        factor *= float(re.search(r"multiply the loss by (\S+) and", found.faults[0].cure)[1])
        found = judge(factor)
        if found.healthy:
            break
    assert found.healthy, found


def transposed(params, x):
    """Kernels with the units first, as in Equinox, whose fan-in an initializer misreads."""
    *hidden, last = params
    for kernel in hidden:
        x = jax.nn.relu(x @ kernel.T)
    return x @ last.T


def transposed_params(scale):
    shapes = [(48, 16), (96, 48), (24, 96), (64, 24), (10, 64)]
    keys = jax.random.split(KEY, len(shapes))
    params = [
        normals(key, shape) * (2 / shape[1]) ** 0.5 for key, shape in zip(keys, shapes, strict=True)
    ]
    params[2] *= scale
    return params


@SLOW
def test_cures_state_the_standard_deviation_of_kernels_whose_shape_misleads():
    params = transposed_params(30.0)
    model = jinit.trace(transposed, params, plain.X)
    diagnoses = heal(model, params, plain.X)
    assert not failures(diagnoses)
    cures = [(each.path, each.cure) for each in diagnoses[0].faults]
    assert cures == [("2", "kernel_init=jinit.normal(0.1443)")]  # √(2 / 96)


@SLOW
@pytest.mark.parametrize("way", ["dtype", "rate", "mean"])
def test_cures_of_frozen_parameters(way):
    """Each of the three cures moves norm weights of 1 that bfloat16 does not resolve."""
    x = normals(KEY, (32, 16))
    rate, dtype, mean = 1e-3, jnp.bfloat16, 0.0

    def judge():
        params = {
            "kernel": jinit.lecun_normal()(KEY, (16, 8), dtype),
            "scale": jnp.full(16, 1 - mean, dtype),
        }

        def apply(params, x):
            return (x * (mean + params["scale"])[None]) @ params["kernel"]

        model = jinit.trace(apply, params, x.astype(dtype))
        optimizer = optax.sign_sgd(rate)
        labels = jnp.arange(32) % 8
        return diagnose(model, params, x.astype(dtype), labels, optimizer=optimizer)

    (fault,) = judge().faults
    assert fault.path == "scale"
    if way == "dtype":
        assert "param_dtype=jnp.float32" in fault.cure
        dtype = jnp.float32
    if way == "rate":
        rate *= float(re.search(r"learning rate (\S+) times larger", fault.cure)[1])
    if way == "mean":
        mean = float(re.search(r"store its difference from (\S+?),", fault.cure)[1])
    assert judge().verdict == "stable"


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_the_standard_deviation_that_audit_asks_for_satisfies_it(factor):
    params = [factor * each for each in transposed_params(1.0)]
    model = jinit.trace(transposed, params, plain.X)
    misfits = jinit.audit(model, params)
    assert misfits
    for misfit in misfits:
        params = write(model, params, misfit.path, jinit.normal(misfit.needed_std), KEY)
    assert not jinit.audit(model, params)
