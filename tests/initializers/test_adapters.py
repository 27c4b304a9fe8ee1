"""Low-rank adapters against their papers' formulas, re-written naively in the torch layout."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jinit.initializers import adapters
from jinit.initializers.adapters import (
    LowRank,
    corda,
    eva,
    lora,
    lora_embedding,
    lora_ga,
    lora_gaussian,
    lora_orthogonal,
    mica,
    olora,
    pissa,
    pissa_randomized,
)

KEY = jax.random.key(7)
IN, OUT, RANK = 24, 16, 4
SCALED = {"alpha": 6.0, "scaling": "rank_stabilized"}  # scale 6 / √4 = 3
SCALE = 3.0
LEVEL = 1e-8  # false-alarm probability of each distribution test


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


KERNEL, GRADIENT, INPUTS = drawn(0, IN, OUT), drawn(1, IN, OUT), 2 + drawn(2, 200, IN)
ADAPTERS = {
    "lora": (lora(RANK, **SCALED), ()),
    "lora_gaussian": (lora_gaussian(RANK, **SCALED), ()),
    "lora_embedding": (lora_embedding(RANK, **SCALED), ()),
    "lora_orthogonal": (lora_orthogonal(RANK, **SCALED), ()),
    "pissa": (pissa(RANK, **SCALED), ()),
    "pissa_randomized": (pissa_randomized(RANK, 3, **SCALED), ()),
    "olora": (olora(RANK, **SCALED), ()),
    "mica": (mica(RANK, **SCALED), ()),
    "lora_ga": (lora_ga(RANK, direction="random", **SCALED), (GRADIENT,)),
    "eva": (eva(RANK, **SCALED), (INPUTS,)),
    "corda": (corda(RANK, **SCALED), (INPUTS,)),
}
for_every_adapter = pytest.mark.parametrize("name", ADAPTERS)
SPLITTING = {"pissa", "pissa_randomized", "olora", "lora_ga", "corda"}


def exact(array):
    return np.asarray(array, np.float64)


def close(left, right, tolerance=2e-5):
    np.testing.assert_allclose(exact(left), exact(right), atol=tolerance, rtol=tolerance)


def stacked(array):
    """Copies of an array along a leading axis, each with values of its own."""
    return jnp.stack([np.roll(array, shift, axis=-1) / (1 + shift) for shift in range(4)])


def peaks(rows):
    """The entry of largest modulus in every row."""
    return np.take_along_axis(exact(rows), abs(exact(rows)).argmax(axis=1)[:, None], axis=1)


def best(matrix, rank):
    """The best approximation of that rank, by NumPy's decomposition."""
    u, s, v = np.linalg.svd(exact(matrix), full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


# The layer stays what it was.


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in ADAPTERS]
    + [(name, "bfloat16") for name in ("lora", "lora_orthogonal", "pissa", "lora_ga")],
)
def test_the_layer_starts_as_it_was(name, dtype):
    adapter, data = ADAPTERS[name]
    kernel = KERNEL.astype(dtype)
    start = adapter(KEY, kernel, *data)
    assert {leaf.dtype for leaf in (*jax.tree.leaves(start), start.merged())} == {kernel.dtype}
    # One rounding of the weight that is left and one of the sum; factors whose product is zero by
    # their values are rounded as well.
    product = SCALE * abs(exact(start.a) @ exact(start.b))
    slack = SCALE * exact(abs(start.a)) @ exact(abs(start.b)) if name == "lora_orthogonal" else 0
    bound = float(jnp.finfo(dtype).eps) * (2 * abs(exact(kernel)) + 2 * product + slack)
    assert (abs(exact(start.merged()) - exact(kernel)) <= bound).all()
    assert (start.weight is kernel) == (name not in SPLITTING)


def test_factors_can_be_more_precise_than_the_kernel():
    kernel = KERNEL.astype("bfloat16")
    start = pissa(RANK, dtype="float32")(KEY, kernel)
    assert (start.a.dtype, start.b.dtype, start.weight.dtype) == ("float32", "float32", "bfloat16")
    close(start.a @ start.b, best(kernel, RANK))
    close(start.merged(), kernel, 2**-7)


@for_every_adapter
def test_leading_axes_are_copies_under_jit(name):
    adapter, data = ADAPTERS[name]
    kernels, *stacks = (stacked(array) for array in (KERNEL, *data))
    start = jax.jit(adapter)(KEY, kernels, *stacks)
    assert start.a.shape == (4, IN, RANK)
    assert start.b.shape == (4, RANK, OUT)
    close(start.merged(), kernels)
    for factor in (start.a, start.b):
        copies = exact(factor).reshape(4, -1)
        apart = abs(copies[:, None] - copies[None]).max(axis=-1)
        assert (copies == 0).all() or (apart[~np.eye(4, dtype=bool)] > 1e-3).all()
    if name in ("pissa", "olora", "mica", "eva", "corda"):  # those without chance
        alone = adapter(KEY, kernels[2], *[array[2] for array in stacks])
        jax.tree.map(close, jax.tree.map(lambda leaf: leaf[2], start), alone)


