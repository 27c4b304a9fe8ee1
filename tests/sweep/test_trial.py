"""Trials of one's own: a GAN, a walk without data, one function, and trials that cannot work."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweep.small import CLASSES, FEATURES, sweep, task

import jinit
from jinit.sweep import recent, step_key
from jinit.sweep.group_programs import GroupPrograms


def gan():
    """Two networks that are trained against each other; the state has a tree of each."""

    def init(key, hyper):
        first, second = jax.random.split(key)
        params = {
            "generator": hyper["init"](first, (2, FEATURES)),
            "critic": hyper["init"](second, (FEATURES, 1)),
        }
        return params, optax.adam(hyper["lr"]).init(params)

    def losses(params, images, noise):
        real, fake = images @ params["critic"], noise @ params["generator"] @ params["critic"]
        critic = optax.sigmoid_binary_cross_entropy(real, jnp.ones_like(real)).mean()
        critic += optax.sigmoid_binary_cross_entropy(fake, jnp.zeros_like(fake)).mean()
        return critic, optax.sigmoid_binary_cross_entropy(fake, jnp.ones_like(fake)).mean()

    def step(state, hyper, batch, key):
        params, moments = state
        noise = jax.random.normal(key, (len(batch["images"]), 2))
        gradients = {
            name: jax.grad(lambda p, i=i: losses(p, batch["images"], noise)[i])(params)[name]
            for i, name in enumerate(("critic", "generator"))
        }
        updates, moments = optax.adam(hyper["lr"]).update(gradients, moments, params)
        critic, generator = losses(params, batch["images"], noise)
        return (optax.apply_updates(params, updates), moments), {
            "critic_loss": critic, "generator_loss": generator,
        }  # fmt: skip

    def evaluate(state, hyper, batch):
        del hyper
        return {"realism": jax.nn.sigmoid(batch["images"] @ state[0]["critic"]).mean()}

    return jinit.Trial(init, step, evaluate)


def images():
    (inputs, _), (validation, _) = task().train, task().validation
    return jinit.Data("images", {"images": inputs}, {"images": validation}, 16)


@pytest.mark.slow
def test_a_gan_equals_its_plain_loop(tmp_path):
    space = jinit.grid(init=["he_normal", "orthogonal"], lr=[1e-2, 1e-1])
    options = {"seeds": [4], "steps": 12, "record_every": 12}
    one = jinit.Sweep(images(), gan(), space, metric="validation_realism", maximize=True, **options)
    frame = one.run(tmp_path / "out").frame()
    assert frame["group"].nunique() == 1  # initializers share the program, rates are traced
    row = frame[(frame["init"] == "orthogonal") & (frame["lr"] == 1e-1)].iloc[0]
    trial, hyper = gan(), {"init": jinit.orthogonal(), "lr": 1e-1}
    state, found, inputs = trial.init(jax.random.key(4), hyper), [], task().train[0]
    order = np.random.default_rng([4, 0]).permutation(90)[:80].reshape(5, 16)
    order = [*order, *np.random.default_rng([4, 1]).permutation(90)[:80].reshape(5, 16)]
    order += [*np.random.default_rng([4, 2]).permutation(90)[:80].reshape(5, 16)]
    for count, chosen in enumerate(order[:12]):
        batch = {"images": jnp.asarray(inputs[chosen])}
        state, metrics = trial.step(state, hyper, batch, step_key(4, count))
        found.append([float(metrics["critic_loss"]), float(metrics["generator_loss"])])
    expected = np.mean(found, axis=0)
    seen = [row["train_critic_loss"], row["train_generator_loss"]]
    np.testing.assert_allclose(seen, expected, rtol=1e-4)
    realism = trial.evaluate(state, hyper, {"images": task().validation[0]})["realism"]
    assert row["validation_realism"] == pytest.approx(float(realism), rel=1e-4)


def random_walk():
    """A trial without data, whose state has a key of its own."""

    def init(key, hyper):
        del hyper
        return {"key": key, "place": jnp.zeros(())}

    def step(state, hyper, batch, key):
        assert batch is None
        del key
        carry, used = jax.random.split(state["key"])
        place = hyper["decay"] * state["place"] + jax.random.normal(used)
        return {"key": carry, "place": place}, {"loss": place**2}

    return jinit.Trial(init, step)


def test_a_trial_without_data(tmp_path):
    one = jinit.Sweep(None, random_walk(), jinit.grid(decay=[0.5, 1.0]), seeds=3, steps=5)
    frame = one.run(tmp_path / "out").frame()
    assert len(frame) == 6
    state = random_walk().init(jax.random.key(1), {})
    for _ in range(5):
        state, metrics = random_walk().step(state, {"decay": 0.5}, None, None)
    row = frame[(frame["seed"] == 1) & (frame["decay"] == 0.5)].iloc[0]
    assert row["train_loss"] == pytest.approx(float(metrics["loss"]), rel=1e-5)


def test_one_function_that_trains_from_beginning_to_end(tmp_path):
    def train(key, hyper):
        def step(x, _):
            x = x - hyper["lr"] * 2 * x
            return x, x**2

        x, curve = jax.lax.scan(step, jax.random.normal(key), length=hyper["length"])
        return {"loss": curve, "test_distance": jnp.abs(x)}

    trial = jinit.Trial.from_train(train)
    space = jinit.grid(lr=[0.1, 0.2], length=[4, 6])
    frame = jinit.Sweep(None, trial, space, seeds=2, steps=1).run(tmp_path / "out").frame()
    assert frame["group"].nunique() == 2  # the length of a loop is compiled
    for row in frame.to_dict("records"):
        start = float(jax.random.normal(jax.random.key(row["seed"])))
        expected = (start * (1 - 2 * row["lr"]) ** np.arange(1, row["length"] + 1)) ** 2
        np.testing.assert_allclose(row["train_loss_curve"], expected, rtol=1e-4)
        assert row["step"].tolist() == list(range(1, row["length"] + 1))
        assert row["test_distance"] == pytest.approx(expected[-1] ** 0.5, rel=1e-4)


def quadratic(**changes):
    functions = {
        "init": lambda key, hyper: jnp.ones(3),
        "step": lambda state, hyper, batch, key: (
            state - hyper["lr"] * state, {"loss": (state**2).sum()},
        ),
    }  # fmt: skip
    return jinit.Trial(**functions | changes)


@pytest.mark.parametrize(
    ("trial", "options", "text"),
    [
        (
            {"step": lambda state, hyper, batch, key: (state * hyper["lr"], {})},
            {},
            "returns no metrics",
        ),
        (
            {"step": lambda state, hyper, batch, key: (state * hyper["lr"], {"reward": 1.0})},
            {},
            r"'train_reward', which does not say whether more is better: give metric=",
        ),
        ({}, {"metric": "train_los", "maximize": False}, "did you mean 'train_loss'"),
        ({}, {"metric": "reward"}, "does not say whether more is better: give maximize"),
        ({}, {"optimizer": optax.adam}, "a Trial has its own"),
        (
            {"step": lambda state, hyper, batch, key: (state[:2], {"loss": hyper["lr"]})},
            {},
            r"step returns another state than init: init has float32\[3\], step has float32\[2\]",
        ),
        (
            {"step": lambda state, hyper, batch, key: (state, hyper["lr"])},
            {},
            "step must return a state and a dictionary of metrics, got",
        ),
        (
            {"step": lambda state, hyper, batch, key: state},
            {},
            "step must return a state and a dictionary of metrics, got",
        ),
        (
            {"step": lambda state, hyper, batch, key: (state, {"loss": state.sum()})},
            {},
            "axis 'lr' changes nothing",
        ),
    ],
)
def test_trials_that_cannot_work(tmp_path, trial, options, text):
    def run():
        space = jinit.grid(lr=[0.1, 0.2])
        sweep = jinit.Sweep(None, quadratic(**trial), space, seeds=2, steps=3, **options)
        sweep.run(tmp_path / "out")

    with pytest.raises((ValueError, TypeError), match=text):
        run()
    assert not (tmp_path / "out").exists()


def test_arguments_that_are_not_functions():
    with pytest.raises(TypeError, match="Trial: step must be a function, got 3"):
        jinit.Trial(lambda key, hyper: key, 3)
    with pytest.raises(TypeError, match=r"task: expected jinit\.Data"):
        jinit.Sweep("digits", quadratic(), jinit.grid(lr=[0.1]))


def test_a_fault_of_the_trial_itself_is_shown(tmp_path):
    def step(state, hyper, batch, key):
        return state @ jnp.ones((7, 7)) * hyper["lr"], {"loss": state.sum()}

    one = jinit.Sweep(None, quadratic(step=step), jinit.grid(lr=[0.1]), seeds=1, steps=1)
    with pytest.raises(TypeError, match="contracting dimensions to have the same shape"):
        one.run(tmp_path / "out")


@pytest.mark.slow
def test_the_supervised_trial_needs_no_other_door(tmp_path):
    """A supervised task written as a trial of one's own gives the same records."""

    def init(key, hyper):
        params = jinit.sweep.mlp(FEATURES, CLASSES, depth=1, width=4, init=hyper["init"])[0](key)
        return params, optax.adam(hyper["lr"]).init(params)

    apply = jinit.sweep.mlp(FEATURES, CLASSES, depth=1, width=4)[1]

    def step(state, hyper, batch, key):
        def loss(params):
            return jinit.sweep.cross_entropy(apply(params, batch[0]), batch[1]).mean()

        value, gradients = jax.value_and_grad(loss)(state[0])
        updates, moments = optax.adam(hyper["lr"]).update(gradients, state[1], state[0])
        return (optax.apply_updates(state[0], updates), moments), {"loss": value}

    def evaluate(state, hyper, batch):
        logits = apply(state[0], batch[0])
        return {
            "loss": jinit.Mean.of(jinit.sweep.cross_entropy(logits, batch[1])),
            "accuracy": (logits.argmax(-1) == batch[1]).mean(),
        }

    axes = {"init": ["he_normal", "zeros"], "lr": [1e-2]}
    expected = sweep(
        lambda config: jinit.sweep.mlp(FEATURES, CLASSES, depth=1, width=4, init=config["init"]),
        **axes,
    )
    expected = expected.run(tmp_path / "task").frame()
    own = jinit.Sweep(
        task(), jinit.Trial(init, step, evaluate), jinit.grid(**axes), seeds=2, steps=20
    )
    found = own.run(tmp_path / "own").frame()
    for name in ("train_loss", "validation_loss", "validation_loss_error", "validation_accuracy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_test_data_alone_tells_trials_apart(tmp_path):
    """Without validation data, `evaluate` belongs to the program all the same."""

    def evaluate(state, hyper, batch):
        scale = {"plain": 1.0, "doubled": 2.0}[hyper["kind"]]
        return {"loss": scale * (state[None] * batch["x"]).sum()}

    x = {"x": np.ones((8, 3), np.float32)}
    data = jinit.Data("ones", x, batch_size=4, test=x)
    trial = quadratic(evaluate=evaluate)
    space = jinit.grid(kind=["plain", "doubled"], lr=[0.1])
    frame = jinit.Sweep(data, trial, space, seeds=1, steps=2).run(tmp_path / "out").frame()
    plain, doubled = frame.set_index("kind")["test_loss"][["plain", "doubled"]]
    assert doubled == pytest.approx(2 * plain)


def test_programs_of_finished_groups_are_forgotten(tmp_path, monkeypatch):
    alive = weakref.WeakSet()
    original = GroupPrograms.__init__

    def note(programs, *arguments):
        original(programs, *arguments)
        alive.add(programs)

    monkeypatch.setattr(GroupPrograms, "__init__", note)
    monkeypatch.setattr(recent, "_MOST_VALUES", 2)
    trial = jinit.Trial(lambda key, hyper: jnp.ones(hyper["size"]), quadratic().step)
    space = jinit.grid(size=[2, 3, 4, 5, 6], lr=[0.1])
    jinit.Sweep(None, trial, space, seeds=1, steps=2).run(tmp_path / "out")
    gc.collect()
    assert len(alive) <= 2
