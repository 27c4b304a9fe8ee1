"""Keys derived on the host are those of jax.random."""

import jax
import numpy as np

from jinit.sampling import fold_in_key_data, split_key_data

KEY = jax.random.key(20240817)


def test_folding_numbers_into_several_keys():
    keys = jax.random.split(KEY, 3)
    numbers = np.array([0, 2**32 - 1, 77])
    ours = fold_in_key_data(np.asarray(jax.random.key_data(keys)), numbers)
    folded = jax.vmap(jax.random.fold_in)(keys, numbers.astype(np.uint32))
    np.testing.assert_array_equal(ours, jax.random.key_data(folded))


def test_splitting_into_an_array_of_keys():
    ours = split_key_data(np.asarray(jax.random.key_data(KEY)), (2, 3))
    np.testing.assert_array_equal(ours, jax.random.key_data(jax.random.split(KEY, (2, 3))))
