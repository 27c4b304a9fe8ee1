"""Operations that move entries, and masks of dropout, between the layers of a chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats
from jax import lax

import jinit

ORDER = np.random.default_rng(0).permutation(16)
X = floats(4, 8, 16)


def pad(mode):
    return lambda h: jnp.pad(h, ((0, 0), (1, 1), (0, 0)), mode=mode)[:, 1:-1]


MOVES = {
    "nothing": lambda h: h,
    **{f"{mode} padding": pad(mode) for mode in ("wrap", "reflect", "edge", "symmetric")},
    "zero padding": pad("constant"),
    "roll": lambda h: jnp.roll(h, 3, (1, 2)),
    "flip": lambda h: jnp.flip(h, -1),
    "channel order": lambda h: h[..., ORDER],
    "channel shuffle": lambda h: h.reshape(4, 8, 4, 4).swapaxes(2, 3).reshape(4, 8, 16),
    "copies": lambda h: jnp.concatenate([h, h], 1)[:, 4:12],
    "token shift": lambda h: jnp.concatenate([jnp.zeros((4, 1, 16)), h[:, :-1]], 1),
    "nearest pixels": lambda h: jax.image.resize(h, (4, 16, 16), "nearest")[:, ::2],
    "entries of a larger array": lambda h: jnp.zeros((4, 10, 16)).at[:, 1:9].set(h)[:, 1:9],
    "an entry set to zero": lambda h: h.at[:, 0].set(0.0),
    "an updated slice": lambda h: lax.dynamic_update_slice(jnp.zeros_like(h), h, (0, 0, 0)),
    "sort": lambda h: jnp.sort(h, 1),
    "roll under vmap": jax.vmap(lambda h: jnp.roll(h, 1, 0)),
}


def chain(between, phi=jax.nn.gelu):
    """The Model of four layers with a function after each activation."""

    def apply(params, h):
        for kernel in params:
            h = between(phi(h @ kernel))
        return h

    return jinit.trace(apply, [floats(16, 16)] * 4, X)


@pytest.mark.parametrize("name", MOVES)
def test_entries_that_move_do_not_end_a_chain(name):
    leaf, plain = chain(MOVES[name]).leaves[1], chain(MOVES["nothing"]).leaves[1]
    assert leaf.chain_length == 3
    assert jinit.gains.needed(leaf) == jinit.gains.needed(plain)


def test_joined_functions_of_a_signal_are_not_one_function():
    leaf = chain(lambda h: jnp.concatenate([h, jnp.cos(h)], 1)[:, :8]).leaves[1]
    assert (leaf.end, leaf.chain_length) == ("other", 1)


DROPOUTS = {
    "selection": lambda mask, h, kept: jnp.where(mask, h / kept, 0.0),
    "selection of zero": lambda mask, h, kept: jnp.where(~mask, 0.0, h) / kept,
    "product": lambda mask, h, kept: h * mask.astype(h.dtype) / kept,
    "broadcast": lambda mask, h, kept: jnp.where(mask[:, :, :1], h / kept, 0.0),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_is_compensated_by_its_mean_square(name):
    kept = 0.7

    def apply(params, key, h):
        for kernel in params:
            mask = jax.random.bernoulli(key, kept, h.shape)
            h = DROPOUTS[name](mask, jax.nn.relu(h @ kernel), kept)
        return h

    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
    leaf = jinit.trace(apply, [floats(16, 16)] * 4, key, X).leaves[1]
    std = jinit.gains.needed(leaf).std
    np.testing.assert_allclose(std, (2 * kept / 16) ** 0.5, rtol=1e-5)
