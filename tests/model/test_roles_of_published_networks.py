"""Roles and fans in StyleGAN2, DETR, Q-Former and NFNet, counted by hand."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from jax import lax
from model.roles import check, floats

import jinit


def convolve(x, w, **options):
    return lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def modulate(params, z):
    weights = params["w"][None] * (z @ params["a"])[:, None, None, :, None]
    return weights * lax.rsqrt((weights**2).sum((1, 2, 3), keepdims=True) + 1e-8)


def modulated(params, x, z):
    return jax.vmap(lambda each, w: convolve(each[None], w)[0])(x, modulate(params, z))


def modulated_one_by_one(params, x, z):
    def apply(x, z):
        weights = params["w"] * (z @ params["a"])[None, None, :, None]
        return convolve(x[None], weights * lax.rsqrt((weights**2).sum((0, 1, 2), keepdims=True)))[0]

    return jax.vmap(apply)(x, z)


def modulated_in_groups(params, x, z):
    weights = modulate(params, z).transpose(1, 2, 3, 0, 4).reshape(3, 3, 4, 12)
    grouped = convolve(x.transpose(1, 2, 0, 3).reshape(1, 5, 5, 8), weights, feature_group_count=2)
    return grouped.reshape(5, 5, 2, 6).transpose(2, 0, 1, 3)


def painted(params, x, z):
    del x
    return jax.vmap(lambda w: convolve(params["image"], w)[0])(modulate(params, z))


def modulated_inputs(params, x, z):
    return jnp.einsum("bi,bio->bo", x, params["w"][None] * (1 + z @ params["a"])[:, :, None])


def modulated_outputs(params, x, z):
    return jnp.einsum("bi,bio->bo", x, params["w"][None] * (1 + z @ params["a"])[:, None, :])


IMAGES, STYLES = floats(2, 5, 5, 4), floats(2, 8)
KERNEL = {"w": floats(3, 3, 4, 6), "a": floats(8, 4)}
CONVOLUTION = {"w": "kernel spatial,spatial,in,out 36 54", "a": "kernel in,out 8 4"}
DENSE = {"w": "kernel in,out 8 6"}
MODULATED = {
    "under vmap": (modulated, KERNEL, IMAGES, CONVOLUTION),
    "one by one": (modulated_one_by_one, KERNEL, IMAGES, CONVOLUTION),
    "in groups": (modulated_in_groups, KERNEL, IMAGES, CONVOLUTION),
    "of a constant image": (
        painted, KERNEL | {"image": floats(1, 5, 5, 4)}, IMAGES,
        CONVOLUTION | {"image": "token unit,out,out,out"},
    ),
    "of inputs": (modulated_inputs, {"w": floats(8, 6), "a": floats(8, 8)}, floats(2, 8), DENSE),
    "of outputs": (modulated_outputs, {"w": floats(8, 6), "a": floats(8, 6)}, floats(2, 8), DENSE),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULATED)
def test_a_kernel_that_a_signal_modulates_is_a_kernel(name):
    apply, params, x, expected = MODULATED[name]
    check(jinit.trace(apply, params, x, STYLES), expected)


def test_a_scale_before_a_product_of_signals_stays_a_scale():
    def apply(params, x):
        queries, keys = x @ params["q"], x @ params["k"]
        queries *= lax.rsqrt((queries**2).mean(-1, keepdims=True)) * params["g"][None, None]
        return jax.nn.softmax(queries @ keys.swapaxes(-1, -2)) @ x

    params = {"q": floats(8, 8), "k": floats(8, 8), "g": floats(8)}
    check(jinit.trace(apply, params, floats(2, 5, 8)), {"g": "scale out"})


def normalize_first(params, x):
    return x @ (params["w"] * (params["g"] / jnp.linalg.norm(params["w"], axis=0))[None])


def normalize_rows(params, x):
    return x @ (params["w"].T * (params["g"][:, None] / norm(params["w"].T, 1))).T


def norm(weights, axis):
    return jnp.sqrt((weights**2).sum(axis, keepdims=True))


def standardize(params, x):
    mean, variance = params["w"].mean(0), params["w"].var(0)
    scale = lax.rsqrt(jnp.maximum(variance * 16, 1e-4)) * params["g"]
    return x @ (params["w"] * scale[None] - (mean * scale)[None])


def standardize_difference(params, x):
    mean, variance = params["w"].mean(0), params["w"].var(0)
    return x @ ((params["w"] - mean[None]) * (lax.rsqrt(variance * 16 + 1e-4) * params["g"])[None])


@pytest.mark.parametrize(
    "apply", [normalize_first, normalize_rows, standardize, standardize_difference]
)
def test_a_scale_that_multiplies_a_norm_scales_the_kernel(apply):
    model = jinit.trace(apply, {"w": floats(16, 5), "g": floats(5)}, floats(8, 16))
    check(model, {"w": "kernel in,out 16 5", "g": "scale out"})
    assert model.leaf("w").scale_path == "g"
    assert model.leaf("w").normalized_rms == pytest.approx(1 / 4)


class Decoder(nn.Module):
    """Two layers of a decoder with learned queries, which attend to one another first."""

    is_detr: bool

    @nn.compact
    def __call__(self, x):
        queries = self.param("queries", nn.initializers.normal(1.0), (6, 8))
        y = jnp.broadcast_to(queries, (x.shape[0], 6, 8))
        position = jnp.zeros_like(y)
        if self.is_detr:
            y, position = position, y
        for layer in range(2):
            y += nn.MultiHeadDotProductAttention(2, name=f"own_{layer}")(
                y + position, y + position, y
            )
            y = nn.LayerNorm()(y)
            y += nn.MultiHeadDotProductAttention(2, name=f"cross_{layer}")(y + position, x, x)
            y = nn.LayerNorm()(y)
        return nn.Dense(3)(y)


@pytest.mark.parametrize("is_detr", [True, False])
def test_queries_that_attend_to_one_another_first_are_tokens(is_detr):
    model = jinit.linen.trace(Decoder(is_detr), floats(2, 5, 8))
    kernels = {
        f"own_0/{name}/kernel": "kernel in,out,out 8 8" for name in ("query", "key", "value")
    }
    biases = {f"own_0/{name}/bias": "bias out,out 8" for name in ("query", "key", "value")}
    check(model, {"queries": "token out,out"} | kernels | biases)
    assert not [leaf.path for leaf in model.leaves if leaf.role == "unread"]
    # The 1/√2 of the scores is no part of the kernel, as in attention on a signal.
    assert {leaf.weight_factor for leaf in model.leaves} == {1}


def spectral_layer(kernel):
    def apply(params, x):
        modes = jnp.fft.rfft(x, axis=1)[:, :3]
        mixed = jnp.einsum("bmi,iom->bmo", modes, kernel(params))
        return jnp.fft.irfft(jnp.pad(mixed, ((0, 0), (0, 3), (0, 0))), 10, axis=1)

    return apply


PARTS = {"re": floats(8, 6, 3), "im": floats(8, 6, 3)}
COMPLEX = {
    "a sum of parts": (lambda p: p["re"] + 1j * p["im"], PARTS),
    "parts": (lambda p: lax.complex(p["re"], p["im"]), PARTS),
    "slices": (lambda p: p["re"][..., 0] + 1j * p["re"][..., 1], {"re": floats(8, 6, 3, 2)}),
    "slices along the first axis": (lambda p: lax.complex(*p["re"]), {"re": floats(2, 8, 6, 3)}),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_each_part_of_a_complex_kernel_has_half_of_its_variance(name):
    kernel, params = COMPLEX[name]
    model = jinit.trace(spectral_layer(kernel), params, floats(2, 10, 8))
    for leaf in model.leaves:
        assert (leaf.role, leaf.fan_in, leaf.fan_out) == ("kernel", 8, 6)
        assert leaf.weight_factor == pytest.approx(2**0.5)


def test_a_constant_that_is_complex_counts_as_its_modulus():
    apply = spectral_layer(lambda p: (3 + 4j) * p["w"])
    assert jinit.trace(apply, {"w": floats(8, 6, 3)}, floats(2, 10, 8)).leaf("w").weight_factor == 5


ALONE = {
    "a layer": (lambda p, x: jax.vmap(lambda w: x @ w)(p), "kernel batch,in,out 16 5"),
    "their mean": (
        lambda p, x: jnp.tanh(jax.vmap(lambda w: x @ w)(p)).mean(0), "kernel batch,in,out 16 5",
    ),
    "heads that a kernel sums over": (
        lambda p, x: jnp.einsum("bho,hoi->bi", jnp.einsum("bi,hio->bho", x, p), p.mT),
        "kernel out,in,out 16 15",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_members_of_one_layer_are_separate_unless_a_kernel_sums_over_them(name):
    apply, expected = ALONE[name]
    check(
        jinit.trace(lambda p, x: apply(p["w"], x), {"w": floats(3, 16, 5)}, floats(8, 16)),
        {"w": expected},
    )


def selective_scan(params, x):
    """Return a step of Mamba, whose products of signals sum over nothing."""
    signal = jax.nn.silu(x @ params["u"])
    inputs, step = signal @ params["B"], jax.nn.softplus(signal @ params["dt"])
    state = jnp.einsum("ble,bln,ble->blen", step, inputs, signal)
    return jnp.einsum("blen,bln->ble", state, signal @ params["C"]) @ params["o"]


def mixed_kernels(params, x):
    """Return the product with a kernel that a gate mixes of several ones."""
    weights = jnp.einsum("be,eio->bio", jax.nn.sigmoid(x @ params["r"]), params["w"])
    hidden = jax.nn.relu(jnp.einsum("bi,bio->bo", x, weights))
    again = params["v"][None] * (x @ params["s"])[:, :, None]
    return jnp.einsum("bi,bio->bo", hidden, again)


SCAN = {"u": floats(8, 8), "B": floats(8, 3), "C": floats(8, 3), "dt": floats(8, 8)}
UNLIKE_ATTENTION = {
    "selective scan": (selective_scan, SCAN | {"o": floats(8, 5)}, floats(2, 6, 8)),
    "kernels that a gate mixes": (
        mixed_kernels,
        {"r": floats(8, 4), "w": floats(4, 8, 6), "v": floats(6, 5), "s": floats(8, 6)},
        floats(3, 8),
    ),
}


@pytest.mark.parametrize("name", UNLIKE_ATTENTION)
def test_products_of_signals_that_do_not_weigh_positions_are_no_attention(name):
    apply, params, x = UNLIKE_ATTENTION[name]
    model = jinit.trace(apply, params, x)
    assert [leaf.path for leaf in model.leaves if leaf.attention] == []


def test_a_branch_in_a_loop_is_a_chain_of_one_activation():
    """Each iteration normalizes its input, so that no chain leads from one to the next."""

    def step(x, kernels):
        normalized = x * lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6)
        return x + jax.nn.gelu(normalized @ kernels[0]) @ kernels[1], None

    def repeated(x, kernel):
        return jnp.tanh(x @ kernel), None

    def scan(step):
        return lambda params, x: lax.scan(step, x, params)[0]

    branches = jinit.trace(scan(step), (floats(4, 8, 16), floats(4, 16, 8)), floats(2, 8))
    chain = jinit.trace(scan(repeated), floats(4, 8, 8), floats(2, 8))
    assert [leaf.chain_length for leaf in branches.leaves] == [1, 1]
    assert [leaf.chain_length for leaf in chain.leaves] == [4]


def test_relative_positions_that_are_added_to_logits_keep_their_own_scale():
    distances = jnp.arange(5)[None] - jnp.arange(5)[:, None] + 4

    def apply(params, x):
        queries, keys = x @ params["q"], x @ params["k"]
        biases = params["table"][distances]
        return jax.nn.softmax(queries @ keys.swapaxes(-1, -2) + biases[None]) @ x

    def draw(key):
        return {name: jax.random.normal(key, (8, 8)) for name in "qk"} | {"table": jnp.ones(9)}

    params = {"q": floats(8, 8), "k": floats(8, 8), "table": floats(9)}
    model = jinit.trace(apply, params, floats(2, 5, 8), init=draw)
    rows = {row.path: row.initializer for row in jinit.recommend(model).rows}
    assert rows["table"] is None
    assert rows["q"] == jinit.lecun_normal()
