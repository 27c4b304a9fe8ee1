"""Faults between layers: the operation is named, with the layers that it lies between."""

import jax
import jax.numpy as jnp
import pytest
from arrays import normals
from diagnostics.mixing import MIXES, OUTPUTS, WIDTH, X, layer_norm, mixed_network
from jax.nn import relu

import jinit
from jinit import diagnose

SLOW = pytest.mark.slow
LABELS = jnp.arange(len(X)) % OUTPUTS


def some(names):
    """All mixings; those that are not among the given names are slow."""
    return [name if name in names else pytest.param(name, marks=SLOW) for name in MIXES]


@pytest.mark.slow
@pytest.mark.parametrize("name", some(["segment sum"]))
@pytest.mark.parametrize("depth", [4, pytest.param(8, marks=SLOW), pytest.param(16, marks=SLOW)])
def test_growth_between_layers_is_named_with_its_operation(name, depth):
    model, batch = mixed_network(name, depth, is_healthy=False)
    diagnosis = diagnose(model, model.init(jax.random.key(1)), *batch)
    assert diagnosis.verdict in ("exploding", "overflowing")
    fault = next(each for each in diagnosis.faults if MIXES[name][-1] in each.cause)
    assert "between hidden/" in fault.cause
    assert fault.cure
    assert all(each.cause and each.cure for each in diagnosis.faults)


@pytest.mark.parametrize("name", some(["adjacency"]))
@pytest.mark.parametrize("depth", [4, pytest.param(8, marks=SLOW), pytest.param(16, marks=SLOW)])
def test_healthy_twins_are_stable(name, depth):
    model, batch = mixed_network(name, depth, is_healthy=True)
    diagnosis = diagnose(model, None, *batch, seeds=12, key=jax.random.key(depth))
    assert diagnosis.shares == {"stable": 1.0}


def test_a_large_loss_does_not_hide_the_operation():
    model, batch = mixed_network("sum over rows", 4, is_healthy=False)
    diagnosis = diagnose(model, model.init(jax.random.key(1)), *batch, LABELS)
    assert diagnosis.verdict == "exploding"
    assert "the sum over axis 0, between hidden/1 and hidden/2" in diagnosis.faults[1].cause


def network(between=relu, after=lambda y: y, scale=1.0):
    """The Model of two layers with a function between them and one after them."""

    def apply(params, x):
        return after(between(x @ params["first"]) @ params["last"])

    kernels = normals(3, (2, WIDTH, WIDTH)) * WIDTH**-0.5 * scale
    params = {"first": kernels[0], "last": kernels[1, :, :OUTPUTS]}
    return jinit.trace(apply, params, X), params


BROKEN = {
    "log, between first and last": {"between": jnp.log},
    "sqrt, between first and last": {"between": lambda h: jnp.sqrt(h - 1)},
    "exp, between first and last": {"between": lambda h: h * jnp.exp(99 * h)},
    "log, between last and the loss": {"after": jnp.log},
    "the division of 1 by the result of first": {"between": lambda h: 1 / relu(h)},
    "the derivative of sqrt, between first and last": {
        "between": lambda h: jnp.where(h > 0, jnp.sqrt(jnp.maximum(h, 0)), 0)
    },
}
STOPPED = {
    "the conversion to int8, between first": {
        "between": lambda h: (9 * h).astype(jnp.int8).astype(jnp.float32)
    },
    "the conversion to int8, between last and the loss": {
        "after": lambda y: (0.01 * y).astype(jnp.int8).astype(jnp.float32)
    },
    "the factor 0, between last and the loss": {"after": lambda y: 0 * y},
    "the factor 0, between first and last": {"between": lambda h: 0 * h},
    "stop_gradient, between first and last": {"between": jax.lax.stop_gradient},
    "round, between first and last": {"between": lambda h: jnp.round(3 * h)},
    "argmax over axis 1, between first": {"between": lambda h: jax.nn.one_hot(h.argmax(-1), WIDTH)},
}


def default(table, count=2):
    return [
        name if number < count else pytest.param(name, marks=SLOW)
        for number, name in enumerate(table)
    ]


@pytest.mark.few(1)
@pytest.mark.parametrize("text", default(BROKEN))
def test_the_operation_that_makes_nan_or_infinity_is_named(text):
    diagnosis = diagnose(*network(**BROKEN[text]), X)
    assert diagnosis.verdict == "overflowing"
    assert any(text in fault.cause for fault in diagnosis.faults), str(diagnosis)
    assert all(fault.cure and "the inputs" not in fault.cure for fault in diagnosis.faults)


