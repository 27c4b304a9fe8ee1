"""Products that do not depend on the order of summation, against float64 and fractions."""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.sampling import exact_product


def random_factors(terms, dtype=np.float32):
    left, right = np.random.default_rng(1).standard_normal((2, terms, terms))
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=0, keepdims=True)
    return left.astype(dtype), right.astype(dtype)


@pytest.mark.parametrize("terms", [1, 40, 700])
def test_exact_products_are_accurate(terms):
    left, right = random_factors(terms)
    expected = left.astype(np.float64) @ right.astype(np.float64)
    product = np.asarray(exact_product(jnp.asarray(left), jnp.asarray(right)), np.float64)
    assert (np.abs(product - expected) <= 2**-23 * np.abs(expected) + 2**-28).all()
    with jax.enable_x64(True):
        left, right = random_factors(terms, np.float64)
        product = np.asarray(exact_product(jnp.asarray(left), jnp.asarray(right)))
    for row, column in itertools.product(range(min(terms, 3)), repeat=2):
        pairs = zip(left[row], right[:, column], strict=True)
        expected = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in pairs)
        assert abs(Fraction(float(product[row, column])) - expected) <= 2**-54


def test_exact_products_do_not_depend_on_the_order_of_the_sum():
    left, right = random_factors(300)
    order = np.random.default_rng(2).permutation(300)
    for matrix in (left, (left + 1j * left[::-1]) / np.complex64(2)):
        factors = jnp.asarray(matrix), jnp.asarray(right.astype(matrix.dtype))
        shuffled = jnp.asarray(matrix[:, order]), jnp.asarray(right[order].astype(matrix.dtype))
        np.testing.assert_array_equal(exact_product(*shuffled), exact_product(*factors))
        # The test can fail: an ordinary product does depend on the order.
        assert (jnp.matmul(*shuffled) != jnp.matmul(*factors)).any()


def test_too_many_terms_are_refused():
    left, right = jnp.zeros((1, 2**22)), jnp.zeros((2**22, 1))
    with pytest.raises(ValueError, match=r"a sum of 4194304 float32 products cannot be made exact"):
        exact_product(left, right)