@pytest.mark.parametrize("name", ["pissa_randomized", "lora_ga"])
def test_a_vmapped_start_is_the_starts_one_by_one(name):
    adapter, data = ADAPTERS[name]
    keys, kernels = jax.random.split(KEY, 2), jnp.stack([KERNEL, KERNEL[::-1]])
    axes = (0, 0, *[None for _ in data])
    lanes = jax.jit(jax.vmap(adapter, axes))(keys, kernels, *data)
    for lane in range(2):
        eager = adapter(keys[lane], kernels[lane], *data)
        jax.tree.map(close, jax.tree.map(lambda leaf, lane=lane: leaf[lane], lanes), eager)


@for_every_adapter
def test_it_is_abstractly_evaluable(name):
    adapter, data = ADAPTERS[name]
    huge = [jax.ShapeDtypeStruct((5, 3, 2**15, 2**15), "bfloat16") for _ in (KERNEL, *data)]
    start = jax.eval_shape(adapter, KEY, *huge)
    assert jax.tree.map(jnp.shape, start).a == (5, 3, 2**15, RANK)


# Laws and formulas.


def test_random_factors_follow_their_laws():
    kernel = jnp.zeros((400, 300))
    uniform, normal, table = (
        build(50)(KEY, kernel) for build in (lora, lora_gaussian, lora_embedding)
    )
    bound = scipy.stats.uniform(-1 / 20, 2 / 20)
    assert scipy.stats.kstest(np.ravel(uniform.a), bound.cdf).pvalue > LEVEL
    assert abs(uniform.a).max() <= 1 / 20
    assert scipy.stats.kstest(np.ravel(normal.a), scipy.stats.norm(0, 1 / 50).cdf).pvalue > LEVEL
    assert scipy.stats.kstest(np.ravel(table.b), scipy.stats.norm(0, 1).cdf).pvalue > LEVEL
    for zero in (uniform.b, normal.b, table.a):
        np.testing.assert_array_equal(zero, 0)


def test_orthogonal_factors_share_the_rank():
    start = lora_orthogonal(20)(KEY, jnp.zeros((400, 300)))
    close(exact(start.a) @ exact(start.b), 0, 1e-7)
    for factor, side in ((start.a, 400), (start.b, 300)):
        assert np.linalg.matrix_rank(exact(factor), tol=1e-4) == 10
        # Coordinates in the half of the rank are independent normals of standard deviation 1/10.
        total = 100 * (exact(factor) ** 2).sum()
        tails = scipy.stats.chi2(10 * side)
        assert min(tails.cdf(total), tails.sf(total)) > LEVEL / 2


def test_pissa_is_the_published_formula():
    start = pissa(RANK, **SCALED)(KEY, KERNEL)
    V, S, Uh = np.linalg.svd(exact(KERNEL).T, full_matrices=False)  # (out, in), as in torch
    S = S[:RANK] / SCALE
    lora_A, lora_B = np.diag(np.sqrt(S)) @ Uh[:RANK], V[:, :RANK] @ np.diag(np.sqrt(S))
    sign = np.sign(lora_B[abs(lora_B).argmax(axis=0), range(RANK)])
    close(start.a, (sign[:, None] * lora_A).T)
    close(start.b, (lora_B * sign).T)
    close(start.weight, (exact(KERNEL).T - SCALE * lora_B @ lora_A).T)
    values = np.linalg.svd(exact(KERNEL), compute_uv=False)
    left = np.linalg.svd(exact(start.weight), compute_uv=False)
    close(left[: OUT - RANK], values[RANK:])  # Eckart-Young: no rank-4 part leaves less


def test_randomized_pissa_converges_to_pissa():
    u, _, v = np.linalg.svd(exact(KERNEL), full_matrices=False)
    kernel = jnp.asarray(u * 0.6 ** np.arange(OUT) @ v, jnp.float32)
    aim, rough, fine = (
        adapter(KEY, kernel)
        for adapter in (
            ADAPTERS["pissa"][0],
            ADAPTERS["pissa_randomized"][0],
            pissa_randomized(RANK, 20, **SCALED),
        )
    )
    error = np.linalg.norm(exact(rough.weight) - exact(aim.weight))
    assert 1e-4 < error < 0.6**RANK  # three iterations find most of it, but not all
    close(fine.a, aim.a)
    close(fine.b, aim.b)


