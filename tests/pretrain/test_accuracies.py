"""What pre-training is for: features that classify, and deep networks that learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.ndimage import convolve
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import minmax_scale

from jinit.calibrate import read_batches
from jinit.model import trace
from jinit.pretrain import AutoencoderTrainer, RbmTrainer, greedy, train_rbm

pytestmark = pytest.mark.slow

SIZES = (64, 100, 100, 100, 100, 100, 10)
SEEDS = 8


def one_pixel(down, right):
    """Weights of a correlation that moves images by one pixel."""
    weights = np.zeros((1, 3, 3))
    weights[0, 1 - down, 1 - right] = 1
    return weights


def nudged_digits():
    """Digits and their copies moved by one pixel: the data of scikit-learn's own example."""
    data, labels = load_digits(return_X_y=True)
    moves = [(0, 0), (1, 0), (0, 1), (0, -1), (-1, 0)]
    images = data.reshape(-1, 8, 8)
    copies = [convolve(images, one_pixel(*move), mode="constant") for move in moves]
    copies = [copy.reshape(len(images), -1) for copy in copies]
    scaled = minmax_scale(np.concatenate(copies)).astype(np.float32)
    return train_test_split(scaled, np.tile(labels, 5), test_size=0.2, random_state=0)


def test_features_classify_as_those_of_scikit_learn():
    data, others, labels, other_labels = nudged_digits()
    settings = {"learning_rate": 0.06, "batch_size": 10}
    rival = BernoulliRBM(100, n_iter=10, random_state=0, **settings).fit(data)
    rbm, _ = train_rbm(
        data,
        100,
        jax.random.key(0),
        epochs=10,
        momentum=0.0,
        persistent=True,
        reconstructions="samples",
        **settings,
    )

    def accuracy(features):
        classifier = LogisticRegression(C=6000, max_iter=5000)
        classifier.fit(np.asarray(features(data)), labels)
        return classifier.score(np.asarray(features(others)), other_labels)

    ours, theirs = accuracy(rbm.hidden_means), accuracy(rival.transform)
    assert theirs == pytest.approx(0.9354, abs=0.01)
    assert ours > theirs - 0.015
    assert ours == pytest.approx(0.9354, abs=0.015)


def draw(key):
    keys = jax.random.split(key, len(SIZES))
    pairs = zip(keys, SIZES, SIZES[1:], strict=False)
    return [(0.1 * jax.random.normal(k, (n, m)), jnp.zeros(m)) for k, n, m in pairs]


def network(params, x):
    for weights, bias in params[:-1]:
        x = jax.nn.sigmoid(x @ weights + bias[None])
    return x @ params[-1][0] + params[-1][1][None]


def fine_tuned_accuracies(method, keys, epochs=50, batch_size=50) -> np.ndarray:
    """Test accuracies after momentum SGD at rate 0.1 from pre-trained weights, by seed."""
    data, labels = load_digits(return_X_y=True)
    split = train_test_split(data / 16, labels, test_size=0.2, random_state=0)
    x, others, y, other_labels = (jnp.asarray(each, jnp.float32) for each in split)
    optimizer = optax.sgd(0.1, 0.9)

    def loss(params, rows):
        targets = y[rows].astype(int)
        return optax.softmax_cross_entropy_with_integer_labels(
            network(params, x[rows]), targets
        ).mean()

    def step(state, rows):
        params, inner = state
        updates, inner = optimizer.update(jax.grad(loss)(params, rows), inner)
        return (optax.apply_updates(params, updates), inner), None

    def run(params, key):
        orders = jax.vmap(lambda k: jax.random.permutation(k, len(x)))(
            jax.random.split(key, epochs)
        )
        batches = orders[:, : len(x) // batch_size * batch_size].reshape(-1, batch_size)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), batches)
        return (network(params, others).argmax(-1) == other_labels).mean()

    params = jax.vmap(draw)(keys)
    if method is not None:
        model, batches = read_batches("test", trace(network, draw(keys[0]), x), np.asarray(x))
        find = jax.jit(jax.vmap(lambda p, key: method.find(model, p, batches, key)))
        params, _ = find(params, keys)
    return np.asarray(jax.jit(jax.vmap(run))(params, keys))


def test_a_deep_sigmoid_network_stays_at_chance_without_pretraining():
    keys = jax.random.split(jax.random.key(7), SEEDS)
    assert fine_tuned_accuracies(None, keys).mean() < 0.2


@pytest.mark.parametrize("trainer", [RbmTrainer(), AutoencoderTrainer()])
def test_a_deep_sigmoid_network_learns_after_pretraining(trainer):
    keys = jax.random.split(jax.random.key(7), SEEDS)
    accuracies = fine_tuned_accuracies(greedy(trainers=trainer), keys)
    assert accuracies.min() > 0.9
    assert accuracies.mean() > 0.95, accuracies
