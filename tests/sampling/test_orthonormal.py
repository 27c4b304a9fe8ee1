"""Orthonormal frames: exactly orthonormal, Haar-distributed, and equal under vmap and in a loop.

False-alarm probability of the distribution tests: 8 tests at 1e-7 each, below 1e-6 together.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jinit.sampling import draw_orthonormal

ALARM = 1e-7
SEED = 31415


@pytest.mark.parametrize(
    ("dtype", "rows", "columns"),
    [("float32", *size) for size in [(1, 1), (1, 5), (5, 1), (6, 6), (40, 7), (7, 40), (129, 128)]]
    + [("float64", 40, 7), ("complex64", 7, 40), ("complex128", 40, 7)],
)
def test_the_shorter_side_is_orthonormal(dtype, rows, columns):
    with jax.enable_x64(True):
        frame = np.asarray(draw_orthonormal(jax.random.key(SEED), rows, columns, dtype))
    assert (frame.shape, frame.dtype) == ((rows, columns), np.dtype(dtype))
    wide = frame if rows < columns else frame.T
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(wide @ wide.conj().T, np.eye(len(wide)), atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "rows", "columns"), [("float32", 9, 4), ("float64", 4, 9), ("complex64", 4, 9)]
)
def test_values_are_those_of_jax(dtype, rows, columns):
    """Within 1e-6: the compiler may order the QR's last operations differently."""
    with jax.enable_x64(True):
        key = jax.random.key(SEED)
        expected = jax.random.orthogonal(key, rows, dtype=dtype, m=columns)
        frame = draw_orthonormal(key, rows, columns, dtype)
    np.testing.assert_allclose(frame, expected, rtol=0, atol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_low_precision_is_the_rounded_float32(dtype):
    key = jax.random.key(SEED)
    full = np.asarray(draw_orthonormal(key, 40, 7, np.float32, scale=0.7))
    low = np.asarray(draw_orthonormal(key, 40, 7, dtype, scale=0.7))
    widened = jax.jit(lambda: draw_orthonormal(key, 40, 7, dtype, scale=0.7).astype(jnp.float32))()
    np.testing.assert_array_equal(low, full.astype(jnp.dtype(dtype)))
    np.testing.assert_array_equal(widened, low.astype(np.float32))


def test_vmap_equals_a_loop_bit_for_bit():
    keys = jax.random.split(jax.random.key(SEED), 6).reshape(2, 3)
    draw = jax.vmap(jax.vmap(lambda key: draw_orthonormal(key, 13, 8)))
    loop = np.stack([[draw_orthonormal(key, 13, 8) for key in row] for row in keys])
    np.testing.assert_array_equal(draw(keys), loop)
    np.testing.assert_array_equal(jax.jit(draw)(keys), loop)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    keys = jax.random.split(jax.random.key(SEED), 4000)
    return np.asarray(jax.jit(jax.vmap(lambda key: draw_orthonormal(key, 5, 5)))(keys), np.float64)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (4, 4), (0, 4), (2, 1)])
def test_an_entry_is_distributed_as_a_coordinate_on_the_sphere(frames, row, column):
    """Haar: (1 + Q_ij)/2 is Beta(2, 2) in five dimensions. Unsigned QR fails: Q_00 <= 0."""
    assert stats.kstest((1 + frames[:, row, column]) / 2, stats.beta(2, 2).cdf).pvalue > ALARM


def test_the_trace_has_the_moments_of_the_orthogonal_group(frames):
    """E tr Q = 0 and E (tr Q)² = 1 (Diaconis, Shahshahani 1994); E (tr Q)⁴ = 3 for n >= 4."""
    trace = np.trace(frames, axis1=1, axis2=2)
    bound = stats.norm.isf(ALARM / 4) / np.sqrt(len(trace))
    assert abs(trace.mean()) < bound
    assert abs((trace**2).mean() - 1) < bound * np.sqrt(2)


def test_rotations_and_reflections_are_equally_likely(frames):
    rotations = int((np.linalg.det(frames) > 0).sum())
    assert stats.binomtest(rotations, len(frames)).pvalue > ALARM


def test_a_complex_entry_has_the_distribution_of_the_unitary_group():
    """|U_00|² is Beta(1, n - 1), and the phase of U_00 is uniform."""
    keys = jax.random.split(jax.random.key(SEED), 2000)
    draw = jax.jit(jax.vmap(lambda key: draw_orthonormal(key, 4, 4, jnp.complex64)[0, 0]))
    entry = np.asarray(draw(keys), np.complex128)
    assert stats.kstest(abs(entry) ** 2, stats.beta(1, 3).cdf).pvalue > ALARM
    assert stats.kstest(np.angle(entry) / (2 * np.pi) + 0.5, "uniform").pvalue > ALARM


@pytest.mark.parametrize("dtype", [int, bool, np.uint8])
def test_wrong_dtypes_are_named(dtype):
    with pytest.raises(TypeError, match="orthonormal draws floating-point or complex values"):
        draw_orthonormal(jax.random.key(0), 3, 3, dtype)