@pytest.mark.parametrize("shape", [(IN, OUT), (OUT, IN)])
def test_olora_is_the_published_formula(shape):
    kernel = KERNEL.reshape(shape)
    start = olora(RANK, **SCALED)(KEY, kernel)
    Q, R = np.linalg.qr(exact(kernel).T)
    sign = np.sign(np.diag(R))[:RANK]
    close(start.b, (Q[:, :RANK] * sign).T)
    close(start.a, (sign[:, None] * R[:RANK]).T)
    close(start.weight, (exact(kernel).T - SCALE * Q[:, :RANK] @ R[:RANK]).T)
    left = olora(RANK)(KEY, kernel).weight
    close(exact(left) @ exact(start.b).T, 0)


def test_mica_is_the_published_formula():
    start = mica(RANK, **SCALED)(KEY, KERNEL)
    U, S, _ = np.linalg.svd(exact(KERNEL).T, full_matrices=False)
    minor = U[:, -RANK:]
    close(minor @ minor.T, exact(start.b).T @ exact(start.b))
    close(abs(minor.T), abs(start.b))
    assert (peaks(start.b) > 0).all()
    close(np.linalg.norm(exact(KERNEL) @ exact(start.b).T, axis=0), S[-RANK:])
    np.testing.assert_array_equal(start.a, 0)


DIRECTIONS = {  # of a (out, in) gradient, as the authors' code indexes it
    "ArB2r": (range(RANK), range(RANK, 2 * RANK)),
    "A2rBr": (range(RANK, 2 * RANK), range(RANK)),
    "ArBr": (range(1, 2 * RANK, 2), range(0, 2 * RANK, 2)),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lora_ga_is_the_authors_formula(direction):
    adapter = lora_ga(RANK, direction=direction, gamma=9.0)
    start, other = (adapter(jax.random.key(seed), KERNEL, GRADIENT) for seed in (0, 1))
    np.testing.assert_array_equal(start.a, other.a)
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    of_a, of_b = map(list, DIRECTIONS[direction])
    lora_A, lora_B = Vh[of_a] * OUT**0.25 / 3, U[:, of_b] * OUT**0.25 / 3
    close(abs(start.a), abs(lora_A.T))
    close(abs(start.b), abs(lora_B.T))
    sign = np.sign(U[abs(U).argmax(axis=0), range(OUT)])
    close(start.a, (lora_A * sign[of_a, None]).T)
    close(start.b, (lora_B * sign[of_b]).T)


MEAN_ROOT = np.sqrt(np.linalg.svd(KERNEL, compute_uv=False)[:RANK] / SCALE).mean()


@pytest.mark.parametrize(
    ("direction", "magnitude", "squared"),
    [
        ("ArB2r", "stable", np.sqrt(OUT) / 16),
        ("random", "gradient_descent", SCALE**-2),
        ("A2rBr", "unit", 1.0),
        ("ArBr", "weight", MEAN_ROOT**2),
    ],
)
def test_lora_ga_takes_the_first_step_of_full_training(direction, magnitude, squared):
    """To first order in the rate, a step on the factors is the gradient's best rank-2r part."""
    x, y = drawn(3, 50, IN), drawn(4, 50, OUT)

    def loss(kernel):
        return ((x @ kernel - y) ** 2).mean()

    gradient = jax.grad(loss)(KERNEL)
    adapter = lora_ga(RANK, direction=direction, magnitude=magnitude, **SCALED)
    start = adapter(KEY, KERNEL, gradient)

    def merged(a, b):
        return LowRank(a, b, start.weight, start.scale).merged()

    slopes = jax.grad(lambda *factors: loss(merged(*factors)), (0, 1))(start.a, start.b)
    moved = jax.jvp(merged, (start.a, start.b), slopes)[1]
    close(moved, squared * SCALE**2 * best(gradient, 2 * RANK))


def test_the_random_direction_deals_the_singular_vectors_out():
    adapter = ADAPTERS["lora_ga"][0]
    starts = [adapter(key, KERNEL, GRADIENT) for key in jax.random.split(KEY, 2)]
    U, _, Vh = np.linalg.svd(exact(GRADIENT).T, full_matrices=False)
    hands = []
    for start in starts:
        of_a, of_b = abs(Vh @ exact(start.a)), abs(U.T @ exact(start.b).T)
        hands.append(of_a.argmax(axis=0).tolist() + of_b.argmax(axis=0).tolist())
        assert sorted(hands[-1]) == list(range(2 * RANK))
    assert hands[0] != hands[1]


def test_eva_explains_most_variance():
    start = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS)
    variances = np.linalg.eigvalsh(np.cov(exact(INPUTS).T))[::-1]
    close(exact(start.a).T @ exact(start.a), np.eye(RANK))
    close(np.cov((exact(INPUTS) @ exact(start.a)).T), np.diag(variances[:RANK]))
    assert (peaks(start.a.T) > 0).all()
    np.testing.assert_array_equal(start.b, 0)
    sequences = eva(RANK, **SCALED)(KEY, KERNEL, INPUTS.reshape(20, 10, IN))
    np.testing.assert_array_equal(sequences.a, start.a)


