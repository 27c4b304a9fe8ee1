"""Is it the initialization or the learning rate? Exact quadratics, small networks, training."""

import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals

import jinit
from jinit.diagnostics.judging.first_step import FirstStep
from jinit.diagnostics.judging.frozen import spacing_below
from jinit.diagnostics.judging.learning_rate import judge_learning_rate

KEY = jax.random.key(0)
SPECTRUM = np.linspace(0.5, 10, 40, dtype=np.float32)
SLOW = pytest.mark.slow


def quadratic(optimizer):
    """The diagnosis of ½ Σ λ w² at w = 1, whose gradient is λ and whose Hessian is diag(λ)."""
    w = jnp.ones(40)
    model = jinit.trace(lambda w, x: 0.5 * SPECTRUM * w**2, w, jnp.ones((1, 1)))
    return jinit.diagnose(model, w, jnp.ones((1, 1)), loss=jnp.sum, optimizer=optimizer)


def test_gradient_descent_on_a_quadratic():
    """The ceiling is 2/λ_max; along the gradient it is 2 Σλ²/Σλ³."""
    found = quadratic(optax.sgd(0.01)).learning_rate
    assert found.rate == pytest.approx(0.01, rel=1e-4)
    assert found.ceiling == pytest.approx(2 / 10, rel=0.02)
    exact = 2 * np.sum(SPECTRUM**2) / np.sum(SPECTRUM**3) / 0.01
    assert found.multiplier == pytest.approx(exact, rel=1e-4)
    (ratio,) = found.update_ratio.values()
    assert ratio == pytest.approx(0.01 * math.sqrt(np.mean(SPECTRUM**2)), rel=1e-4)


def test_a_sign_update_on_a_quadratic():
    """With u = -η sign(λ) = -η the multiplier is 2 Σλ / (η Σλ) = 2/η; there is no rate."""
    found = quadratic(optax.adam(0.1)).learning_rate
    assert found.multiplier == pytest.approx(20, rel=1e-3)
    assert math.isnan(found.rate)


STEP = FirstStep(
    slope=-1.0,
    cosine=1.0,
    bend=0.2,
    rate=0.1,
    ceiling=1.0,
    loss=2.0,
    loss_after=1.1,
    update_size=0.1,
    gradient_size=1.0,
)


@pytest.mark.parametrize(
    ("changes", "ratio", "growth", "verdict", "words"),
    [
        ({}, 0.01, 1, "fine", r"changes weights by 1 % and could be 10 times larger"),
        ({"bend": 6.0}, 0.01, 1, "fine", "3 times larger than the largest .*: .* at its limit"),
        ({"bend": 20.0}, 0.35, 1, "too large", "2/λ = 1: the learning rate 0.1 is 10 times too"),
        ({"rate": 100.0, "ceiling": 0.013}, 0.35, 1, "too large", "35 %, .* is 7,700 times too"),
        ({"bend": 20.0, "rate": math.nan}, 0.35, 1, "too large", "10 times more than the largest"),
        ({}, 1.5, 1, "too large", "little is left of the initialization"),
        ({"bend": 1e-5}, 1e-7, 1, "too small", "100,000 of them lead .* 20,000 times larger"),
        ({"bend": 1e-5}, 1e-7, 1000, "fine", "nothing is wrong with the learning rate"),
        ({"slope": 0.9, "cosine": -0.9}, 0.1, 1, "uphill", "along the gradient, not against it"),
        ({"bend": -1.0}, 0.01, 1, "fine", "nothing is wrong"),
        ({"bend": -1.0, "loss_after": 90.0}, 0.01, 1, "too large", "89 times too large"),
        ({"bend": math.nan, "loss_after": math.inf}, 0.01, 1, "too large", "too large"),
        ({"update_size": 0.0, "cosine": 0.0}, 0.0, math.inf, "unknown", "beginning of a warm-up"),
        ({"update_size": 0.0, "cosine": 0.0}, 0.0, 0.0, "too small", "its learning rate is zero"),
        ({"gradient_size": 0.0}, 0.0, 1, "unknown", "there is no gradient"),
        ({"loss": math.nan}, 0.0, 1, "unknown", "not finite"),
    ],
)
def test_verdicts(changes, ratio, growth, verdict, words):
    step = STEP._replace(**changes)
    found = judge_learning_rate(step, {}, ratio, growth, "stable")
    assert found.verdict == verdict
    assert re.search(words, found.sentence)
    assert found.sentence.endswith("the initialization is stable")
    assert found.culprit == ("learning rate" if found.is_wrong else "")
    faulty = judge_learning_rate(step, {}, ratio, growth, "exploding")
    assert faulty.culprit == "initialization"
    assert "the initialization is exploding: correct it first" in faulty.sentence


X = normals(KEY, (32, 16))
LABELS = jnp.arange(32) % 4


def apply(params, x):
    return jnp.tanh(x @ params["a"] * params["scale"][None]) @ params["b"]


