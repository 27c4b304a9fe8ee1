"""Streamed batches: functions, loaders, iterators that serve once, and streams that cannot work."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweep.small import linear, sweep, task

import jinit
from jinit.sweep import cross_entropy

SEED = 5


def in_order(size=16):
    """Yield batches of the training data in their order."""
    inputs, targets = task().train
    for first in range(0, 80, size):
        yield inputs[first : first + size], targets[first : first + size]


def plain_stream(steps):
    params = linear({"init": jinit.he_normal()})[0](jax.random.key(SEED))
    losses = []

    def objective(params, x, y):
        return cross_entropy(x @ params["w"] + params["b"][None], jnp.asarray(y)).mean()

    for _, (x, y) in zip(range(steps), itertools.cycle(in_order()), strict=False):
        loss, grads = jax.value_and_grad(objective)(params, x, y)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize(
    ("kind", "steps_per_call"),
    [
        ("function", None),
        ("loader", 4),
        *(pytest.param(kind, 1, marks=pytest.mark.slow) for kind in ("function", "loader")),
        pytest.param("function", 4, marks=pytest.mark.slow),
        pytest.param("loader", None, marks=pytest.mark.slow),
    ],
)
def test_streamed_batches(tmp_path, kind, steps_per_call):
    stream = in_order if kind == "function" else Loader(list(in_order()))
    data = jinit.Task("stream", stream, task().validation)
    one = sweep(
        linear, on=data, init=["he_normal"], lr=[0.1], optimizer=optax.sgd, seeds=[SEED, 1],
        steps=12, record_every=6, steps_per_call=steps_per_call,
    )  # fmt: skip
    frame = one.run(tmp_path / "out").frame().set_index("seed")
    losses = plain_stream(12)
    expected = [np.mean(losses[:6]), np.mean(losses[6:])]
    np.testing.assert_allclose(frame["train_loss_curve"][SEED][1:], expected, rtol=1e-5)


class Loader:
    """An iterable of batches that can be started again, as loaders are."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.slow
def test_an_iterator_serves_one_block(tmp_path):
    def endless():
        while True:
            yield from in_order()

    def streamed(**options):
        data = jinit.Task("stream", endless(), task().validation)
        return sweep(linear, on=data, init=["he_normal"], lr=[0.1, 0.2], steps=12, **options)

    assert len(streamed().run(tmp_path / "one").frame()) == 4
    with pytest.raises(ValueError, match="iterator of training batches is needed by more than one"):
        streamed(seeds=20, lanes=8).run(tmp_path / "several")


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (lambda: iter([]), "the stream of training batches is empty"),
        (lambda: iter([next(in_order()), next(in_order(8))]), "has arrays .*first one had"),
    ],
)
def test_streams_that_cannot_work(tmp_path, stream, text):
    def run():
        data = jinit.Task("stream", stream, task().validation)
        sweep(linear, on=data, init=["he_normal"], lr=[0.1]).run(tmp_path / "out")

    with pytest.raises(ValueError, match=text):
        run()
