"""Axes stated by hand: what is made of them, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model.roles import described, floats

import jinit
from jinit.hooks import as_model
from jinit.rules import RuleError

KEY = jax.random.key(0)


def apply(params, x):
    """Kernels behind a sort, which cannot be followed; the last one can."""
    h = jax.nn.relu(jnp.einsum("ebd,efd->ebf", x, jnp.sort(params["experts"], 1)))
    h = h + jnp.sort(params["bias"])[None, None]
    return h @ params["head"]["kernel"]


SHAPES = {"experts": floats(3, 50, 40), "bias": floats(50), "head": {"kernel": floats(50, 2)}}
MODEL = jinit.trace(apply, SHAPES, floats(3, 8, 40))
TOLD = MODEL.told({"exp*": ("batch", "out", "in")})


def leaves(model):
    return {leaf.path: leaf for leaf in model.leaves}


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        (("batch", "out", "in"), "kernel batch,out,in 40 50"),
        (("stacked", "in", "out"), "kernel stacked,in,out 50 40"),
        (("spatial", "in", "out"), "kernel spatial,in,out 150 120"),
        (("in", "in", "out"), "kernel in,in,out 150 40"),
        (["lookup", "batch", "out"], "embedding lookup,batch,out 1 40"),
    ],
)
def test_fans_come_from_what_is_told(axes, text):
    assert described(leaves(MODEL.told({"experts": axes}))["experts"]) == text


def test_all_else_is_read():
    read, told = leaves(MODEL), leaves(TOLD)
    assert read["experts"].role == "unread"
    assert read["experts"].activation == told["experts"].activation
    assert told["head/kernel"] == read["head/kernel"]
    assert [leaf.path for leaf in TOLD.leaves] == [leaf.path for leaf in MODEL.leaves]
    both = TOLD.told({"head/*": ("out", "in")})
    assert described(leaves(both)["head/kernel"]) == "kernel out,in 2 50"
    assert leaves(both)["experts"].fan_in == 40
    first = MODEL.told({"experts": ("batch", "out", "in"), "e*": ("batch", "in", "out")})
    assert leaves(first)["experts"].fan_in == 40
    assert leaves(as_model(TOLD, floats(3, 6, 40)))["experts"].fan_in == 40


def test_a_model_that_was_told_is_drawn_and_planned():
    rules = {"bias": "zeros", "**": "he_normal"}
    drawn = np.asarray(jinit.init(TOLD, KEY, rules)["experts"])
    assert drawn.var() * 40 / 2 == pytest.approx(1, abs=5 * np.sqrt(2 / drawn.size))
    assert jinit.plan(TOLD, rules).rows[0].std == pytest.approx(np.sqrt(2 / 40))
    q = jinit.init(TOLD, KEY, {"experts": "orthogonal", "**": "zeros"})["experts"]
    np.testing.assert_allclose(q.swapaxes(1, 2) @ q, np.broadcast_to(np.eye(40), (3, 40, 40)),
                               atol=1e-5)  # fmt: skip


def own(key):
    return jax.tree.map(lambda leaf: jax.random.normal(key, leaf.shape), SHAPES)


def test_a_model_that_was_told_gets_a_recommendation():
    with_init = jinit.trace(apply, SHAPES, floats(3, 8, 40), init=own)
    rows = {row.path: row for row in jinit.recommend(with_init).rows}
    assert rows["experts"].initializer is None
    remedy = "model.told({'experts': ('spatial', 'in', 'out')})"
    assert rows["experts"].advice == (
        f"jinit cannot read how it is used: give its axes by hand, such as {remedy}"
    )
    told = with_init.told({"experts": ("batch", "out", "in")})
    rows = {row.path: row for row in jinit.recommend(told).rows}
    assert rows["experts"].std == pytest.approx(np.sqrt(2 / 40))
    assert "its gain is" in rows["experts"].advice


@pytest.mark.parametrize(
    "initializer", ["he_normal", "orthogonal", jinit.scaled(jinit.he_normal(), 2)]
)
def test_what_cannot_be_read_raises_and_asks(initializer):
    rules = {"experts": initializer, "**": "zeros"}
    for call in (jinit.plan, lambda model, rules: jinit.init(model, KEY, rules)):
        with pytest.raises(RuleError) as caught:
            call(MODEL, rules)
        text = str(caught.value)
        assert "needs to know what the axes of experts (shape (3, 50, 40)) do" in text
        assert "model.told({'experts': ('spatial', 'in', 'out')})" in text
        assert "such as jinit.normal(0.02)" in text


def test_a_recommendation_asks_as_well():
    with pytest.raises(RuleError, match=r"axes of experts .* model\.told"):
        jinit.recommend(MODEL)


def test_a_rule_without_fans_is_enough():
    drawn = jinit.init(MODEL, KEY, {"experts": "normal", "**": jinit.zeros})
    assert float(drawn["experts"].std()) == pytest.approx(0.01, rel=0.1)


def test_an_axis_with_two_roles_has_no_fans_of_its_own():
    model = jinit.trace(lambda w, x: x @ w.reshape(16, 5), floats(80), floats(2, 16))
    with pytest.raises(RuleError, match=r"one of them is in·out, both at once.*normal\(0\.25\)"):
        jinit.plan(model, {"**": "he_normal"})
    jinit.plan(model, {"**": "normal"})


def test_a_parameter_that_is_no_weight_is_for_the_user_to_start():
    model = jinit.trace(lambda p, x: jnp.maximum(x, p), floats(2, 3), floats(2, 3))
    with pytest.raises(RuleError, match=r"recommend: .* is no kernel, bias, scale or table"):
        jinit.recommend(model)


@pytest.mark.parametrize(
    ("axes", "kind", "text"),
    [
        ({"expert": ("in", "out")}, ValueError, "'expert' matches no parameter; near it: experts"),
        ({"experts": ("in", "out")}, ValueError, r"shape \(3, 50, 40\), so 3 words, got 2"),
        ({"**": ("batch", "in", "out")}, ValueError, r"shape \(50,\), so 1 words.*of one rank"),
        ({"experts": ("batch", "output", "in")}, ValueError, "word 'output' .* mean 'out'"),
        ({"experts": ("batch", "out", "out")}, ValueError, "no axis of experts is `in`, `spa"),
        ({"experts": "in"}, TypeError, "word for every axis of experts, got the text 'in'"),
    ],
)
def test_what_is_refused(axes, kind, text):
    with pytest.raises(kind, match=text):
        MODEL.told(axes)
