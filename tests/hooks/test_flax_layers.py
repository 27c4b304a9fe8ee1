"""Initializers in Flax's own layers: the values of jax.nn.initializers, in Linen and in NNX."""

from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from jinit.initializers import (
    glorot_uniform,
    he_normal,
    lecun_normal,
    normal,
    ones_init,
    orthogonal,
    uniform,
    zeros_init,
)

KEY = jax.random.key(11)
THEIRS = jax.nn.initializers
# Initializers of the parameters of a layer: jinit's, and the ones they replace.
OURS_AND_THEIRS = {
    "kernel": (he_normal(), THEIRS.he_normal()),
    "recurrent": (orthogonal(), THEIRS.orthogonal()),
    "embedding": (normal(0.02), THEIRS.normal(0.02)),
    "bias": (uniform(0.1), THEIRS.uniform(0.1)),
}
SEQUENCE = np.ones((2, 3, 8), np.float32)
IMAGE = np.ones((1, 6, 6, 8), np.float32)
CARRY = (np.zeros((2, 16), np.float32), np.zeros((2, 16), np.float32))


def dense(side: int) -> dict:
    return {
        "kernel_init": OURS_AND_THEIRS["kernel"][side],
        "bias_init": OURS_AND_THEIRS["bias"][side],
    }


def recurrent(side: int) -> dict:
    return dense(side) | {"recurrent_kernel_init": OURS_AND_THEIRS["recurrent"][side]}


LINEN = {
    "Dense": (lambda side, **kw: nn.Dense(16, **dense(side), **kw), (SEQUENCE,)),
    "DenseGeneral": (
        lambda side, **kw: nn.DenseGeneral((4, 4), axis=(-2, -1), **dense(side), **kw),
        (SEQUENCE,),
    ),
    "Conv": (lambda side, **kw: nn.Conv(16, (3, 3), **dense(side), **kw), (IMAGE,)),
    "ConvTranspose": (
        lambda side, **kw: nn.ConvTranspose(16, (3, 3), **dense(side), **kw),
        (IMAGE,),
    ),
    "Embed": (
        lambda side, **kw: nn.Embed(
            32, 16, embedding_init=OURS_AND_THEIRS["embedding"][side], **kw
        ),
        (np.arange(4),),
    ),
    "Attention": (
        lambda side, **kw: nn.MultiHeadDotProductAttention(4, **dense(side), **kw),
        (SEQUENCE,),
    ),
    "LSTMCell": (
        lambda side, **kw: nn.LSTMCell(16, **recurrent(side), **kw),
        (CARRY, SEQUENCE[:, 0]),
    ),
    "GRUCell": (
        lambda side, **kw: nn.GRUCell(16, **recurrent(side), **kw),
        (CARRY[0], SEQUENCE[:, 0]),
    ),
}
NNX = {
    "Linear": lambda side, **kw: nnx.Linear(8, 16, **dense(side), **kw),
    "LinearGeneral": lambda side, **kw: nnx.LinearGeneral(
        (3, 8), (4, 4), axis=(-2, -1), **dense(side), **kw
    ),
    "Conv": lambda side, **kw: nnx.Conv(8, 16, (3, 3), **dense(side), **kw),
    "ConvTranspose": lambda side, **kw: nnx.ConvTranspose(8, 16, (3, 3), **dense(side), **kw),
    "Embed": lambda side, **kw: nnx.Embed(
        32, 16, embedding_init=OURS_AND_THEIRS["embedding"][side], **kw
    ),
    "Attention": lambda side, **kw: nnx.MultiHeadAttention(4, 8, decode=False, **dense(side), **kw),
    "LSTMCell": lambda side, **kw: nnx.LSTMCell(8, 16, **recurrent(side), **kw),
    "GRUCell": lambda side, **kw: nnx.GRUCell(8, 16, **recurrent(side), **kw),
}


def linen_parameters(name: str, side: int, **options) -> dict:
    build, inputs = LINEN[name]
    return build(side, **options).lazy_init(KEY, *jax.eval_shape(lambda: inputs))["params"]


def nnx_parameters(name: str, side: int, **options) -> dict:
    module = NNX[name](side, rngs=nnx.Rngs(11), **options)
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))


@cache
def parameters(framework: str, name: str, side: int, **options) -> dict:
    draw = linen_parameters if framework == "linen" else nnx_parameters
    return draw(name, side, **options)


LAYERS = [("linen", name) for name in LINEN] + [("nnx", name) for name in NNX]


def leaves(tree) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.few(6)
@pytest.mark.parametrize(("framework", "name"), LAYERS)
def test_a_layer_gets_the_values_of_jax(framework, name):
    """Values are equal bit for bit; in cells, whose recurrent kernels use QR, within 1e-6."""
    ours, theirs = (leaves(parameters(framework, name, side)) for side in (0, 1))
    assert ours.keys() == theirs.keys()
    for path, expected in theirs.items():
        assert (ours[path].shape, ours[path].dtype) == (expected.shape, expected.dtype)
        tolerance = 1e-6 if "Cell" in name else 0
        np.testing.assert_allclose(ours[path], expected, rtol=0, atol=tolerance)
    assert any(abs(leaf).max() > 0 for leaf in ours.values())


