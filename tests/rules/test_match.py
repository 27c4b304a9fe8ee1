"""Rules find their parameters, and say so when they do not fit the model."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jinit
from jinit.rules import Rule, RuleError, plan
from jinit.rules.match import assigned, rules_of


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
        ({"depth": (1, 3)}, 4),
        ({"depth": (1, 3), "role": "bias"}, 2),
        ({}, 10),
    ],
)
def test_conditions(model, conditions, count):
    rule = Rule(HE, **conditions)
    assert sum(map(rule.matches, model.leaves)) == count


def test_the_first_match_counts(model):
    rules = [Rule(ONES, depth=0, role="kernel"), Rule(HE, role="kernel"), REST]
    chosen = dict(
        zip([leaf.path for leaf in model.leaves], assigned(rules, model.leaves), strict=True)
    )
    assert chosen["params/block_0/kernel"] == ONES
    assert chosen["params/block_1/kernel"] == HE
    assert chosen["params/norm/scale"] == ZEROS


def test_rules_as_plain_data():
    data = [
        {"initializer": "he_normal", "role": "kernel", "shape": [16, 16]},
        {"initializer": {"name": "normal", "stddev": 0.02}, "path": "**/head/**"},
        {"initializer": "zeros"},
    ]
    rules = rules_of(data)
    assert rules == (
        Rule(HE, role="kernel", shape=(16, 16)),
        Rule(jinit.normal(0.02), path="**/head/**"),
        REST,
    )
    assert rules_of([rule.to_spec() for rule in rules]) == rules
    assert rules_of({"**": HE}) == (Rule(HE, path="**"),)
    assert rules_of(REST) == (REST,)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (
            {"**/kernal": HE, "**": ZEROS},
            "no parameter matches Rule(he_normal(), path='**/kernal'); near it: params/",
        ),
        ({"**/kernel": HE}, "no rule matches params/block_0/bias (bias, shape (16,))"),
        (
            [Rule(ZEROS), Rule(HE, role="kernel")],
            "taken by an earlier rule, such as params/block_0/",
        ),
        (
            [Rule(HE, role="embedding"), REST],
            "no parameter matches Rule(he_normal(), role='embedding')",
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
        (lambda: Rule(HE, regex="("), ValueError, "is no regular expression"),
        (lambda: rules_of("he_normal"), TypeError, "expected a sequence of Rule"),
        (lambda: rules_of([HE]), TypeError, "expected a Rule or plain data"),
        (lambda: rules_of({"**": 3}), TypeError, "expected an initializer"),
        (
            lambda: rules_of([{"initializer": "zeros", "pth": "**"}]),
            ValueError,
            "unknown condition of a rule 'pth'; did you mean 'path'",
        ),
        (lambda: rules_of({"**": "he_norml"}), ValueError, "did you mean 'he_normal'"),
    ],
)
def test_bad_rules(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
