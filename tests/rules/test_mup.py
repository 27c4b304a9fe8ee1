"""Maximal update parametrization: the paper's table 3, and training at several widths.

Slopes of the coordinate check, with four seeds and three steps: where 0 is predicted, the largest
observed magnitude is 0.1 for the dense network and 0.22 for the transformer. In the standard
parametrization the slope is at least 0.7 for the dense network's head and, with Adam, at least 0.59
for all layers of the transformer.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures.gpt2 import Config, LinenGPT2, NnxGPT2
from arrays import normals
from flax import linen as nn
from flax import nnx

import jinit
from jinit import Rule, RuleError, recipes
from jinit.rules import plan

VOCABULARY, HEAD = 40, 16
TOKENS = jax.random.randint(jax.random.key(3), (4, 8), 0, VOCABULARY)
IMAGES = normals(1, (16, 32))
LABELS = jax.random.randint(jax.random.key(2), (16,), 0, 10)
STANDARD = recipes.everywhere(jinit.lecun_normal())
RATES = {"adam": optax.adam(1e-3), "sgd": optax.sgd(0.1)}


class Dense(nn.Module):
    """Two relu layers and a head."""

    width: int

    @nn.compact
    def __call__(self, x):
        for number in range(2):
            x = nn.relu(nn.Dense(self.width, name=f"hidden_{number}")(x))
        return nn.Dense(10, name="head")(x)


def dense(width):
    return jinit.linen.trace(Dense(width), IMAGES)


def config(width, tied=False):
    return Config(VOCABULARY, 8, width, width // HEAD, 2, tied)


def gpt2(width):
    return jinit.linen.trace(LinenGPT2(config(width)), TOKENS)


def entropy(logits):
    if logits.ndim == 2:
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()
    losses = optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], TOKENS[:, 1:])
    return losses.mean()


@pytest.fixture(scope="module")
def base():
    return gpt2(32)


# Factors at 4 times the width: standard deviation, learning rate with SGD and with Adam (table 3).
TABLE = {
    "tokens/embedding": (1, 4, 1),
    "block_0/attention/query/kernel": (1 / 2, 1, 1 / 4),
    "block_0/up/kernel": (1 / 2, 1, 1 / 4),
    "block_0/up/bias": (1, 4, 1),
    "block_0/norm_1/scale": (1, 4, 1),
    "head/kernel": (1 / 4, 1 / 4, 1 / 4),
}


@pytest.mark.parametrize("kind", ["linen", "nnx"])
@pytest.mark.parametrize("rules", [STANDARD, recipes.gpt2(2)], ids=["lecun", "gpt2"])
def test_factors_equal_the_table_of_the_paper(base, kind, rules):
    wide = gpt2(128)
    if kind == "nnx":
        base = jinit.nnx.trace(lambda rngs: NnxGPT2(config(32), rngs), TOKENS)
        wide = jinit.nnx.trace(lambda rngs: NnxGPT2(config(128), rngs), TOKENS)
    narrow = {row.path: row.std for row in plan(base, rules).rows}
    stds = {row.path: row.std for row in plan(wide, recipes.mup(base, rules)).rows}
    rates = {name: multipliers(wide, base, name) for name in ("sgd", "adam")}
    for path in stds:
        name = path.removeprefix("params/")
        if name not in TABLE:
            continue
        std, sgd, adam = TABLE[name]
        if narrow[path]:
            assert stds[path] == pytest.approx(std * narrow[path], rel=1e-5)
        assert (rates["sgd"][path], rates["adam"][path]) == (sgd, adam)


def multipliers(model, base, optimizer):
    tree = recipes.mup_multipliers(model, base, optimizer)
    assert jax.tree.structure(tree) == jax.tree.structure(model.params)
    return dict(zip(model.paths, jax.tree.leaves(tree), strict=True))


def test_unequal_ratios_of_inputs_and_outputs():
    kernel = jax.ShapeDtypeStruct((256, 128), jnp.float32)
    model = jinit.trace(lambda w, x: x @ w, kernel, jnp.ones((2, 256)))
    (row,) = plan(model, recipes.mup({"": (64, 64)})).rows  # 4 times the inputs, 2 the outputs
    assert row.std == pytest.approx(math.sqrt(1 / 2) / 2 / 8, rel=1e-5)
    assert recipes.mup_multipliers(model, {"": (64, 64)}, "sgd") == 1 / 2


def test_at_the_base_width_nothing_changes(base):
    standard, maximal = plan(base, STANDARD), plan(base, recipes.mup(base))
    assert standard.initializers == maximal.initializers
    assert set(multipliers(base, base, "sgd").values()) == {1.0}


def test_the_base_can_be_shapes_by_path(base):
    shapes = {leaf.path: leaf.shape for leaf in base.leaves}
    wide = gpt2(64)
    traced, stated = (
        [row.std or 0 for row in plan(wide, recipes.mup(known)).rows] for known in (base, shapes)
    )
    assert traced == pytest.approx(stated, rel=1e-6)


@pytest.mark.parametrize("collection", [True, False])
def test_updates_of_linen(collection):
    model, narrow = dense(256), dense(64)
    params = model.params if collection else model.params["params"]
    updates = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), params)
    transformation = recipes.scale_by_mup(model, narrow, "adam")
    scaled, _ = transformation.update(updates, transformation.init(params))
    scaled = scaled["params"] if collection else scaled
    for name in ("head", "hidden_1"):
        assert float(scaled[name]["kernel"][0, 0]) == 1 / 4
    assert float(scaled["hidden_0"]["kernel"][0, 0]) == float(scaled["head"]["bias"][0]) == 1


class Pair(nnx.Module):
    """A hidden layer and an output layer."""

    def __init__(self, width, rngs):
        self.hidden = nnx.Linear(32, width, rngs=rngs)
        self.head = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.hidden(x)))


def test_updates_of_nnx():
    narrow, model = (
        jinit.nnx.trace(lambda rngs, width=width: Pair(width, rngs), IMAGES) for width in (32, 64)
    )
    module = jinit.init(model, jax.random.key(0), recipes.mup(narrow))
    updates = jax.tree.map(jnp.ones_like, nnx.state(module, nnx.Param))
    transformation = recipes.scale_by_mup(model, narrow, "sgd")
    scaled, _ = transformation.update(updates, transformation.init(updates))
    assert float(scaled["head"]["kernel"][...][0, 0]) == 1 / 2
    assert float(scaled["hidden"]["kernel"][...][0, 0]) == 2
    assert float(scaled["hidden"]["bias"][...][0]) == 2


def slopes(build, widths, inputs, optimizer, maximal):
    base, rate = build(widths[0]), RATES[optimizer]

    def chained(model):
        return optax.chain(rate, recipes.scale_by_mup(model, base, optimizer))

    rules, transformation = (recipes.mup(base), chained) if maximal else (STANDARD, rate)
    check = recipes.coordinate_check(build, widths, [inputs], entropy, rules, transformation)
    assert set(check.slopes) == set(build(widths[0]).layer_names)
    assert len(str(check).splitlines()) == len(check.slopes) + 1
    return np.array(list(check.slopes.values()))


@pytest.mark.few(1)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_changes_of_a_dense_network_do_not_depend_on_the_width(optimizer):
    assert np.abs(slopes(dense, (64, 256), IMAGES, optimizer, maximal=True)).max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_changes_depend_on_the_width_in_the_standard_parametrization(optimizer):
    assert slopes(dense, (64, 256), IMAGES, optimizer, maximal=False)[-1] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_changes_of_a_transformer_do_not_depend_on_the_width(optimizer):
    assert np.abs(slopes(gpt2, (32, 128), TOKENS, optimizer, maximal=True)).max() < 0.35


@pytest.mark.slow
def test_changes_of_a_transformer_depend_on_the_width_in_the_standard_parametrization():
    assert slopes(gpt2, (32, 128), TOKENS, "adam", maximal=False).min() > 0.45


def tied(width):
    return jinit.linen.trace(LinenGPT2(config(width, tied=True)), TOKENS)


KERNEL = jinit.trace(lambda w, x: x @ w, jnp.ones((8, 4)), jnp.ones((2, 8)))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: plan(tied(64), recipes.mup(tied(32))), RuleError, "tied to an embedding"),
        (
            lambda: plan(KERNEL, recipes.mup({"w": (4, 4)})),
            RuleError,
            "not a parameter of the base",
        ),
        (lambda: plan(KERNEL, recipes.mup({"": (4,)})), RuleError, "but (4,) in the base network"),
        (
            lambda: plan(
                KERNEL, recipes.mup({"": (4, 4)}, [Rule(jax.nn.initializers.he_normal())])
            ),
            RuleError,
            "does not state the standard deviation",
        ),
        (lambda: recipes.mup(3), TypeError, "expected the traced network"),
        (
            lambda: recipes.mup_multipliers(KERNEL, {"": (4, 4)}, "adan"),
            ValueError,
            "did you mean 'adam'",
        ),
        (
            lambda: recipes.scale_by_mup(KERNEL, {"": (4, 4)}).update({"v": jnp.ones(3)}, None),
            ValueError,
            "v is not a parameter of the model; similar paths: ",
        ),
        (
            lambda: recipes.coordinate_check(
                dense, [64], [IMAGES], entropy, STANDARD, RATES["sgd"]
            ),
            ValueError,
            "at least two widths",
        ),
    ],
)
def test_errors_of_mup_and_the_coordinate_check(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)


def test_an_axis_other_than_inputs_and_outputs_must_not_change():
    def build(taps):
        module = nn.Conv(8, (taps,))
        return jinit.linen.trace(module, jax.ShapeDtypeStruct((2, 9, 4), jnp.float32))

    with pytest.raises(RuleError, match=r"axis 0 .spatial. is not a width and has to be equal"):
        plan(build(3), recipes.mup(build(5)))