@pytest.mark.few(4)
@pytest.mark.parametrize(("framework", "name"), LAYERS)
def test_a_bfloat16_layer_gets_the_rounded_values(framework, name):
    """Recurrent cells are included, though JAX's orthogonal has no bfloat16 QR."""
    full = leaves(parameters(framework, name, 0))
    low = leaves(parameters(framework, name, 0, param_dtype=jnp.bfloat16))
    for path, expected in full.items():
        assert low[path].tobytes() == expected.astype(jnp.bfloat16).tobytes(), path


def test_initializers_accept_the_positional_arguments_that_flax_gives():
    class Custom(nn.Module):
        @nn.compact
        def __call__(self, x):
            kernel = self.param("kernel", glorot_uniform(), (x.shape[-1], 4), jnp.float32)
            scale = self.param("scale", ones_init(), (4,))
            shift = self.param("shift", zeros_init(), (4,), jnp.float16)
            return x @ kernel * scale[None] + shift[None]

    drawn = Custom().init(KEY, np.ones((2, 3), np.float32))["params"]
    assert {name: leaf.dtype.name for name, leaf in drawn.items()} == {
        "kernel": "float32",
        "scale": "float32",
        "shift": "float16",
    }


def test_partitioned_parameters_keep_their_names_and_values():
    boxed = nn.Dense(4, kernel_init=nn.with_partitioning(he_normal(), ("data", None)))
    plain = nn.Dense(4, kernel_init=he_normal())
    kernel = boxed.init(KEY, SEQUENCE)["params"]["kernel"]
    assert kernel.names == ("data", None)
    np.testing.assert_array_equal(kernel.value, plain.init(KEY, SEQUENCE)["params"]["kernel"])


@pytest.mark.parametrize("wrap", [nnx.with_partitioning, nnx.with_metadata])
def test_nnx_metadata_wraps_an_initializer(wrap):
    options = (("data", None),) if wrap is nnx.with_partitioning else ()
    with jax.set_mesh(jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))):
        init = wrap(he_normal(), *options, note="x")
        marked = nnx.Linear(8, 4, kernel_init=init, rngs=nnx.Rngs(0))
    plain = nnx.Linear(8, 4, kernel_init=he_normal(), rngs=nnx.Rngs(0))
    assert marked.kernel.get_metadata()["note"] == "x"
    np.testing.assert_array_equal(marked.kernel[...], plain.kernel[...])


class Tower(nn.Module):
    """Three scanned layers."""

    kernel_init: object

    @nn.compact
    def __call__(self, x):
        layer = nn.scan(
            lambda module, carry, _: (
                nn.Dense(8, kernel_init=self.kernel_init, parent=module, name="layer")(carry),
                None,
            ),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=3,
        )
        return layer(self, x, None)[0]


@pytest.mark.parametrize("initializer", [he_normal(), orthogonal()], ids=repr)
def test_scanned_linen_layers_are_separate_draws(initializer):
    (kernel,) = (
        leaf
        for path, leaf in leaves(Tower(initializer).init(KEY, SEQUENCE)).items()
        if "kernel" in path
    )
    assert kernel.shape == (3, 8, 8)
    assert len({layer.tobytes() for layer in kernel}) == 3
    if initializer == orthogonal():
        np.testing.assert_allclose(kernel @ kernel.mT, np.stack([np.eye(8)] * 3), atol=1e-5)


@pytest.mark.parametrize("initializer", [he_normal(), orthogonal()], ids=repr)
def test_vmapped_linen_layers_are_separate_draws(initializer):
    copies = nn.vmap(
        nn.Dense,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        axis_size=3,
    )
    kernel = copies(8, kernel_init=initializer).init(KEY, SEQUENCE)["params"]["kernel"]
    assert kernel.shape == (3, 8, 8)
    assert len({np.asarray(copy).tobytes() for copy in kernel}) == 3


@pytest.mark.parametrize("initializer", [he_normal(), orthogonal()], ids=repr)
def test_vmapped_nnx_modules_equal_single_modules(initializer):
    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def build(rngs):
        return nnx.Linear(8, 8, kernel_init=initializer, rngs=rngs)

    kernel = build(nnx.Rngs(7)).kernel[...]
    rngs = nnx.Rngs(7)
    keys = jax.random.split(rngs.default(), 3)
    singles = [
        nnx.Linear(8, 8, kernel_init=initializer, rngs=nnx.Rngs(key)).kernel[...] for key in keys
    ]
    np.testing.assert_array_equal(kernel, np.stack(singles))


def test_equal_modules_are_traced_once():
    """JAX's own factories return a new closure each time, so equal modules compare unequal."""

    def trace_count(build) -> int:
        count = 0

        @partial(jax.jit, static_argnums=0)
        def apply(module, variables, x):
            nonlocal count
            count += 1
            return module.apply(variables, x)

        variables = build().init(KEY, SEQUENCE)
        for _ in range(2):
            apply(build(), variables, SEQUENCE)
        return count

    ours = partial(dense_from, lambda: he_normal())
    assert ours() == ours()
    assert hash(ours()) == hash(ours())
    assert trace_count(ours) == 1
    assert trace_count(partial(dense_from, lambda: THEIRS.he_normal())) == 2


def dense_from(initializer) -> nn.Dense:
    return nn.Dense(4, kernel_init=initializer())


def test_equal_nnx_modules_have_equal_graphs():
    def graph():
        return nnx.split(nnx.Linear(8, 4, kernel_init=lecun_normal(), rngs=nnx.Rngs(0)))[0]

    assert graph() == graph()
    assert hash(graph()) == hash(graph())
