"""Rules match parameters by conditions, and name what does not fit the model."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jinit
from jinit import recipes
from jinit.rules import Rule, RuleError, plan
from jinit.rules.match import assign_initializers, read_rules


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        for layer in range(3):
            x = nn.relu(nn.Dense(16, name=f"block_{layer}")(x))
        return nn.Dense(4, name="head")(nn.LayerNorm(name="norm")(x))


@pytest.fixture(scope="module")
def model():
    return jinit.linen.trace(Net(), jax.ShapeDtypeStruct((2, 16), jnp.float32))


ZEROS, HE, ONES = jinit.zeros, jinit.he_normal(), jinit.ones
REST = Rule(ZEROS)


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"path": "**/kernel"}, 4),
        ({"regex": r"block_[01]"}, 4),
        ({"role": "kernel"}, 4),
        ({"role": "scale"}, 1),
        ({"shape": (16, None)}, 4),
        ({"shape": [16, 4]}, 1),
        ({"axes": ("in", "out")}, 4),
        ({"depth": 1}, 2),
        ({"depth": (1, 3)}, 4),  # a range excludes its end
        ({"depth": (0, 2)}, 4),
        ({"depth": [2, 5]}, 2),
        ({"depth": (1, 3), "role": "bias"}, 2),
        ({}, 10),
    ],
)
def test_conditions(model, conditions, count):
    rule = Rule(HE, **conditions)
    assert sum(map(rule.matches, model.leaves)) == count


def test_the_first_rule_that_matches_counts(model):
    rules = [Rule(ONES, depth=0, role="kernel"), Rule(HE, role="kernel"), REST]
    paths = [leaf.path for leaf in model.leaves]
    chosen = dict(zip(paths, assign_initializers(rules, model.leaves), strict=True))
    assert chosen["params/block_0/kernel"] == ONES
    assert chosen["params/block_1/kernel"] == HE
    assert chosen["params/norm/scale"] == ZEROS


def test_rules_as_plain_data():
    data = [
        {"initializer": "he_normal", "role": "kernel", "shape": [16, 16]},
        {"initializer": {"name": "normal", "stddev": 0.02}, "path": "**/head/**"},
        {"initializer": "zeros"},
    ]
    rules = read_rules(data)
    assert rules == (
        Rule(HE, role="kernel", shape=(16, 16)),
        Rule(jinit.normal(0.02), path="**/head/**"),
        REST,
    )
    assert read_rules([rule.to_spec() for rule in rules]) == rules
    assert read_rules({"**": HE}) == (Rule(HE, path="**"),)
    assert read_rules(REST) == (REST,)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (
            {"**/kernal": HE, "**": ZEROS},
            "no parameter matches Rule(he_normal(), path='**/kernal'); similar paths: params/",
        ),
        ({"**/kernel": HE}, "no rule matches params/block_0/bias (bias, shape (16,))"),
        (
            [Rule(ZEROS), Rule(HE, role="kernel")],
            "earlier rules match every parameter of Rule(he_normal(), role='kernel'), such as",
        ),
        (
            [Rule(HE, role="embedding"), REST],
            "no parameter matches Rule(he_normal(), role='embedding'); there are: params/",
        ),
    ],
)
def test_rules_that_do_not_fit(model, rules, text):
    with pytest.raises(RuleError) as caught:
        plan(model, rules)
    assert text in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: Rule(HE, role="kernal"),
            ValueError,
            "unknown role 'kernal'; did you mean 'kernel'",
        ),
        (lambda: Rule(3), TypeError, "expected an initializer such as jinit.he_normal(), its name"),
        (lambda: Rule("he_norml"), ValueError, "did you mean 'he_normal'"),
        (lambda: Rule(HE, path=1), TypeError, "path: expected text, got 1"),
        (lambda: Rule(HE, regex=1), TypeError, "regex: expected text, got 1"),
        (lambda: Rule(HE, axes=("inn",)), ValueError, "unknown axis 'inn'; did you mean 'in'"),
        (
            lambda: Rule(HE, axes="in"),
            TypeError,
            "axes: expected a sequence of roles such as ('in'",
        ),
        (
            lambda: Rule(HE, shape=16),
            TypeError,
            "shape: expected a sequence of sizes such as (None",
        ),
        (
            lambda: Rule(HE, shape=("16",)),
            TypeError,
            "shape: expected sizes, and None for any size",
        ),
        (lambda: Rule(HE, depth="a"), TypeError, "depth: expected a number such as 2, or a range"),
        (lambda: Rule(HE, depth=(1, 2, 3)), TypeError, "depth: expected a number such as 2, or a"),
        (lambda: Rule(HE, depth=(5, 2)), ValueError, "depth: (5, 2) is empty"),
        (lambda: Rule(HE, branch="yes"), TypeError, "branch: expected True or False, got 'yes'"),
        (lambda: Rule(HE, optional="no"), TypeError, "optional: expected True or False, got 'no'"),
        (lambda: Rule(HE, regex="("), ValueError, "is not a regular expression"),
        (lambda: read_rules("he_normal"), TypeError, "expected a sequence of Rule"),
        (lambda: read_rules([HE]), TypeError, "expected a Rule or plain data"),
        (lambda: read_rules({"**": 3}), TypeError, "expected an initializer"),
        (
            lambda: read_rules([{"initializer": "zeros", "pth": "**"}]),
            ValueError,
            "unknown condition of a rule 'pth'; did you mean 'path'",
        ),
        (lambda: read_rules({"**": "he_norml"}), ValueError, "did you mean 'he_normal'"),
    ],
)
def test_bad_rules(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)


def test_an_initializer_is_given_by_name_or_plain_data():
    assert Rule("he_normal") == Rule(HE)
    assert Rule({"name": "normal", "stddev": 0.02}) == Rule(jinit.normal(0.02))


def test_the_repr_of_a_rule_shows_every_option():
    assert repr(Rule(HE, path="**/kernel", axes=("in", "batch·out"), optional=True)) == (
        "Rule(he_normal(), path='**/kernel', axes=('in', 'batch·out'), optional=True)"
    )
    assert repr(Rule(HE, shape=[None, 16], depth=[2, 5], end="residual", branch=False)) == (
        "Rule(he_normal(), shape=(None, 16), depth=(2, 5), end='residual', branch=False)"
    )


def test_only_initializers_of_jinit_have_plain_data():
    deferred = next(rule for rule in recipes.beit() if hasattr(rule.initializer, "resolve"))
    for rule in (Rule(jax.nn.initializers.he_normal()), deferred):
        with pytest.raises(TypeError, match="cannot be written as plain data; use an initializer"):
            rule.to_spec()


@pytest.mark.parametrize("factory", [jinit.he_normal, jinit.orthogonal, jax.nn.initializers.normal])
def test_a_factory_that_was_not_called_is_refused(factory):
    message = f"{factory.__name__} is a function that builds an initializer"
    with pytest.raises(TypeError, match=message):
        Rule(factory)
    with pytest.raises(TypeError, match=message):
        read_rules({"**": factory})


def test_a_recipe_that_was_not_called_is_refused():
    with pytest.raises(TypeError, match=r"call it: jinit\.recipes\.pytorch\(\)"):
        read_rules(jinit.recipes.pytorch)
