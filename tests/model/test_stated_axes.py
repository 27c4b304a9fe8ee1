"""Axes stated by the user: the fans that follow, and the errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model.roles import describe, floats

import jinit
from jinit.hooks import as_model
from jinit.rules import RuleError

KEY = jax.random.key(0)


def apply(params, x):
    """Sort two of three parameters, so that their use cannot be followed."""
    h = jax.nn.relu(jnp.einsum("ebd,efd->ebf", x, jnp.sort(params["experts"], 1)))
    h = h + jnp.sort(params["bias"])[None, None]
    return h @ params["head"]["kernel"]


SHAPES = {"experts": floats(3, 50, 40), "bias": floats(50), "head": {"kernel": floats(50, 2)}}
MODEL = jinit.trace(apply, SHAPES, floats(3, 8, 40))
STATED = MODEL.with_axes({"exp*": ("batch", "out", "in")})


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
def test_fans_follow_from_stated_axes(axes, text):
    assert describe(leaves(MODEL.with_axes({"experts": axes}))["experts"]) == text


def test_everything_else_is_inferred():
    inferred, stated = leaves(MODEL), leaves(STATED)
    assert inferred["experts"].role == "unread"
    assert inferred["experts"].activation == stated["experts"].activation
    assert stated["head/kernel"] == inferred["head/kernel"]
    assert [leaf.path for leaf in STATED.leaves] == [leaf.path for leaf in MODEL.leaves]
    both = STATED.with_axes({"head/*": ("out", "in")})
    assert describe(leaves(both)["head/kernel"]) == "kernel out,in 2 50"
    assert leaves(both)["experts"].fan_in == 40
    first = MODEL.with_axes({"experts": ("batch", "out", "in"), "e*": ("batch", "in", "out")})
    assert leaves(first)["experts"].fan_in == 40
    assert leaves(as_model(STATED, floats(3, 6, 40)))["experts"].fan_in == 40


def test_a_model_with_stated_axes_is_drawn_and_planned():
    rules = {"bias": "zeros", "**": "he_normal"}
    drawn = np.asarray(jinit.init(STATED, KEY, rules)["experts"])
    assert drawn.var() * 40 / 2 == pytest.approx(1, abs=5 * np.sqrt(2 / drawn.size))
    assert jinit.plan(STATED, rules).rows[0].std == pytest.approx(np.sqrt(2 / 40))
    q = jinit.init(STATED, KEY, {"experts": "orthogonal", "**": "zeros"})["experts"]
    identities = np.broadcast_to(np.eye(40), (3, 40, 40))
    np.testing.assert_allclose(q.swapaxes(1, 2) @ q, identities, atol=1e-5)


def draw(key):
    return jax.tree.map(lambda leaf: jax.random.normal(key, leaf.shape), SHAPES)


def test_a_model_with_stated_axes_gets_a_recommendation():
    with_init = jinit.trace(apply, SHAPES, floats(3, 8, 40), init=draw)
    rows = {row.path: row for row in jinit.recommend(with_init).rows}
    assert rows["experts"].initializer is None
    remedy = "model.with_axes({'experts': ('spatial', 'in', 'out')})"
    assert rows["experts"].advice == (
        "jinit cannot read how it is used: the weight that is used mixes its entries (sort); "
        f"state its axes, such as {remedy}"
    )
    stated = with_init.with_axes({"experts": ("batch", "out", "in")})
    rows = {row.path: row for row in jinit.recommend(stated).rows}
    assert rows["experts"].std == pytest.approx(np.sqrt(2 / 40))
    assert "its gain is" in rows["experts"].advice


@pytest.mark.parametrize(
    "initializer", ["he_normal", "orthogonal", jinit.scaled(jinit.he_normal(), 2)]
)
def test_an_unread_parameter_raises_and_asks_for_its_axes(initializer):
    rules = {"experts": initializer, "**": "zeros"}
    for call in (jinit.plan, lambda model, rules: jinit.init(model, KEY, rules)):
        with pytest.raises(RuleError) as caught:
            call(MODEL, rules)
        text = str(caught.value)
        assert "depends on the axes of experts (shape (3, 50, 40))" in text
        assert "model.with_axes({'experts': ('spatial', 'in', 'out')})" in text
        assert "such as jinit.normal(0.02)" in text


def test_a_recommendation_asks_for_axes_as_well():
    with pytest.raises(RuleError, match=r"uses experts .* model\.with_axes"):
        jinit.recommend(MODEL)


def test_an_initializer_without_fans_needs_no_axes():
    drawn = jinit.init(MODEL, KEY, {"experts": "normal", "**": jinit.zeros})
    assert float(drawn["experts"].std()) == pytest.approx(0.01, rel=0.1)


def test_an_axis_with_two_roles_has_no_fans():
    model = jinit.trace(lambda w, x: x @ w.reshape(16, 5), floats(80), floats(2, 16))
    with pytest.raises(RuleError, match=r"one axis has two roles, in·out.*normal\(0\.25\)"):
        jinit.plan(model, {"**": "he_normal"})
    jinit.plan(model, {"**": "normal"})


def test_no_initializer_is_recommended_for_a_parameter_of_another_kind():
    model = jinit.trace(lambda p, x: jnp.maximum(x, p), floats(2, 3), floats(2, 3))
    with pytest.raises(RuleError, match=r"recommend: .* is not a kernel, bias, scale or table"):
        jinit.recommend(model)


@pytest.mark.parametrize(
    ("axes", "kind", "text"),
    [
        (
            {"expert": ("in", "out")},
            ValueError,
            "'expert' matches no parameter; the closest paths are exp",
        ),
        (
            {"experts": ("in", "out")},
            ValueError,
            r"shape \(3, 50, 40\), so it needs 3 roles, got 2",
        ),
        (
            {"**": ("batch", "in", "out")},
            ValueError,
            r"\(50,\), so it needs 1 role, got 3.*one rank",
        ),
        (
            {"experts": ("batch", "output", "in")},
            ValueError,
            "role 'output' .*experts; did you mean 'out'",
        ),
        ({"experts": ("batch", "out", "out")}, ValueError, "no axis of experts is `in`, `spa"),
        (
            {"experts": ("batch", 3, "in")},
            ValueError,
            "role 3 .*; expected one of: in, out",
        ),
        ({"experts": "in"}, TypeError, r"of experts, such as \('spatial', 'in', 'out'\), got 'in'"),
        (None, TypeError, r'such as {"\*\*/kernel": \("in", "out"\)}, got NoneType'),
    ],
)
def test_wrong_axes_raise(axes, kind, text):
    with pytest.raises(kind, match=text):
        MODEL.with_axes(axes)
