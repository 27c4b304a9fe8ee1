"""Zeros and constants are faults only if training keeps them: decided by gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

import jinit
from jinit import audit, diagnose

SLOW = pytest.mark.slow
WIDTH = 16
X = normals(1, (12, 5, WIDTH))
LABELS = jnp.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 0, 1])  # classes are not balanced
SIZES = {
    **dict.fromkeys(("stem", "query", "key", "value", "out", "base"), (WIDTH, WIDTH)),
    "up": (WIDTH, 24),
    "down": (24, WIDTH),
    "a": (WIDTH, 4),
    "b": (4, WIDTH),
    "head": (WIDTH, 4),
}


def draw(key, sizes):
    keys = jax.random.split(key, len(sizes))
    return {
        name: normals(each, size) * size[-2] ** -0.5
        for each, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def network(p, x):
    """Attention, a gated residual branch, a low-rank adapter and a head."""
    h = x @ p["stem"]
    scores = jnp.einsum("btd,bsd->bts", h @ p["query"], h @ p["key"]) / 4
    h = h + jnp.einsum("bts,bsd->btd", jax.nn.softmax(scores), h @ p["value"]) @ p["out"]
    inner = jax.nn.relu(h @ p["up"] + p["bias"][None, None])
    h = h + p["gate"] * (inner @ p["down"])
    h = jnp.tanh(h @ p["base"] + h @ p["a"] @ p["b"])
    return h.mean(1) @ p["head"]


DRAWN = draw(jax.random.key(0), SIZES) | {
    "unused": jnp.zeros(3),
    "bias": jnp.zeros(24),
    "gate": jnp.ones(()),
}
MODEL = jinit.trace(network, DRAWN, X)


def change(names, value=0.0):
    return DRAWN | {name: jnp.full_like(DRAWN[name], value) for name in names.split()}


def judge(params, model=MODEL, x=X, labels=LABELS):
    """Return the diagnosis, after a check that every fault is explained."""
    diagnosis = diagnose(model, params, x, labels)
    assert (diagnosis.verdict == "stable") == (not diagnosis.faults)
    assert all(fault.cause and fault.cure for fault in diagnosis.faults)
    return diagnosis


@pytest.mark.few(5)
@pytest.mark.parametrize(
    "zeros",
    [
        *("", "a", "b", "gate", "down", "head", "query", "key", "value", "out", "base", "stem"),
        *("gate out head b", "down out head a"),
    ],
)
def test_zeros_that_learn_are_no_fault(zeros):
    diagnosis = judge(change(zeros))
    assert diagnosis.verdict == "stable", str(diagnosis)
    accused = [misfit.path for misfit in audit(MODEL, change(zeros)) if "equal" in misfit.cause]
    assert not accused


@pytest.mark.parametrize(
    ("zeros", "named"),
    [
        ("gate down", {"gate", "down"}),
        ("up", {"up", "bias"}),  # relu has no slope at zero
        ("a b", {"a", "b"}),
        ("query key", {"query", "key"}),
        ("value out", {"value", "out"}),
        ("gate down head", {"gate", "down"}),
        ("gate down query key", {"gate", "down", "query", "key"}),
        ("base a head", {"base", "head"}),
    ],
)
def test_zeros_that_keep_each_other_at_zero_are_dead(zeros, named):
    diagnosis = judge(change(zeros))
    assert diagnosis.verdict == "dead"
    assert {fault.path for fault in diagnosis.faults} >= named
    for fault in diagnosis.faults:
        assert fault.path in fault.cause
        assert "stays zero in training" in fault.cause
        assert fault.cure.startswith("initialize ")


def test_the_layers_before_dead_parameters_name_their_source():
    diagnosis = judge(change("gate down"))
    (up,) = [layer for layer in diagnosis.layers if layer.path == "up"]
    assert (up.verdict, up.source) == ("dead", "down")
    assert up.cause.endswith(
        "down and gate are zero, and each keeps the gradients of the others at zero"
    )
    (gate,) = [fault for fault in diagnosis.faults if fault.path == "gate"]
    assert gate.cure == "initialize down with jinit.lecun_normal() or gate with jinit.ones"
    assert diagnosis.other_faults[-1].path in {"gate", "bias"}
    assert "gate and down" in str(diagnosis) or "down and gate" in str(diagnosis)


def test_a_cure_of_dead_parameters_cures():
    params = change("gate down")
    for cured in ("gate", "down"):
        assert judge(params | {cured: DRAWN[cured]}).verdict == "stable"


def test_biases_that_silence_a_layer_are_named():
    diagnosis = judge(change("bias", -100.0))
    assert diagnosis.verdict == "dead"
    faults = {fault.path: fault for fault in diagnosis.faults}
    assert faults["up"].cure == "bias_init=jinit.zeros"
    assert faults["bias"].cure == "initialize bias with jinit.zeros"


def test_a_network_of_equal_numbers_is_symmetric_and_one_of_zeros_is_dead():
    constants = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), DRAWN)
    diagnosis = judge(constants)
    assert diagnosis.verdict == "symmetric"
    assert "the same weights (0.1) and the same gradient" in diagnosis.faults[0].cause
    diagnosis = judge(jax.tree.map(jnp.zeros_like, DRAWN))
    assert diagnosis.verdict == "dead"
    assert "are all zero" in diagnosis.faults[0].cause


@pytest.mark.parametrize("name", ["base", "up"])
def test_one_constant_kernel_is_not_symmetric_because_its_gradients_differ(name):
    diagnosis = judge(change(name, 0.1))
    assert [(fault.path, fault.verdict) for fault in diagnosis.faults] == [(name, "misscaled")]


def test_constant_biases_and_identity_kernels_are_no_fault():
    params = change("bias", 0.1) | {"base": jnp.eye(WIDTH), "out": jnp.eye(WIDTH)}
    assert judge(params).verdict == "stable"


@SLOW
def test_dead_parameters_are_found_in_many_initializations():
    draws = {"params": lambda key: DRAWN | draw(key, SIZES) | {"down": jnp.zeros((24, WIDTH))}}
    diagnosis = diagnose(MODEL, draws["params"], X, LABELS, seeds=3)
    assert diagnosis.shares == {"stable": 1.0}

    def broken(key):
        return draws["params"](key) | {"gate": jnp.zeros(())}

    diagnosis = diagnose(MODEL, broken, X, LABELS, seeds=3)
    assert diagnosis.shares == {"dead": 1.0}
    assert {fault.path for fault in diagnosis.faults} == {"down", "gate"}


@pytest.mark.slow
def test_tables_with_rows_that_no_example_uses():
    """Neither unseen tokens nor pixels that are always equal are faults."""
    tokens = jnp.array([1, 4, 2, 4, 0, 1, 2, 3, 1, 1, 0, 2])
    params = {"table": jnp.zeros((9, 8)), "head": draw(jax.random.key(2), {"w": (8, 4)})["w"]}
    model = jinit.trace(lambda p, t: jax.nn.gelu(p["table"][t]) @ p["head"], params, tokens)
    assert judge(params, model, tokens).verdict == "stable"
    pixels = X[:, 0].at[:, 3].set(X[:, 0, 5]).at[:, 7].set(0)
    kernel = jnp.zeros((WIDTH, 4))
    model = jinit.trace(lambda w, x: x @ w, kernel, pixels)
    assert judge(kernel, model, pixels).verdict == "stable"


def test_a_parameter_behind_stop_gradient_is_noted():
    params = {"a": DRAWN["stem"], "shift": jnp.ones(WIDTH), "b": DRAWN["head"]}

    def apply(p, x):
        return (jnp.tanh(x @ p["a"]) + jax.lax.stop_gradient(p["shift"])[None]) @ p["b"]

    diagnosis = judge(params, jinit.trace(apply, params, X[:, 0]), X[:, 0])
    assert diagnosis.verdict == "stable"
    assert diagnosis.notes[0].startswith("shift receives no gradient, whatever the initialization")


def members(p, x):
    hidden = jnp.tanh(jnp.einsum("bi,eih->ebh", x, p["first"]))
    return jnp.einsum("eb,ebh,eho->bo", jax.nn.softmax(x @ p["router"]).T, hidden, p["second"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("router", "verdict"),
    [("drawn", "stable"), pytest.param("zero", "symmetric", marks=SLOW)],
)
def test_equal_experts_are_symmetric_only_if_they_are_fed_alike(router, verdict):
    drawn = draw(jax.random.key(4), {"first": (1, WIDTH, 8), "second": (1, 8, 4)})
    params = {name: jnp.tile(each, (3, 1, 1)) for name, each in drawn.items()}
    params["router"] = DRAWN["stem"][:, :3] * (router == "drawn")
    model = jinit.trace(members, params, X[:, 0])
    assert judge(params, model, X[:, 0]).verdict == verdict


def lstm(p, x):
    def step(carry, x):
        gates = x @ p["input"] + carry[0] @ p["recurrent"]
        i, f, u, o = jnp.split(gates, 4, -1)
        cell = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(u)
        return (jax.nn.sigmoid(o) * jnp.tanh(cell), cell), None

    zeros = jnp.zeros((x.shape[0], 8))
    return jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))[0][0] @ p["head"]


@SLOW
@pytest.mark.parametrize(("value", "verdict"), [(0.0, "dead"), (0.1, "symmetric")])
def test_a_recurrent_network_of_constants(value, verdict):
    sizes = {"input": (WIDTH, 32), "recurrent": (8, 32), "head": (8, 4)}
    params = {name: jnp.full(size, value) for name, size in sizes.items()}
    model = jinit.trace(lstm, params, X)
    assert judge(params, model).verdict == verdict
    only_cell = draw(jax.random.key(5), sizes) | {"input": jnp.zeros((WIDTH, 32))}
    assert judge(only_cell, model).verdict == "stable"


@SLOW
@pytest.mark.parametrize(
    ("value", "verdict"), [(None, "stable"), (0.0, "dead"), (0.1, "symmetric")]
)
def test_a_convolutional_network_of_constants(value, verdict):
    def apply(p, x):
        for name in ("first", "second"):
            x = jnp.tanh(jax.lax.conv(x, p[name], (1, 1), "SAME"))
        return x.mean((2, 3)) @ p["head"]

    images = normals(6, (12, 3, 6, 6))
    sizes = {"first": (8, 3, 3, 3), "second": (8, 8, 3, 3)}
    params = {name: jinit.normal(0.2)(jax.random.key(7), size) for name, size in sizes.items()}
    params["head"] = DRAWN["head"][:8]
    if value is not None:
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, value), params)
    assert judge(params, jinit.trace(apply, params, images), images).verdict == verdict


@SLOW
@pytest.mark.parametrize("zeros", ["a", "up", "gate down", "query key", "base a head", "stem"])
def test_training_agrees(zeros):
    """Parameters that are called dead do not move in training; all others do."""
    params = change(zeros)

    @jax.jit
    def step(p):
        def loss(p):
            return -jax.nn.log_softmax(network(p, X))[jnp.arange(12), LABELS].mean()

        return jax.tree.map(lambda leaf, gradient: leaf - 0.3 * gradient, p, jax.grad(loss)(p))

    trained = params
    for _ in range(20):
        trained = step(trained)
    still = {name for name in params if np.array_equal(params[name], trained[name])} - {"unused"}
    diagnosis = judge(params)
    rows = (*diagnosis.layers, *diagnosis.other_faults)
    assert {row.path for row in rows if row.verdict == "dead"} == still