def network(scale=1.0, dtype=jnp.float32):
    """A Model of one hidden layer and its parameters, in a dtype."""
    keys = jax.random.split(KEY)
    params = {
        "a": scale * normals(keys[0], (16, 32)) / 4,
        "b": scale * normals(keys[1], (32, 4)) / 32**0.5,
        "scale": jnp.ones(32),
    }
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    x = X.astype(dtype)
    return jinit.trace(apply, params, x), params, x


def judge(optimizer, **options):
    model, params, x = network(**options)
    return jinit.diagnose(model, params, x, LABELS, optimizer=optimizer)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("optimizer", "verdict"),
    [
        (optax.sgd(100.0), "too large"),
        (optax.sgd(0.1), "fine"),
        (optax.adam(1e-9), "too small"),
        *(
            pytest.param(optimizer, verdict, marks=SLOW)
            for optimizer, verdict in (
                (optax.sgd(1e-3), "fine"),
                (optax.polyak_sgd(), "fine"),
                (optax.adam(optax.linear_schedule(0.0, 1e-3, 100)), "unknown"),
                (optax.sgd(0.1, momentum=0.9), "fine"),
                (optax.adam(3.0), "too large"),
                (optax.adam(1e-3), "fine"),
                (optax.adamw(1e-3, weight_decay=0.1), "fine"),
                (optax.adam(optax.linear_schedule(1e-8, 1e-3, 1000)), "fine"),
                (optax.lion(1e-4), "fine"),
                (optax.sign_sgd(1e-3), "fine"),
                (optax.contrib.muon(0.02), "fine"),
                (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1e3)), "too large"),
                (optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0)), "fine"),
                (optax.MultiSteps(optax.adam(1e-3), 4), "unknown"),
                (optax.scale(0.1), "uphill"),
                (optax.sgd(0.0), "too small"),
            )
        ),
    ],
)
def test_a_healthy_network_with_many_optimizers(optimizer, verdict):
    diagnosis = judge(optimizer)
    assert diagnosis.verdict == "stable"
    assert diagnosis.learning_rate.verdict == verdict
    assert f"learning rate {verdict}: " in str(diagnosis)
    data = json.loads(json.dumps(diagnosis.to_dict()))
    assert data["learning_rate"]["verdict"] == verdict


@pytest.mark.slow
def test_norm_weights_of_one_in_bfloat16_are_frozen_under_a_small_learning_rate():
    """Half of the spacing below 1 is 2⁻⁹ = 1.95e-3, so that a sign update of 1e-3 is lost."""
    diagnosis = judge(optax.sign_sgd(1e-3), dtype=jnp.bfloat16)
    assert diagnosis.verdict == "frozen"
    (fault,) = diagnosis.faults
    assert fault.path == "scale"
    assert "numbers of bfloat16 near 1 are 0.0039 apart" in fault.cause
    assert "param_dtype=jnp.float32" in fault.cure
    assert "store its difference from 1" in fault.cure
    assert diagnosis.learning_rate.verdict == "fine"


@pytest.mark.slow
def test_medians_over_seeds_and_optimizers_that_ask_for_more():
    model, params, x = network()
    found = jinit.diagnose(
        model, lambda key: params, x, LABELS, seeds=2, optimizer=optax.sgd(100.0)
    )
    alone = judge(optax.sgd(100.0)).learning_rate
    assert found.learning_rate.sentence == alone.sentence
    with pytest.raises(ValueError, match=r"asks for more than gradients, .* leave optimizer= out"):
        judge(optax.lbfgs())


@pytest.mark.slow
def test_a_larger_learning_rate_moves_them():
    assert judge(optax.sign_sgd(4e-3), dtype=jnp.bfloat16).verdict == "stable"
    warm_up = optax.sign_sgd(optax.linear_schedule(1e-6, 4e-3, 100))
    assert judge(warm_up, dtype=jnp.bfloat16).verdict == "stable"


def test_spacings_are_those_of_the_dtype():
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        for value in (0.3, 1.0, 1.5, 1000.0):
            stored = jnp.asarray(value, dtype)
            below = jnp.nextafter(stored, jnp.zeros((), dtype))
            assert spacing_below(dtype, float(stored)) == float(stored) - float(below)


@pytest.mark.slow
@pytest.mark.parametrize("build", [optax.sgd, optax.adam, optax.lion, optax.contrib.muon])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_verdicts_agree_with_training(build, scale):
    """Thirty steps learn at every rate that is fine, next to nothing far below it.

    Far above it, the loss rises: so few examples may be learned by heart in spite of that. The
    rates go through the whole range in factors of a hundred.
    """
    model, params, x = network(scale)

    def loss(params):
        logits = model.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    @jax.jit
    def train(rate):
        optimizer = build(rate)

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), loss(params)

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=30)[1]

    before = float(loss(params))
    for exponent in range(-9, 4, 2):
        rate = 10.0**exponent
        found = jinit.diagnose(model, params, x, LABELS, optimizer=build(rate)).learning_rate
        ratios = np.asarray(train(rate)) / before
        if found.verdict == "too small":
            assert ratios[-1] > 0.98
        if found.verdict == "fine" and found.multiplier < 100:
            assert ratios[-1] < 0.98
        if found.verdict == "too large" and found.multiplier < 1e-2:
            assert not ratios.max() < 2
