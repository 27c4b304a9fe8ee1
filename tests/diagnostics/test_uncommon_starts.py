"""Starts that look odd and are healthy, faults that lie outside of kernels, and mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import jinit
from jinit import diagnose
from jinit.diagnostics import jacobian

KEY = jax.random.key(1)
X = jax.random.normal(jax.random.key(2), (32, 16))
LABELS = jnp.arange(32) % 4
HE, LECUN, ZEROS = jinit.he_normal(), jinit.lecun_normal(), jinit.zeros


def made(function):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, *inputs):
            return function(*inputs)

    return Net()


def start(function, *inputs):
    model = jinit.linen.trace(made(function), *(inputs or [X]))
    return model, jinit.init(model, KEY)


def mlp(phi=nn.relu, depth=2, outputs=4, kernel_init=HE):
    def apply(x):
        for _ in range(depth):
            x = phi(nn.Dense(32, kernel_init=kernel_init)(x))
        return nn.Dense(outputs)(x)

    return apply


def branches_that_end_in_zeros(x):
    x = nn.Dense(32)(x)
    for _ in range(2):
        inner = nn.relu(nn.Dense(64, kernel_init=HE)(nn.LayerNorm()(x)))
        x = x + nn.Dense(32, kernel_init=ZEROS)(inner)
    return nn.Dense(4)(x)


def small_branches_on_a_stem(x):
    x = nn.Dense(32)(x)
    for _ in range(4):
        x = x + 0.01 * nn.Dense(32)(nn.relu(nn.Dense(32, kernel_init=HE)(x)))
    return nn.Dense(4)(x)


def modulated_by_zeros(x):
    shift, scale, gate = jnp.split(nn.Dense(48, kernel_init=ZEROS)(nn.silu(nn.Dense(32)(x))), 3, -1)
    inner = nn.LayerNorm()(x) * (1 + scale) + shift
    return nn.Dense(4)(x + gate * nn.Dense(16)(nn.relu(nn.Dense(64, kernel_init=HE)(inner))))


def sine_network(x):
    for number in range(4):
        first = jinit.siren_first() if number == 0 else jinit.siren()
        x = jnp.sin(30 * nn.Dense(64, kernel_init=first)(x))
    return nn.Dense(4, kernel_init=jinit.siren())(x)


def low_rank_adapter(x):
    down = nn.Dense(4, use_bias=False, kernel_init=jinit.normal(0.02))(x)
    up = nn.Dense(32, use_bias=False, kernel_init=ZEROS)(down)
    return nn.Dense(4)(nn.relu(nn.Dense(32, kernel_init=HE)(x) + up))


@pytest.mark.parametrize(
    "function",
    [
        branches_that_end_in_zeros,
        small_branches_on_a_stem,
        modulated_by_zeros,
        sine_network,
        low_rank_adapter,
        mlp(nn.sigmoid, 1, kernel_init=LECUN),
    ],
)
def test_healthy_starts_that_look_odd(function):
    model, params = start(function)
    found = diagnose(model, params, X, LABELS)
    assert found.verdict == "stable", str(found)


def test_half_of_relu6_at_its_lower_limit_is_healthy_in_narrow_layers_too():
    model, _ = start(mlp(nn.relu6, 3))
    found = diagnose(model, None, X, LABELS, seeds=40)
    assert found.shares == {"stable": 1.0}
    loud = jinit.init(model, KEY, {"**/kernel": jinit.normal(8.0), "**/bias": "zeros"})
    assert diagnose(model, loud, X, LABELS).verdict == "saturated"


def test_activations_without_slope_near_zero():
    model, params = start(mlp(lambda h: h + jax.lax.stop_gradient(jnp.sign(h) - h)))
    assert diagnose(model, params, X, LABELS).verdict == "stable"
    model, params = start(mlp(jnp.round, 3))
    assert diagnose(model, params, X, LABELS).verdict == "vanishing"


def test_a_loss_that_is_not_finite_or_has_no_gradient():
    model, params = start(mlp())
    found = diagnose(
        model, params, X, LABELS, loss=lambda outputs, _: jnp.log(0.0) + outputs.mean()
    )
    assert (found.verdict, found.faults) == ("overflowing", ())
    assert "the loss is -inf" in found.notes[0]
    found = diagnose(model, params, X, LABELS, loss=lambda o, t: (o.argmax(-1) != t).mean())
    assert (found.verdict, found.faults) == ("vanishing", ())
    assert "argmax" in found.notes[0]


@pytest.mark.parametrize(
    ("size", "verdict"), [(1.0, "stable"), (10.0, "stable"), (100.0, "misscaled")]
)
def test_inputs_that_are_too_large(size, verdict):
    model, params = start(mlp())
    found = diagnose(model, params, size * X, LABELS)
    assert found.verdict == verdict
    assert ("the inputs have RMS" in " ".join(found.notes)) == (size > 5)


def test_a_recurrent_network_that_explodes_in_time():
    def apply(scale):
        def start(key, shape, dtype=jnp.float32):
            return scale * jinit.orthogonal()(key, shape, dtype)

        cell = partial(nn.SimpleCell, 32, activation_fn=nn.relu, recurrent_kernel_init=start)
        return lambda x: nn.Dense(4)(nn.RNN(cell())(x)[:, -1])

    x = jax.random.normal(KEY, (8, 30, 16))
    found = diagnose(*start(apply(2.0), x), x, LABELS[:8])
    (fault,) = found.faults
    assert (fault.path, fault.verdict) == ("params/SimpleCell_0/h/kernel", "exploding")
    assert "in 23 rounds of its loop" in fault.cause
    assert fault.cure == "recurrent_kernel_init=jinit.orthogonal()"
    assert diagnose(*start(apply(1.0), x), x, LABELS[:8]).verdict == "stable"


def test_a_loss_far_above_guessing():
    found = diagnose(*start(lambda x: 1e3 * mlp()(x)), X, LABELS)
    assert (found.verdict, found.faults) == ("misscaled", ())
    assert "is far above ln 4" in found.notes[0]


def test_nan_is_traced_to_where_it_comes_from():
    model, params = start(lambda x: mlp()(nn.LayerNorm()(x)))
    found = diagnose(model, params, X.at[0, 0].set(jnp.nan), LABELS)
    assert found.faults[0].path == "params/Dense_0/kernel"
    assert found.faults[0].cure == "look for NaN and infinity in the inputs"
    params["params"]["LayerNorm_0"]["scale"] = jnp.full(16, jnp.nan)
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert "params/LayerNorm_0/scale" in fault.cause
    assert "only='params/LayerNorm_0/scale'" in fault.cure


def test_biases_are_blamed_for_what_they_do():
    model, params = start(mlp(nn.gelu, 3, kernel_init=LECUN))
    params["params"]["Dense_1"]["bias"] += 30
    (fault,) = diagnose(model, params, X, LABELS).faults
    assert (fault.path, fault.verdict) == ("params/Dense_1/kernel", "exploding")
    assert fault.cure == "bias_init=jinit.zeros"
    assert "biases of RMS 30 outweigh" in fault.cause


def test_a_normalization_is_blamed_for_units_that_it_kills():
    def apply(x):
        for shift in (0.0, -20.0):
            x = nn.Dense(32)(x)
            x = nn.relu(nn.LayerNorm(bias_init=nn.initializers.constant(shift))(x))
        return nn.Dense(4)(x)

    model, params = start(apply)
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert (fault.path, fault.verdict) == ("params/Dense_1/kernel", "dead")
    assert fault.cure.startswith("scale_init=jinit.ones, bias_init=jinit.zeros")


def test_what_lies_between_layers_is_blamed_if_no_gain_is_off():
    model, params = start(
        lambda x: mlp(depth=1)(jax.lax.stop_gradient(mlp(depth=1, outputs=32)(x)))
    )
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert fault.verdict == "vanishing"
    assert "stop_gradient" in fault.cause
    assert fault.cure == ""


def test_a_head_that_is_far_too_large_is_named_itself():
    def apply(x):
        x = nn.relu(nn.Dense(32, kernel_init=HE)(x))
        return jnp.tanh(nn.Dense(4, kernel_init=jinit.normal(50.0))(x))

    (fault,) = diagnose(*start(apply), X, jnp.ones((32, 4))).faults
    assert (fault.path, fault.cure) == ("params/Dense_1/kernel", "kernel_init=jinit.lecun_normal()")


def test_an_update_is_that_of_the_trained_parameters_alone():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=True)(nn.Dense(32)(x))
            return nn.Dense(4)(x)

    model = jinit.linen.trace(Net(), X)
    variables = jinit.init(model, KEY)
    variables["batch_stats"] = jax.tree.map(lambda each: 0.05 * each, variables["batch_stats"])
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0))
    found = diagnose(model, variables, X, LABELS, optimizer=optimizer)

    def loss(params):
        logits = Net().apply(variables | {"params": params}, X)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    params = variables["params"]
    updates, _ = optimizer.update(jax.grad(loss)(params), optimizer.init(params))
    for layer, name in zip(found.layers, ("Dense_0", "Dense_1"), strict=True):
        rms = [np.sqrt(np.mean(tree[name]["kernel"] ** 2)) for tree in (updates, params)]
        np.testing.assert_allclose(layer.statistics["update_ratio"], rms[0] / rms[1], rtol=1e-4)


def test_the_jacobian_of_an_activation_with_a_derivative_of_its_own():
    @jax.custom_vjp
    def own(x):
        return nn.relu(x)

    own.defvjp(lambda x: (nn.relu(x), x > 0), lambda positive, gradient: (gradient * positive,))
    found = [jacobian(*start(mlp(phi)), X) for phi in (own, nn.relu)]
    np.testing.assert_allclose(found[0].largest, found[1].largest, rtol=1e-5)
    np.testing.assert_allclose(found[0].mean_square, found[1].mean_square, rtol=1e-5)


def complex_weights():
    weights = jnp.ones((16, 3)) + 1j
    model = jinit.trace(lambda params, x: jnp.abs(x @ params), weights, X)
    return diagnose(model, weights, X)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, p: diagnose(m, p, X, LABELS + 4), ValueError, "targets go from 4 to 7, but"),
        (lambda m, p: diagnose(m, p, X, LABELS - 1), ValueError, "4 classes, from 0 to 3"),
        (
            lambda m, p: diagnose(m, None, X, LABELS, seeds=0),
            ValueError,
            "seeds: expected a number",
        ),
        (lambda m, p: diagnose(m, None, X, LABELS, seeds=2.5), ValueError, "at least 1, got 2.5"),
        (
            lambda m, p: diagnose(m, lambda key: p["params"], X, seeds=2),
            ValueError,
            "expected param",
        ),
        (lambda m, p: diagnose(m, p, X, key=3), TypeError, "expected a random key"),
        (lambda m, p: diagnose(m, p, X, optimizer="adam"), TypeError, "expected an optax transf"),
        (
            lambda m, p: diagnose(m, p, X, optimizer=optax.adam),
            TypeError,
            "expected an optax transf",
        ),
        (
            lambda m, p: diagnose(m, p, X, LABELS, loss=lambda o, t: o[:, 0]),
            ValueError,
            "one number",
        ),
        (
            lambda m, p: diagnose(m, jax.tree.map(lambda each: each.astype("float16"), p), X),
            ValueError,
            "is float16, and the model was traced with float32",
        ),
        (lambda m, p: complex_weights(), ValueError, "is complex"),
        (lambda m, p: diagnose(*start(mlp(outputs=1)), X, LABELS), ValueError, "do not say which"),
        (lambda m, p: diagnose(*start(mlp(), X[:0]), X[:0]), ValueError, "one example at least"),
        (lambda m, p: jinit.audit(mlp(), p), TypeError, "audit: expected a Model"),
    ],
)
def test_mistakes(call, error, words):
    model, params = start(mlp())
    with pytest.raises(error, match=words):
        call(model, params)
