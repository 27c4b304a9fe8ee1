"""A lane equals a plain loop: state, dropout, schedules, clipping, masks, weights, streams."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from sweep.small import CLASSES, FEATURES, linear, sweep, task

import jinit
from jinit.sweep import cross_entropy, step_key

STEPS, SEED = 20, 5
NUMBERS = {"lr": 0.05, "l1": 1e-3, "l2": 1e-2}


class Linen(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8, kernel_init=self.kernel_init)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.Dropout(0.3, deterministic=not train)(nn.relu(x))
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)


class Nnx(nnx.Module):
    def __init__(self, init, rngs):
        self.a = nnx.Linear(FEATURES, 8, kernel_init=init, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.b = nnx.Linear(8, CLASSES, kernel_init=init, rngs=rngs)

    def __call__(self, x):
        return self.b(self.dropout(nnx.relu(self.norm(self.a(x)))))


def optimizer(lr, clip=0.5):
    """A warm-up that Python cannot decide on, clipping, and momentum."""
    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, lr, 5), optax.cosine_decay_schedule(lr, 15)], [5]
    )
    return optax.chain(optax.clip_by_global_norm(clip), optax.sgd(schedule, momentum=0.9))


def batches(seed, examples=90, size=16):
    per_epoch = examples // size
    for epoch in itertools.count():
        shuffled = np.random.default_rng([seed, epoch]).permutation(examples)
        yield from shuffled[: per_epoch * size].reshape(per_epoch, size)


def penalized(loss, kernels):
    l1 = sum(jnp.abs(kernel).sum() for kernel in kernels)
    l2 = sum((kernel**2).sum() for kernel in kernels)
    return loss + NUMBERS["l1"] * l1 + NUMBERS["l2"] * l2


def plain_linen():
    """Train as the guide of Flax Linen says; return losses of the steps and of validation."""
    module, (inputs, targets) = Linen(jinit.he_normal()), task().train
    variables = module.init(jax.random.key(SEED), jnp.asarray(inputs[:1]), train=False)
    params, stats = variables["params"], variables["batch_stats"]
    state, losses = optimizer(NUMBERS["lr"]).init(params), []

    def objective(params, stats, x, y, key):
        logits, updates = module.apply(
            {"params": params, "batch_stats": stats}, x, train=True,
            rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        kernels = [params["Dense_0"]["kernel"], params["Dense_1"]["kernel"]]
        return penalized(loss, kernels), (loss, updates["batch_stats"])

    for step, chosen in zip(range(STEPS), batches(SEED), strict=False):
        (_, (loss, stats)), grads = jax.value_and_grad(objective, has_aux=True)(
            params, stats, inputs[chosen], targets[chosen], step_key(SEED, step)
        )
        updates, state = optimizer(NUMBERS["lr"]).update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    x, y = task().validation
    logits = module.apply({"params": params, "batch_stats": stats}, x, train=False)
    return losses, float(cross_entropy(logits, jnp.asarray(y)).mean())


def plain_nnx():
    """Train as the guide of Flax NNX says."""
    (inputs, targets), (x, y) = task().train, task().validation
    model = Nnx(jinit.he_normal(), nnx.Rngs(jax.random.key(SEED)))
    model.train()
    trainer = nnx.Optimizer(model, optimizer(NUMBERS["lr"]), wrt=nnx.Param)

    def objective(model, x, y):
        loss = optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
        return penalized(loss, [model.a.kernel[...], model.b.kernel[...]]), loss

    losses = []
    for step, chosen in zip(range(STEPS), batches(SEED), strict=False):
        fresh = Nnx(jinit.he_normal(), nnx.Rngs(step_key(SEED, step)))
        nnx.update(model, nnx.state(fresh, nnx.RngState))
        (_, loss), grads = nnx.value_and_grad(objective, has_aux=True)(
            model, jnp.asarray(inputs[chosen]), jnp.asarray(targets[chosen])
        )
        trainer.update(model, grads)
        losses.append(float(loss))
    model.eval()
    return losses, float(cross_entropy(model(jnp.asarray(x)), jnp.asarray(y)).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "plain"),
    [
        pytest.param(lambda config: Linen(config["init"]), plain_linen, marks=pytest.mark.slow),
        (lambda config, rngs: Nnx(config["init"], rngs), plain_nnx),
    ],
    ids=["linen", "nnx"],
)
def test_batch_norm_dropout_schedule_clipping_and_penalties(tmp_path, build, plain):
    one = sweep(
        build, optimizer=optimizer, init=["he_normal"], **{n: [v] for n, v in NUMBERS.items()},
        seeds=[SEED], steps=STEPS, record_every=1, measure_start=False,
    )  # fmt: skip
    row = one.run(tmp_path / "out").frame().iloc[0]
    losses, validation = plain()
    np.testing.assert_allclose(row["train_loss_curve"][1:], losses, rtol=2e-5)
    assert row["validation_loss"] == pytest.approx(validation, rel=2e-5)


class Masked(nn.Module):
    """Mean over the elements of a set that a mask keeps; two inputs."""

    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, elements, mask):
        hidden = nn.relu(nn.Dense(8, kernel_init=self.kernel_init)(elements))
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(pooled)


def sets(examples, seed):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, CLASSES, examples)
    elements = rng.normal(size=(examples, 4, FEATURES)) + np.eye(FEATURES)[targets][:, None]
    mask = (np.arange(4) < rng.integers(1, 5, (examples, 1))).astype(np.float32)
    return (elements, mask), targets, rng.uniform(0, 2, examples)


def plain_masked(train, validation, smoothing):
    module = Masked(jinit.he_normal())
    (elements, mask), targets, weights = jax.tree.map(jnp.asarray, train)
    params = module.init(jax.random.key(SEED), elements[:1], mask[:1])
    state, losses = optax.adam(0.05).init(params), []

    def objective(params, chosen):
        logits = module.apply(params, elements[chosen], mask[chosen])
        labels = optax.smooth_labels(jax.nn.one_hot(targets[chosen], CLASSES), smoothing)
        loss = optax.softmax_cross_entropy(logits, labels)
        return (weights[chosen] * loss).sum() / weights[chosen].sum()

    for _, chosen in zip(range(STEPS), batches(SEED), strict=False):
        loss, grads = jax.value_and_grad(objective)(params, chosen)
        updates, state = optax.adam(0.05).update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    logits = module.apply(params, *map(jnp.asarray, validation[0]))
    each = optax.softmax_cross_entropy_with_integer_labels(logits, validation[1])
    hits = logits.argmax(-1) == validation[1]
    weights = validation[2].astype(np.float32)
    return losses, np.average(each, weights=weights), np.average(hits, weights=weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "evaluation_batch",
    [7, *(pytest.param(size, marks=pytest.mark.slow) for size in (20, 100))],
)
def test_masks_weights_and_label_smoothing(tmp_path, evaluation_batch):
    train, validation = sets(90, 0), sets(20, 1)
    data = jinit.Task("sets", train, validation, 16, evaluation_batch=evaluation_batch)
    one = sweep(
        lambda config: Masked(config["init"]), on=data, init=["he_normal"], lr=[0.05],
        label_smoothing=[0.1], seeds=[SEED], steps=STEPS, record_every=1,
    )  # fmt: skip
    row = one.run(tmp_path / "out").frame().iloc[0]
    losses, loss, accuracy = plain_masked(train, validation, 0.1)
    np.testing.assert_allclose(row["train_loss_curve"][1:], losses, rtol=2e-5)
    assert row["validation_loss"] == pytest.approx(loss, rel=2e-5)
    assert row["validation_accuracy"] == pytest.approx(accuracy, rel=1e-5)


@pytest.mark.slow
def test_augmentation_metrics_and_test_split(tmp_path):
    def augment(key, batch):
        inputs, targets = batch
        return inputs + jax.random.normal(key, inputs.shape), targets

    def top_2(outputs, targets):
        return (jax.lax.top_k(outputs, 2)[1] == targets[:, None]).any(-1).astype(jnp.float32)

    options = {"test": task().validation, "metrics": {"top_2": top_2}}
    axes = {"init": ["he_normal"], "lr": [0.1]}
    plain, noisy = (
        sweep(linear, on=task(**options, **more), **axes).run(tmp_path / str(bool(more))).frame()
        for more in ({}, {"augment": augment})
    )
    assert (plain["train_loss"] != noisy["train_loss"]).all()
    for frame in (plain, noisy):
        np.testing.assert_allclose(frame["test_loss"], frame["validation_loss"], rtol=1e-6)
        assert (frame["validation_top_2"] >= frame["validation_accuracy"]).all()
        assert "test_loss_curve" not in frame


@pytest.mark.slow
def test_one_order_of_the_data_for_all_seeds(tmp_path):
    axes = {"init": [jinit.constant(0.1)], "lr": [0.1], "seeds": 3}
    frames = [
        sweep(linear, **axes, data_seed=seed).run(tmp_path / str(seed)).frame()
        for seed in (None, 2)
    ]
    assert frames[0]["train_loss"].nunique() == 3
    assert frames[1]["train_loss"].nunique() == 1
    third = frames[0][frames[0]["seed"] == 2]["train_loss"]
    assert frames[1]["train_loss"].iloc[0] == pytest.approx(third.iloc[0], rel=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda lr: optax.chain(optax.adam(lr), optax.contrib.reduce_on_plateau(patience=2)),
        optax.lbfgs,
    ],
    ids=["plateau", "line search"],
)
def test_optimizers_that_take_the_value_of_the_loss(tmp_path, optimizer):
    one = sweep(linear, init=["he_normal"], lr=[0.1], optimizer=optimizer)
    row = one.run(tmp_path / "out").frame().iloc[0]
    assert row["train_loss"] < row["train_loss_curve"][0]


def test_patience_stops_a_lane_and_keeps_its_state(tmp_path):
    """A large rate gets worse on validation data; its record ends, and its test is of that time."""
    axes = {"init": ["he_normal"], "lr": [0.01, 3.0], "optimizer": optax.sgd}
    data = task(test=task().validation)
    options = {"on": data, "steps": 40, "record_every": 2, "metric": "validation_loss"}
    full = sweep(linear, **axes, **options).run(tmp_path / "full").frame()
    frame = sweep(linear, **axes, **options, patience=3).run(tmp_path / "out").frame()
    stopped = frame[frame["stopped_at"].notna()]
    assert 0 < len(stopped) < len(frame)
    for index, row in frame.iterrows():
        curve, stop = row["validation_loss_curve"], row["stopped_at"]
        np.testing.assert_allclose(curve, full["validation_loss_curve"][index][: len(curve)])
        if np.isfinite(stop):
            assert row["step"][-1] == stop
            assert np.argmin(curve) == len(curve) - 4
        assert row["test_loss"] == pytest.approx(curve[-1], rel=1e-6)


@pytest.mark.slow
def test_a_class_at_every_position(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 5, (40, 7))
    data = jinit.Task(
        "tokens", (tokens[:, :-1], tokens[:, :-1]), (tokens[:, :-1], tokens[:, :-1]), 8,
        loss=cross_entropy,
    )  # fmt: skip

    def build(config):
        def init(key):
            return {"table": config["init"](key, (6, 6))}

        return init, lambda params, x: params["table"][x]

    frame = (
        sweep(build, on=data, init=["he_normal"], lr=[0.5], steps=30).run(tmp_path / "o").frame()
    )
    assert frame["validation_accuracy"].eq(1).all()


@pytest.mark.slow
def test_one_logit_for_two_classes_with_a_loss_of_ones_own(tmp_path):
    inputs, targets = task().train
    data = jinit.Task(
        "binary", (inputs, targets % 2), (inputs, targets % 2), 16,
        loss=lambda outputs, targets: optax.sigmoid_binary_cross_entropy(outputs[:, 0], targets),
    )  # fmt: skip
    one = sweep(
        lambda config: jinit.sweep.mlp(FEATURES, 1, depth=1, width=4, init=config["init"]),
        on=data, init=["he_normal"], lr=[0.1],
    )  # fmt: skip
    frame = one.run(tmp_path / "out").frame()
    assert "validation_accuracy" not in frame
    assert (frame["validation_loss"] < np.log(2)).all()


@pytest.mark.slow
def test_optimizers_with_options_of_their_own(tmp_path):
    space = jinit.grid(optimizer=["sgd"], momentum=[0.0, 0.9]) + jinit.grid(
        optimizer=["adam"], b1=[0.8, 0.9]
    )
    space = jinit.grid(init=["he_normal"], lr=[0.05]) * space
    frame = jinit.Sweep(task(), linear, space, seeds=2, steps=10).run(tmp_path / "out").frame()
    assert len(frame) == 8
    assert frame["group"].nunique() == 2
    assert frame["momentum"].isna().tolist() == frame["b1"].notna().tolist()
    assert frame["train_loss"].nunique() == 8