@pytest.mark.parametrize("mode", ["instruction_previewed", "knowledge_preserved"])
def test_corda_is_the_published_formula(mode):
    start = corda(RANK, mode=mode, **SCALED)(KEY, KERNEL, INPUTS)
    X = exact(INPUTS) / abs(exact(INPUTS)).max()
    C = X.T @ X
    C += 0.01 * np.diag(C).mean() * np.eye(IN)
    U, S, Vh = np.linalg.svd(exact(KERNEL).T @ C, full_matrices=False)
    kept = slice(RANK) if mode == "instruction_previewed" else slice(-RANK, None)
    V = (Vh @ np.linalg.inv(C)).T[:, kept]
    lora_A, lora_B = V.T * np.sqrt(S[kept] / SCALE)[:, None], U[:, kept] * np.sqrt(S[kept] / SCALE)
    close(start.weight, (exact(KERNEL).T - SCALE * lora_B @ lora_A).T, 1e-3)
    # The authors sum over samples that are divided by the largest entry; jinit takes the mean.
    shift = np.sqrt(200) / abs(exact(INPUTS)).max()
    close(abs(start.b), abs(lora_B.T) / shift, 1e-3)
    close(abs(start.a), abs(lora_A.T) * shift, 1e-3)


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        kernel = jnp.asarray(exact(KERNEL))
        start = pissa(RANK)(KEY, kernel)
        assert start.a.dtype == np.float64
        close(start.a @ start.b, best(kernel, RANK), 1e-12)
        close(start.merged(), kernel, 1e-14)
        mixed = pissa(RANK, dtype="float32")(KEY, kernel)
        assert (mixed.a.dtype, mixed.weight.dtype) == (np.float32, np.float64)
        close(mixed.merged(), kernel, 1e-14)


# Values.


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


def test_a_start_is_a_tree_of_three_arrays():
    start = ADAPTERS["pissa"][0](KEY, KERNEL)
    assert len(jax.tree.leaves(start)) == 3
    halved = jax.tree.map(lambda leaf: leaf / 2, start)
    assert halved.scale == start.scale == SCALE
    x = np.eye(IN)
    outputs = x @ exact(start.weight) + SCALE * x @ exact(start.a) @ exact(start.b)
    close(outputs, KERNEL)


# The beginner's mistakes.


@pytest.mark.parametrize(
    ("build", "kind", "text"),
    [
        (lambda: pissa(0), ValueError, "rank: expected at least 1, got 0"),
        (lambda: pissa(8.0), TypeError, "rank: expected an integer, got 8.0"),
        (lambda: pissa(8, alpha=-1), ValueError, "alpha: expected a number > 0, got -1"),
        (lambda: pissa(8, scaling="rslora"), ValueError, "unknown scaling 'rslora'; expected one"),
        (lambda: pissa(8, scaling="stabilized"), ValueError, "did you mean 'rank_stabilized'"),
        (lambda: pissa(8, dtype="int8"), TypeError, "real floating-point values, got dtype int8"),
        (lambda: lora_orthogonal(5), ValueError, "even number, got 5: .* did you mean 6"),
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
        (lambda: pissa(17)(KEY, KERNEL), ValueError, r"rank 17 .* axes .* \(24, 16\).* lower it"),
        (lambda: lora(5)(KEY, SMALL()), ValueError, r"\(3, 3, 8, 4\).* \(taps · in, out\)"),
        (lambda: pissa(4)(KEY, KERNEL.astype("int8")), TypeError, "got dtype int8 .* dequantize"),
        (lambda: pissa(4)(KEY, KERNEL.astype("complex64")), TypeError, "got dtype complex64"),
        (
            lambda: lora_ga(4)(KEY, KERNEL, KERNEL.T),
            ValueError,
            r"\(24, 16\), got shape \(16, 24\)",
        ),
        (lambda: lora_ga(9)(KEY, KERNEL, GRADIENT), ValueError, "rank 9 takes 18 .* have 16"),
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
    start = lora(RANK)(KEY, KERNEL)
    slope = jax.grad(lambda start: start.merged().sum())(start)
    close(slope.b, exact(start.a).sum(axis=0)[:, None] * np.ones(OUT))
    np.testing.assert_array_equal(slope.weight, 1)
