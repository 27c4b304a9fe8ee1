"""Low-rank adapters: properties of all of them, and errors for wrong options and calls."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from initializers.adapting import (
    ADAPTERS,
    GRADIENT,
    IN,
    INPUTS,
    KERNEL,
    KEY,
    OUT,
    RANK,
    SCALE,
    SUBTRACTED,
    best_approximation,
    close,
    exact,
)

from jinit.initializers import adapters
from jinit.initializers.adapters import (
    corda,
    eva,
    lora,
    lora_ga,
    lora_orthogonal,
    pissa,
    pissa_randomized,
)

for_every_adapter = pytest.mark.parametrize("name", ADAPTERS)


def stacked(array):
    """Return copies of an array along a leading axis, each with different values."""
    return jnp.stack([np.roll(array, shift, axis=-1) / (1 + shift) for shift in range(4)])


@pytest.mark.few(5)
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in ADAPTERS]
    + [(name, "bfloat16") for name in ("lora_orthogonal", "lora_ga")]
    + [pytest.param(name, "bfloat16", marks=pytest.mark.slow) for name in ("lora", "pissa")],
)
def test_the_adapted_layer_equals_the_base_layer(name, dtype):
    adapter, data = ADAPTERS[name]
    kernel = KERNEL.astype(dtype)
    layer = adapter(KEY, kernel, *data)
    assert {leaf.dtype for leaf in (*jax.tree.leaves(layer), layer.merged_kernel())} == {
        kernel.dtype
    }
    # The frozen weight and the sum are rounded once each, and so are factors whose product is zero
    # by cancellation.
    product = SCALE * abs(exact(layer.a) @ exact(layer.b))
    slack = SCALE * exact(abs(layer.a)) @ exact(abs(layer.b)) if name == "lora_orthogonal" else 0
    bound = float(jnp.finfo(dtype).eps) * (2 * abs(exact(kernel)) + 2 * product + slack)
    assert (abs(exact(layer.merged_kernel()) - exact(kernel)) <= bound).all()
    assert (layer.weight is kernel) == (name not in SUBTRACTED)


def test_factors_can_be_more_precise_than_the_kernel():
    kernel = KERNEL.astype("bfloat16")
    layer = pissa(RANK, dtype="float32")(KEY, kernel)
    assert (layer.a.dtype, layer.b.dtype, layer.weight.dtype) == ("float32", "float32", "bfloat16")
    close(layer.a @ layer.b, best_approximation(kernel, RANK))
    close(layer.merged_kernel(), kernel, 2**-7)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("lora", "pissa", "corda") else pytest.mark.slow)
        for name in ADAPTERS
    ],
)
def test_leading_axes_are_copies_under_jit(name):
    adapter, data = ADAPTERS[name]
    kernels, *stacks = (stacked(array) for array in (KERNEL, *data))
    layer = jax.jit(adapter)(KEY, kernels, *stacks)
    assert layer.a.shape == (4, IN, RANK)
    assert layer.b.shape == (4, RANK, OUT)
    close(layer.merged_kernel(), kernels)
    for factor in (layer.a, layer.b):
        copies = exact(factor).reshape(4, -1)
        distances = abs(copies[:, None] - copies[None]).max(axis=-1)
        assert (copies == 0).all() or (distances[~np.eye(4, dtype=bool)] > 1e-3).all()
    if name in ("pissa", "olora", "mica", "eva", "corda"):  # deterministic adapters
        single = adapter(KEY, kernels[2], *[array[2] for array in stacks])
        jax.tree.map(close, jax.tree.map(lambda leaf: leaf[2], layer), single)


@pytest.mark.parametrize("name", ["pissa_randomized", "lora_ga"])
def test_vmap_equals_a_loop(name):
    adapter, data = ADAPTERS[name]
    keys, kernels = jax.random.split(KEY, 2), jnp.stack([KERNEL, KERNEL[::-1]])
    axes = (0, 0, *[None for _ in data])
    lanes = jax.jit(jax.vmap(adapter, axes))(keys, kernels, *data)
    for lane in range(2):
        eager = adapter(keys[lane], kernels[lane], *data)
        jax.tree.map(close, jax.tree.map(lambda leaf, lane=lane: leaf[lane], lanes), eager)


@for_every_adapter
def test_adapters_can_be_evaluated_abstractly(name):
    adapter, data = ADAPTERS[name]
    huge = [jax.ShapeDtypeStruct((5, 3, 2**15, 2**15), "bfloat16") for _ in (KERNEL, *data)]
    layer = jax.eval_shape(adapter, KEY, *huge)
    assert jax.tree.map(jnp.shape, layer).a == (5, 3, 2**15, RANK)


@for_every_adapter
def test_an_adapter_is_a_value(name):
    adapter, _ = ADAPTERS[name]
    namespace = vars(adapters).copy()
    exec(f"printed = {adapter!r}", namespace)
    for copy in (pickle.loads(pickle.dumps(adapter)), namespace["printed"]):
        assert copy == adapter
        assert hash(copy) == hash(adapter)
    assert adapter.scale == SCALE
    assert type(adapter)(RANK).scale == 1
    with pytest.raises(AttributeError):
        adapter.rank = 3


def test_alpha_is_the_rank_unless_given():
    assert pissa(8) == pissa(8, alpha=8) != pissa(8, alpha=4)
    assert repr(pissa(8, alpha=8.0)) == "pissa(8)"
    assert repr(pissa(8, alpha=4)) == "pissa(8, alpha=4.0)"
    assert (pissa(16, 8).scale, pissa(16, 8, "rank_stabilized").scale) == (0.5, 2.0)


def test_a_low_rank_layer_is_a_tree_of_three_arrays():
    layer = ADAPTERS["pissa"][0](KEY, KERNEL)
    assert len(jax.tree.leaves(layer)) == 3
    halved = jax.tree.map(lambda leaf: leaf / 2, layer)
    assert halved.scale == layer.scale == SCALE
    x = np.eye(IN)
    outputs = x @ exact(layer.weight) + SCALE * x @ exact(layer.a) @ exact(layer.b)
    close(outputs, KERNEL)


@pytest.mark.parametrize(
    ("build", "kind", "text"),
    [
        (lambda: pissa(0), ValueError, "rank: expected at least 1, got 0"),
        (lambda: pissa(8.0), TypeError, "rank: expected an integer, got 8.0"),
        (lambda: pissa(8, alpha=-1), ValueError, "alpha: expected a number > 0, got -1"),
        (lambda: pissa(8, scaling="rslora"), ValueError, "unknown scaling 'rslora'; expected one"),
        (lambda: pissa(8, scaling="stabilized"), ValueError, "did you mean 'rank_stabilized'"),
        (lambda: pissa(8, dtype="int8"), TypeError, "real floating-point values, got dtype int8"),
        (lambda: lora_orthogonal(5), ValueError, "even number, .* got 5; did you mean 6"),
        (lambda: pissa_randomized(8, 0), ValueError, "iterations: expected at least 1, got 0"),
        (lambda: lora_ga(8, direction="A2rB"), ValueError, "did you mean 'A2rBr'"),
        (lambda: lora_ga(8, magnitude="gd"), ValueError, "unknown magnitude 'gd'"),
        (lambda: lora_ga(8, gamma=0), ValueError, "gamma: expected a number > 0, got 0"),
        (lambda: corda(8, mode="knowledge"), ValueError, "did you mean 'knowledge_preserved'"),
    ],
)
def test_bad_options(build, kind, text):
    with pytest.raises(kind, match=text):
        build()


SMALL = partial(jnp.zeros, (3, 3, 8, 4))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: pissa(4)(KEY, (IN, OUT)), TypeError, "array with axes .* got tuple; .* a shape"),
        (lambda: pissa(4)(KEY, {"kernel": KERNEL}), TypeError, "got dict; .* tree of parameters"),
        (lambda: pissa(4)(KERNEL, KEY), ValueError, r"axes \(..., in, out\), got shape \(\)"),
        (lambda: pissa(4)(KEY, KERNEL[0]), ValueError, r"got shape \(16,\); a bias"),
        (lambda: pissa(17)(KEY, KERNEL), ValueError, r"rank 17 .* axes .* \(24, 16\).* lower rank"),
        (lambda: lora(5)(KEY, SMALL()), ValueError, r"\(3, 3, 8, 4\).* \(taps · in, out\)"),
        (lambda: pissa(4)(KEY, KERNEL.astype("int8")), TypeError, "got dtype int8 .* dequantize"),
        (lambda: pissa(4)(KEY, KERNEL.astype("complex64")), TypeError, "got dtype complex64"),
        (
            lambda: lora_ga(4)(KEY, KERNEL, KERNEL.T),
            ValueError,
            r"\(24, 16\), got shape \(16, 24\)",
        ),
        (
            lambda: lora_ga(9)(KEY, KERNEL, GRADIENT),
            ValueError,
            "rank 9 needs 18 .* has 16; use a lower rank",
        ),
        (lambda: lora_ga(4)(KEY, KERNEL, GRADIENT.astype(int)), TypeError, "gradient of real"),
        (
            lambda: eva(4)(KEY, KERNEL, INPUTS[0]),
            ValueError,
            r"\(samples, 24\) .* got shape \(24,\)",
        ),
        (lambda: eva(4)(KEY, KERNEL, INPUTS[:, :16]), ValueError, "look like its outputs"),
        (
            lambda: eva(4)(KEY, KERNEL, INPUTS[:4]),
            ValueError,
            "more samples than the rank 4, got 4",
        ),
        (lambda: eva(4)(KEY, stacked(KERNEL), INPUTS), ValueError, r"\(4, samples, 24\)"),
        (lambda: corda(4)(KEY, KERNEL, INPUTS.astype(int)), TypeError, "inputs of real"),
    ],
)
def test_bad_calls(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_a_gradient_flows_through_the_merged_kernel():
    layer = lora(RANK)(KEY, KERNEL)
    slope = jax.grad(lambda layer: layer.merged_kernel().sum())(layer)
    close(slope.b, exact(layer.a).sum(axis=0)[:, None] * np.ones(OUT))
    np.testing.assert_array_equal(slope.weight, 1)
