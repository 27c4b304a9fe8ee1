"""Compiled measurements of old models are freed, so that a process can diagnose any number."""

import gc
import weakref

import jax
import jax.numpy as jnp
import pytest
from arrays import normals

import jinit
from jinit.diagnostics.measuring.recent_programs import jit_recent

RECENT = 16


class Factor:
    """A static argument that is compared by identity, as a model is."""

    def __init__(self, value):
        self.value = value


def test_recent_programs_are_not_traced_again():
    traced = []

    @jit_recent(1)
    def scale(factor, x):
        traced.append(factor)
        return factor.value * x

    factors = [Factor(float(number)) for number in range(RECENT)]
    for _ in range(2):
        assert [scale(each, jnp.ones(())).item() for each in factors] == [*map(float, range(16))]
    assert traced == factors
    assert scale.trace(factors[3], jnp.ones(())).lower().compile()(jnp.ones(())) == 3


@pytest.mark.slow
def test_older_programs_are_freed():
    @jit_recent(2)
    def scale(factor, exponent, x):
        return factor.value * x**exponent

    living = []
    for number in range(3 * RECENT):
        factor = Factor(float(number))
        assert scale(factor, 2, jnp.full((), 2.0)) == 4 * number
        living.append(weakref.ref(factor))
        del factor
    gc.collect()
    assert sum(each() is not None for each in living) == RECENT


def apply(params, x):
    return jnp.tanh(x @ params[0]) @ params[1]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_models_are_freed_after_their_diagnosis(seeds):
    def init(key):
        return [normals(each, (4, 4)) for each in jax.random.split(key)]

    params, x = init(jax.random.key(0)), jnp.ones((3, 4))
    living = []
    for _ in range(RECENT + 3):
        model = jinit.trace(apply, params, x, init=init)
        drawn = {"params": params} if seeds is None else {"params": init, "seeds": seeds}
        jinit.diagnose(model, drawn.pop("params"), x, **drawn)
        living.append(weakref.ref(model))
        del model
    gc.collect()
    assert sum(each() is not None for each in living) <= RECENT