@pytest.mark.few(1)
@pytest.mark.parametrize("text", default(STOPPED, 3))
def test_the_operation_that_stops_the_gradient_is_named(text):
    diagnosis = diagnose(*network(**STOPPED[text]), X)
    assert diagnosis.verdict in ("vanishing", "dead")
    assert any(text in fault.cause for fault in diagnosis.faults), str(diagnosis)
    assert all(fault.cause and fault.cure for fault in diagnosis.faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["the conversion to int8", pytest.param("the factor 0", marks=SLOW)]
)
def test_zeros_between_hidden_layers_are_not_called_dead_units(name):
    operations = {"the factor 0": lambda h: 0 * h, "the conversion to int8": to_zeros}
    kernels = normals(3, (4, WIDTH, WIDTH)) * (2 / WIDTH) ** 0.5

    def apply(kernels, h):
        for number, kernel in enumerate(kernels):
            h = jax.nn.elu(h @ kernel)  # which has a constant of zero
            h = operations[name](h) if number == 1 else h
        return h

    diagnosis = diagnose(jinit.trace(apply, list(kernels), X), list(kernels), X)
    assert diagnosis.verdict == "dead"
    fault = next(each for each in diagnosis.faults if each.path == "1")
    assert fault.cause == f"{name}, between 1 and 2, is zero for every example"
    assert fault.cure.startswith(f"leave out {name}")


def to_zeros(h):
    return (0.1 * h).astype(jnp.int8).astype(jnp.float32)


def test_a_loss_without_a_gradient_or_a_number():
    model, params = network()
    causes = {
        "the loss does not depend on the outputs": lambda y, t: jnp.float32(0),
        "argmax over axis 1, between last and the loss": lambda y, t: (y.argmax(-1) != t).mean(),
        "log, between last and the loss": lambda y, t: jnp.log(y.min()) + y.mean(),
    }
    for cause, loss in causes.items():
        diagnosis = diagnose(model, params, X, LABELS, loss=loss)
        (fault,) = diagnosis.faults
        assert (fault.path, diagnosis.healthy) == ("last", False)
        assert cause in fault.cause
        assert fault.cure


def test_constants_before_a_kernel_are_part_of_its_scale():
    def apply(params, h):
        for number, kernel in enumerate(params["hidden"]):
            h = relu((30 * h if number else h) @ kernel)
        return h @ params["out"]

    kernels = normals(3, (5, WIDTH, WIDTH)) * (2 / WIDTH) ** 0.5
    hidden = [kernels[0], *(kernel / 30 for kernel in kernels[1:-1])]
    params = {"hidden": hidden, "out": kernels[-1, :, :OUTPUTS]}
    model = jinit.trace(apply, params, X)
    assert diagnose(model, params, X, LABELS).verdict == "stable"
    hidden[2] = 30 * hidden[2]
    diagnosis = diagnose(model, params, X, LABELS)
    assert [fault.path for fault in diagnosis.faults] == ["hidden/2"]
    assert diagnosis.verdict == "exploding"


def test_finite_numbers_are_not_called_infinite():
    for params_scale, input_scale in ((1e17, 1), (1, 1e25)):
        model, params = network(scale=params_scale)
        diagnosis = diagnose(model, params, input_scale * X)
        text = " ".join(fault.cause for fault in diagnosis.faults)
        assert "NaN" not in text
        assert "not finite" not in text


def test_gates_of_zero_that_learn_are_healthy():
    def apply(params, x):
        h = layer_norm(x @ params["first"])
        for gate, kernel in zip(params["gates"], params["branches"], strict=True):
            h = h + gate * relu(h @ kernel)
        return h @ params["last"]

    kernels = normals(3, (4, WIDTH, WIDTH)) * WIDTH**-0.5
    params = {
        "first": kernels[0],
        "gates": list(jnp.zeros(2)),
        "branches": list(2**0.5 * kernels[1:3]),
        "last": kernels[3, :, :OUTPUTS],
    }
    diagnosis = diagnose(jinit.trace(apply, params, X), params, X)
    assert diagnosis.layers[1].statistics["gradient_rms"] == 0
    assert diagnosis.verdict == "stable", str(diagnosis)
