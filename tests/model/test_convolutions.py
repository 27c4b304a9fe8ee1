"""Convolutions in the canonical layout have the same values, and are fast inside loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolutions import CANONICAL_IMAGE, convolutions
from jax import lax

from jinit.model import Graph
from jinit.model.convolutions import canonical_convolutions, fast_convolutions, is_faster_alone

LAYOUTS = {
    "image": (("NHWC", "HWIO", "NHWC"), (2, 6, 5, 4), (3, 2, 4, 6)),
    "channels first": (("NCHW", "OIHW", "NCHW"), (2, 4, 6, 5), (6, 4, 3, 2)),
    "odd": (("CNHW", "IOHW", "HNCW"), (4, 2, 6, 5), (4, 6, 3, 2)),
    "sequence": (("NWC", "WIO", "NWC"), (2, 6, 4), (3, 4, 6)),
}
FEW_OPTIMIZATIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
"""Most of the time of these tests is that of the compiler."""
OPTIONS = [
    {},
    {"window_strides": (2, 1)},
    {"padding": "VALID", "rhs_dilation": (2, 2)},
    {"padding": ((1, 0), (0, 2)), "lhs_dilation": (2, 1)},
]


def convolution(layout, **options):
    def convolve(signal, kernel):
        given = {"window_strides": (1,) * (signal.ndim - 2), "padding": "SAME"} | options
        return lax.conv_general_dilated(signal, kernel, dimension_numbers=layout, **given)

    return convolve


def check(function, *args):
    expected, found = (
        jax.jit(each, compiler_options=FEW_OPTIMIZATIONS)(*args)
        for each in (function, canonical_convolutions(function))
    )
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def draw(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("channels first", "odd") else pytest.param(name, marks=pytest.mark.slow)
        for name in LAYOUTS
    ],
)
def test_layouts_and_their_gradients(name):
    layout, *shapes = LAYOUTS[name]
    convolve = convolution(layout)

    def loss(signal, kernel):
        return jnp.sum(jnp.sin(convolve(signal, kernel)))

    check(lambda *args: (convolve(*args), jax.grad(loss, (0, 1))(*args)), *draw(*shapes))


@pytest.mark.few(3)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_strides_dilations_and_groups(options, groups):
    layout, signal, kernel = LAYOUTS["image"]
    convolve = convolution(layout, feature_group_count=groups, **options)

    def loss(signal, kernel):
        return jnp.sum(jnp.sin(convolve(signal, kernel)))

    shapes = signal, (*kernel[:2], kernel[2] // groups, kernel[3])
    check(lambda *args: (convolve(*args), jax.grad(loss, (0, 1))(*args)), *draw(*shapes))


def test_all_convolutions_of_a_gradient_are_canonical():
    layout, *shapes = LAYOUTS["channels first"]

    def gradient(signal, kernel):
        return jax.grad(lambda k: jnp.sum(convolution(layout)(signal, k) ** 2))(kernel)

    found = convolutions(canonical_convolutions(gradient), *draw(*shapes))
    assert {params["dimension_numbers"] for params, _ in found} == {CANONICAL_IMAGE}


def test_convolutions_in_loops_and_branches_are_canonical():
    layout, *shapes = LAYOUTS["channels first"]
    convolve = convolution(layout)

    def gradient(signal, kernel):
        return jax.grad(lambda k: jnp.sum(convolve(signal, k) ** 2))(kernel)

    def function(signal, kernel):
        def step(k, _):
            large = jnp.sum(k) > 0
            return jax.lax.cond(large, lambda: 0.1 * gradient(signal, k), lambda: 0.9 * k), large

        scanned = lax.scan(step, kernel, None, length=2)
        looped = lax.fori_loop(0, jnp.int32(signal.ndim), lambda _, k: step(k, None)[0], kernel)
        return scanned, lax.while_loop(lambda k: jnp.sum(k) > 1e9, lambda k: k / 2, looped)

    check(function, *draw(*shapes))
    found = convolutions(canonical_convolutions(function), *draw(*shapes))
    assert {params["dimension_numbers"] for params, _ in found} == {CANONICAL_IMAGE}


@pytest.mark.parametrize(
    "options",
    [
        {"padding": ((6, 4), (5, 7))},
        {"padding": ((9, 4), (5, 8)), "rhs_dilation": (1, 2)},
        {"padding": ((4, 4), (-1, 7)), "lhs_dilation": (3, 2)},
    ],
    ids=str,
)
def test_a_small_signal_and_a_large_kernel_change_places(options):
    convolve = convolution(LAYOUTS["image"][0], **options)
    args = draw((2, 3, 2, 4), (7, 6, 4, 5))
    check(convolve, *args)
    ((_, shapes),) = convolutions(canonical_convolutions(convolve), *args)
    assert shapes == [(5, 7, 6, 4), (3, 2, 4, 2)]


def test_copies_of_a_network_with_convolutions_are_faster_alone_on_cpu(monkeypatch):
    layout, *shapes = LAYOUTS["image"]
    convolve = convolution(layout)
    graph = Graph.from_function(
        lambda *args: lax.map(lambda _: convolve(*args), jnp.arange(2)), *draw(*shapes)
    )
    assert is_faster_alone(graph)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not is_faster_alone(graph)


def test_convolutions_are_rewritten_only_in_programs_for_the_cpu():
    """Whatever the process runs on: these are lowered on a CPU, for each platform."""
    layout, *shapes = LAYOUTS["odd"]
    traced = jax.jit(jax.vmap(fast_convolutions(convolution(layout)))).trace(
        *(jnp.stack([each, each]) for each in draw(*shapes))
    )
    transposes = {
        platform: traced.lower(lowering_platforms=(platform,))
        .as_text()
        .count("stablehlo.transpose")
        for platform in ("cpu", "cuda", "rocm", "tpu")
    }
    others = {transposes[platform] for platform in ("cuda", "rocm", "tpu")}
    assert others == {transposes["tpu"]}
    assert transposes["cpu"] > transposes["tpu"]


def test_functions_without_convolutions_stay_as_they_are():
    def function(x, *, y):
        return {"sum": jax.nn.relu(x) + y}

    plain, ours = (
        str(jax.make_jaxpr(each)(jnp.ones(3), y=jnp.ones(3)))
        for each in (function, canonical_convolutions(function))
    )
    assert plain == ours
