"""Axes and fans of unusual networks, counted by hand; `unread` is right, a wrong role is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from model.roles import SEQUENCE, check, floats, numbers

import jinit

X, W = floats(8, 16), {"w": floats(16, 5)}
DENSE = {"w": "kernel in,out 16 5"}


def spectral(params, x):
    w, u = params["w"], params["u"]
    v = w @ u
    v = v / jnp.linalg.norm(v)
    u = lax.stop_gradient(v @ w / jnp.linalg.norm(v @ w))
    return x @ (w / (v @ w @ u))


@jax.custom_vjp
def product(w, x):
    return x @ w


product.defvjp(lambda w, x: (x @ w, (w, x)), lambda kept, g: (kept[1].T @ g, g @ kept[0].T))


def experts(params, x):
    return jnp.einsum("bi,bio->bo", x, params["w"][jnp.argmax(x[:, :4], 1)])


def expert(params, x):
    return x @ lax.dynamic_index_in_dim(params["w"], jnp.argmax(x[:4]), keepdims=False)


def monarch(params, x):
    first = jnp.einsum("bji,jik->bkj", x.reshape(8, 4, 4), params["l"])
    return jnp.einsum("bkj,jkl->bjl", first, params["r"])


def fourier(params, x):
    spectrum = jnp.fft.rfft(x, axis=1)
    mixed = jnp.einsum("bki,kio->bko", spectrum, params["w"].astype(jnp.complex64))
    return jnp.fft.irfft(mixed, 16, axis=1)


def fourier_convolution(params, x):
    return jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(params["w"])[None], 16)


def hypernetwork(params, x):
    return x @ (params["z"] @ params["h"]).reshape(16, 5)


def factored(params, x):
    return jnp.einsum("bij,ik,jl->bkl", x.reshape(8, 4, 4), params["a"], params["b"])


KRONECKER = {"a": floats(4, 3), "b": floats(4, 5)}
ODD = {
    "slices along the inputs, added": (
        lambda p, x: x[:, :8] @ p["w"][:8] + x[:, 8:] @ p["w"][8:], W, X, DENSE,
    ),
    "slices along the inputs, multiplied": (
        lambda p, x: (x[:, :8] @ p["w"][:8]) * (x[:, 8:] @ p["w"][8:]), W, X,
        {"w": "kernel in,out 8 5"},
    ),
    "slices along the outputs": (
        lambda p, x: x @ p["w"][:, :8] + x @ p["w"][:, 8:16], {"w": floats(16, 24)}, X,
        {"w": "kernel in,out 16 8"},
    ),
    "reshaped across inputs and outputs": (
        lambda p, x: x @ p["w"].reshape(16, 5), {"w": floats(8, 10)}, X,
        {"w": "kernel in,in·out 16 5"},
    ),
    "a flat vector of parameters": (
        lambda p, x: x @ p["t"][:80].reshape(16, 5) + p["t"][80:][None], {"t": floats(85)}, X,
        {"t": "kernel in·out 16 5"},
    ),
    "a kernel and its transpose": (
        lambda p, x: jnp.tanh(x @ p["w"]) @ p["w"].T, W, X, DENSE,
    ),
    "a kernel that is a bias as well": (
        lambda p, x: x @ p["w"] + p["w"].sum(0)[None], W, X, DENSE,
    ),
    "a repeated index": (
        lambda p, x: jnp.einsum("bi,ii->bi", x, p["w"]), {"w": floats(16, 16)}, X,
        {"w": "scale in,batch"},
    ),
    "an index of the kernel summed out": (
        lambda p, x: jnp.einsum("bi,iok->bo", x, p["w"]), {"w": floats(16, 5, 3)}, X,
        {"w": "kernel in,out,in 48 5"},
    ),
    "an index of the signal summed out": (
        lambda p, x: jnp.einsum("bsi,io->bo", x, p["w"]), W, SEQUENCE, DENSE,
    ),
    "a constant mask": (
        lambda p, x: x @ (p["w"] * np.tril(np.ones((16, 5), np.float32))), W, X, DENSE,
    ),
    "a trained mask": (
        lambda p, x: x @ (p["w"] * jax.nn.sigmoid(p["m"])), W | {"m": floats(16, 5)}, X,
        {"w": "unread", "m": "unread"},
    ),
    "scales of the inputs": (
        lambda p, x: x @ (p["g"][:, None] * p["w"]), W | {"g": floats(16)}, X,
        DENSE | {"g": "scale in"},
    ),
    "one number for all entries": (
        lambda p, x: x @ (p["w"] * p["s"]), W | {"s": floats()}, X, DENSE | {"s": "scale"},
    ),
    "a temperature": (
        lambda p, x: jnp.exp(p["t"]) * (x @ p["w"]), W | {"t": floats()}, X,
        DENSE | {"t": "unread"},
    ),
    "weight normalization": (
        lambda p, x: x @ (p["g"][None] * p["w"] / jnp.linalg.norm(p["w"], axis=0)[None]),
        W | {"g": floats(5)}, X, DENSE | {"g": "scale out"},
    ),
    "spectral normalization": (spectral, W | {"u": floats(5)}, X, DENSE | {"u": "unread"}),
    "a complex kernel": (
        lambda p, x: (x.astype(jnp.complex64) @ p["w"]).real,
        {"w": jax.ShapeDtypeStruct((16, 5), jnp.complex64)}, X, DENSE,
    ),
    "real and imaginary parts": (
        lambda p, x: (x.astype(jnp.complex64) @ lax.complex(p["r"], p["i"])).real,
        {"r": floats(16, 5), "i": floats(16, 5)}, X,
        {"r": "kernel in,out 16 5", "i": "kernel in,out 16 5"},
    ),
    "integers": (
        lambda p, x: x[:, p["places"]] @ p["w"], W | {"places": numbers(16)}, X,
        DENSE | {"places": "state"},
    ),
    "a custom derivative": (lambda p, x: product(p["w"], x), W, X, DENSE),
    "a closure inside jit": (lambda p, x: jax.jit(lambda x: product(p["w"], x))(x), W, X, DENSE),
    "a checkpoint over the parameters": (
        lambda p, x: jax.checkpoint(lambda w: x @ w)(p["w"]), W, X, DENSE,
    ),
    "an ensemble": (
        lambda p, x: jax.vmap(lambda w, x: x @ w)(p["w"], x), {"w": floats(3, 16, 5)},
        floats(3, 8, 16), {"w": "kernel batch,in,out 16 5"},
    ),
    "no units": (
        lambda p, x: (x @ p["w"]) @ p["v"], {"w": floats(16, 0), "v": floats(0, 5)}, X,
        {"w": "kernel in,out 16 0", "v": "kernel in,out 0 5"},
    ),
    "products with the modes of a spectrum": (
        fourier, {"w": floats(9, 16, 5)}, floats(2, 16, 16), {"w": "kernel batch,in,out 16 5"},
    ),
    "a convolution by a spectrum": (fourier_convolution, {"w": floats(16)}, X, {"w": "unread"}),
    "Kronecker": (
        lambda p, x: x @ jnp.kron(p["a"], p["b"]), KRONECKER, X,
        {"a": "kernel in,out 4 3", "b": "kernel in,out 4 5"},
    ),
    "Kronecker, one factor at a time": (
        factored, KRONECKER, X, {"a": "kernel in,out 4 3", "b": "kernel in,out 4 5"},
    ),
    "Monarch": (
        monarch, {"l": floats(4, 4, 4), "r": floats(4, 4, 4)}, X,
        {"l": "kernel batch,in,out 4 4", "r": "kernel batch,in,out 4 4"},
    ),
    "a network that computes the kernel": (
        hypernetwork, {"h": floats(3, 80), "z": floats(3)}, X, {"h": "unread"},
    ),
    "a network that computes the kernel from the signal": (
        lambda p, x: jnp.einsum("bi,bio->bo", x, (x @ p["h"]).reshape(8, 16, 5)),
        {"h": floats(16, 80)}, X, {"h": "kernel in,out 16 80"},
    ),
    "a chain of parameters": (
        lambda p, x: x @ (p["a"] @ p["b"] @ p["c"]),
        {"a": floats(16, 8), "b": floats(8, 6), "c": floats(6, 5)}, X,
        {"a": "kernel in,out 16 8", "b": "kernel in,out 8 6", "c": "kernel in,out 6 5"},
    ),
    "an outer product": (
        lambda p, x: x @ jnp.outer(p["u"], p["v"]), {"u": floats(16), "v": floats(5)}, X,
        {"u": "kernel in 16 1", "v": "scale out"},
    ),
    "experts that a signal selects": (
        experts, {"w": floats(4, 16, 5)}, X, {"w": "kernel lookup,in,out 16 5"},
    ),
    "one expert that a signal selects": (
        expert, {"w": floats(4, 16, 5)}, floats(16), {"w": "kernel lookup,in,out 16 5"},
    ),
    "the embedding of one token": (
        lambda p, t: p["t"][t] @ p["w"], {"t": floats(100, 8), "w": floats(8, 5)}, numbers(),
        {"t": "embedding lookup,out 1 8", "w": "kernel in,out 8 5"},
    ),
    "a product of two embeddings": (
        lambda p, t: jnp.einsum("bi,bi->b", p["u"][t[:, 0]], p["v"][t[:, 1]]),
        {"u": floats(100, 8), "v": floats(50, 8)}, numbers(8, 2),
        {"u": "embedding lookup,out 1 8", "v": "embedding lookup,out 1 8"},
    ),
    "a product written as a sum": (
        lambda p, x: (x[:, :, None] * p["w"][None]).sum(1), W, X, DENSE,
    ),
    "one unit written as a sum": (
        lambda p, x: (x * p["w"][None]).sum(1), {"w": floats(16)}, X, {"w": "kernel in 16 1"},
    ),
    "a scale before a mean over positions": (
        lambda p, x: (x * p["g"][None, None]).sum(1), {"g": floats(16)}, SEQUENCE,
        {"g": "scale out"},
    ),
    "concatenated kernels": (
        lambda p, x: x @ jnp.concatenate([p["a"], p["b"]]),
        {"a": floats(10, 5), "b": floats(6, 5)}, X,
        {"a": "kernel in,out 16 5", "b": "kernel in,out 16 5"},
    ),
    "blocks on a diagonal": (
        lambda p, x: x @ jax.scipy.linalg.block_diag(p["a"], p["a"]), {"a": floats(8, 5)}, X,
        {"a": "kernel in,out 8 5"},
    ),
    "a tiled token": (
        lambda p, x: jnp.concatenate([jnp.tile(p["t"], (2, 1, 1)), x], 1), {"t": floats(1, 1, 16)},
        SEQUENCE, {"t": "token unit,unit,out"},
    ),
    "a padded kernel": (
        lambda p, x: x @ jnp.pad(p["w"], ((3, 3), (0, 0))), {"w": floats(10, 5)}, X,
        {"w": "kernel in,out 10 5"},
    ),
    "a tiled kernel": (
        lambda p, x: x @ jnp.tile(p["w"], (2, 1)), {"w": floats(8, 5)}, X, DENSE,
    ),
    "repeated rows": (
        lambda p, x: x @ jnp.repeat(p["w"], 2, axis=0), {"w": floats(8, 5)}, X, DENSE,
    ),
    "a Toeplitz matrix": (
        lambda p, x: x @ p["t"][np.subtract.outer(range(16), range(16)) + 15], {"t": floats(31)}, X,
        {"t": "unread"},
    ),
    "a product with itself": (lambda p, x: x @ (p["w"] @ p["w"].T), W, X, {"w": "unread"}),
    "an exponential": (
        lambda p, x: x @ jax.scipy.linalg.expm(p["w"]), {"w": floats(16, 16)}, X, {"w": "unread"},
    ),
    "largest entries": (lambda p, x: x * p["w"].max(1)[None], W, X, {"w": "unread"}),
    "rounded, with a straight-through gradient": (
        lambda p, x: x @ (p["w"] + lax.stop_gradient(jnp.round(p["w"]) - p["w"])), W, X, DENSE,
    ),
    "patches": (
        lambda p, x: lax.conv_general_dilated_patches(
            x, (3, 3), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) @ p["w"],
        {"w": floats(36, 6)}, floats(2, 8, 8, 4), {"w": "kernel in,out 36 6"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_networks(name):
    apply, params, example, expected = ODD[name]
    check(jinit.trace(apply, params, example), expected)


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("slices along the inputs, multiplied", "w"),
        ("an index of the kernel summed out", "w"),
        ("concatenated kernels", "a"),
        ("repeated rows", "w"),
        ("experts that a signal selects", "w"),
        ("blocks on a diagonal", "a"),
    ],
)
@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (jinit.he_normal(), lambda leaf: 2 / leaf.fan_in),
        (jinit.xavier_uniform(), lambda leaf: 2 / (leaf.fan_in + leaf.fan_out)),
        (jinit.activation_scaled("relu"), lambda leaf: 2 / leaf.fan_in),
    ],
)
def test_the_planned_variance_follows_from_the_fans(name, leaf, initializer, variance):
    apply, params, example, _ = ODD[name]
    model = jinit.trace(apply, params, example)
    plan = jinit.plan(model, {"**": initializer})
    (row,) = (row for row in plan.rows if row.path == leaf)
    assert row.std**2 == pytest.approx(variance(model.leaf(leaf)))


def test_strides_count_in_the_fans_of_every_initializer():
    def upsampled(w, x):
        return lax.conv_transpose(x, w, (2, 2), "SAME")

    model = jinit.trace(upsampled, floats(4, 4, 8, 6), floats(2, 9, 9, 8))
    (row,) = jinit.plan(model, {"**": jinit.activation_scaled("relu")}).rows
    assert (row.fan_in, row.std**2) == (32, pytest.approx(2 / 32))
