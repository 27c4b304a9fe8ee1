"""A lane equals a plain training loop with the same key, batches, optimizer and penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sweep.small import FEATURES, Linen, Nnx, build_linen, build_nnx, pair, sweep, task

import jinit

STEPS, RECORDS = 30, [0, 12, 24, 30]
SEEDS = (3, 11)
AXES = {
    "init": ["he_normal", "xavier_uniform"],
    "lr": [1e-2, 3e-2],
    "gain": [0.5, 1.5],
    "l1": [1e-3],
    "l2": [1e-2],
    "weight_decay": [0.1],
}


def functions_of_pair(init):
    return pair({"init": init})


def functions_of_linen(init):
    module = Linen(init)
    return lambda key: module.init(key, jnp.ones((1, FEATURES))), module.apply


def functions_of_nnx(init):
    graphdef = nnx.split(Nnx(init, nnx.Rngs(0)))[0]

    def apply(state, x):
        return nnx.merge(graphdef, state)(x)

    return lambda key: nnx.state(Nnx(init, nnx.Rngs(key))), apply


def is_kernel(leaf):
    """These networks have matrices for kernels and vectors for biases."""
    return leaf.ndim == 2


def batches(seed):
    """Batches of 16 of the 90 examples, by a new permutation for each epoch, remainder dropped."""
    for epoch in range(100):
        shuffled = np.random.default_rng([seed, epoch]).permutation(90)
        yield from shuffled[:80].reshape(5, 16)


def functions(apply):
    """Return the loss, one optimizer step and one scoring as functions of parameters."""
    test_inputs, test_targets = task().validation

    def cross_entropy(params, x, y):
        picked = jax.nn.log_softmax(apply(params, x))[jnp.arange(len(y)), y]
        return -picked.mean()

    def objective(params, row, x, y):
        kernels = [leaf for leaf in jax.tree.leaves(params) if is_kernel(leaf)]
        loss = cross_entropy(params, x, y)
        l1 = sum(jnp.sum(jnp.abs(kernel)) for kernel in kernels)
        l2 = sum(jnp.sum(kernel**2) for kernel in kernels)
        return loss + row["l1"] * l1 + row["l2"] * l2, loss

    @jax.jit
    def step(params, state, row, x, y):
        (_, loss), gradients = jax.value_and_grad(objective, has_aux=True)(params, row, x, y)
        updates, state = optimizer(row).update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    @jax.jit
    def validate(params):
        hits = apply(params, test_inputs).argmax(-1) == test_targets
        return cross_entropy(params, test_inputs, test_targets), hits.mean()

    return cross_entropy, step, validate


def optimizer(row):
    return optax.adamw(row["lr"], weight_decay=row["weight_decay"])


def train(init, cross_entropy, step, validate, row):
    """Train one lane in a plain loop; return the curves that a sweep records."""
    inputs, targets = task().train
    numbers = {name: row[name] for name in AXES if name != "init"}
    params = jax.tree.map(
        lambda leaf: leaf * row["gain"] if is_kernel(leaf) else leaf,
        init(jax.random.key(int(row["seed"]))),
    )
    state = optimizer(row).init(params)
    losses, curves = [], [(cross_entropy(params, inputs, targets), *validate(params))]
    for count, (_, examples) in enumerate(zip(range(STEPS), batches(row["seed"]), strict=False), 1):
        params, state, loss = step(params, state, numbers, inputs[examples], targets[examples])
        losses.append(loss)
        if count in RECORDS:
            curves.append((np.mean(losses), *validate(params)))
            losses = []
    return np.array(curves, np.float64).T


@pytest.mark.parametrize(
    ("build", "model_functions"),
    [
        pytest.param(pair, functions_of_pair, id="pair", marks=pytest.mark.slow),
        pytest.param(build_linen, functions_of_linen, id="linen"),
        pytest.param(build_nnx, functions_of_nnx, id="nnx", marks=pytest.mark.slow),
    ],
)
def test_lanes_are_plain_training_loops(tmp_path, build, model_functions):
    options = {"optimizer": optax.adamw, "seeds": SEEDS, "steps": STEPS, "record_every": 12}
    frame = sweep(build, **AXES, **options).run(tmp_path / "out").frame()
    assert len(frame) == 16
    compiled = functions(model_functions(jinit.he_normal())[1])
    for row in frame.iloc[[0, 6, 9, 15]].to_dict("records"):
        init, _ = model_functions(jinit.from_spec(row["init"]))
        train_loss, loss, accuracy = train(init, *compiled, row)
        assert row["step"].tolist() == RECORDS
        np.testing.assert_allclose(row["train_loss_curve"], train_loss, rtol=1e-4)
        np.testing.assert_allclose(row["validation_loss_curve"], loss, rtol=1e-4)
        np.testing.assert_allclose(row["validation_accuracy_curve"], accuracy, atol=1e-6)
        assert row["validation_loss"] == row["validation_loss_curve"][-1]
    finals = frame["validation_loss"]
    assert finals.nunique() == 16  # every axis and the seed made a difference
