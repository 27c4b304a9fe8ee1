"""The two engines of orthonormal frames: exactly orthonormal, and Haar-distributed.

False-alarm probability of the distribution tests: 1e-7 each, four tests for two engines.
"""

from functools import partial

import jax
import numpy as np
import pytest
from scipy import stats

from jinit.sampling import draw_normal, draw_orthonormal
from jinit.sampling.orthonormal import draw_reflections, qr_frame, reflection_frame

KEY = jax.random.key(2718)
ENGINES = (qr_frame, reflection_frame)
FLOAT = np.dtype("float32")
ALARM = 1e-7


@pytest.mark.few(3)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 1), "float32"),
        ((9, 4), "float32"),
        pytest.param((300, 300), "float32", marks=pytest.mark.slow),
        pytest.param((640, 300), "float32", marks=pytest.mark.slow),
        pytest.param((280, 270), "complex64", marks=pytest.mark.slow),
        ((600, 260), "complex64"),
        ((1, 1), "complex64"),
    ],
)
def test_columns_are_orthonormal(engine, shape, dtype):
    frame = np.asarray(jax.jit(engine, static_argnums=(1, 2))(KEY, shape, np.dtype(dtype)))
    assert (frame.shape, frame.dtype) == (shape, np.dtype(dtype))
    error = abs(frame.conj().T.astype(complex) @ frame.astype(complex) - np.eye(shape[1])).max()
    assert error < 3e-6


@pytest.mark.parametrize(
    "shape",
    [
        *(pytest.param((m, n), marks=pytest.mark.slow) for m, n in [(300, 300), (700, 256)]),
        (400, 290),
        (256, 700),
    ],
)
def test_large_frames_are_those_of_jax_within_1e_6(shape):
    rows, columns = shape
    frame = draw_orthonormal(KEY, rows, columns)
    expected = jax.random.orthogonal(KEY, rows, m=columns)
    np.testing.assert_allclose(frame, expected, rtol=0, atol=1e-6)


def test_float64_frames_are_those_of_numpy():
    with jax.enable_x64(True):
        frame = np.asarray(draw_orthonormal(KEY, 600, 290, "float64"))
        matrix = np.asarray(draw_normal(KEY, (600, 290), "float64"))
    q, r = np.linalg.qr(matrix)
    np.testing.assert_allclose(frame, q * np.sign(np.diag(r)), rtol=0, atol=1e-13)


@pytest.mark.slow
def test_large_frames_under_vmap_equal_a_loop_bit_for_bit():
    keys = jax.random.split(KEY, 2)
    draw = partial(draw_orthonormal, rows=270, columns=260)
    lanes = jax.jit(jax.vmap(draw))(keys)
    for lane, key in zip(lanes, keys, strict=True):
        np.testing.assert_array_equal(lane, draw(key))


@pytest.fixture(scope="module", params=ENGINES)
def frames(request) -> np.ndarray:
    """Frames of eight dimensions, drawn in a loop so that LAPACK gets no batch."""
    keys = jax.random.split(KEY, 3000)
    draw = partial(request.param, shape=(8, 8), dtype=FLOAT)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(keys), np.float64)


def test_traces_of_powers_have_the_moments_of_the_orthogonal_group(frames):
    """E tr Qᵏ is 0 for odd and 1 for even k, its variance k (Diaconis & Shahshahani 1994)."""
    power = np.broadcast_to(np.eye(8), frames.shape)
    bound = stats.norm.isf(ALARM / 16)
    for k, fourth in ((1, 3), (2, 12)):
        power = power @ frames
        centered = np.trace(power, axis1=1, axis2=2) - (k % 2 == 0)
        assert abs(centered.mean()) < bound * np.sqrt(k / len(frames))
        assert abs((centered**2).mean() - k) < bound * np.sqrt((fourth - k**2) * 1.5 / len(frames))


def test_eigenvalue_angles_are_distributed_as_those_of_scipy(frames):
    """The smallest angle of a complex eigenvalue, against frames drawn by SciPy."""

    def smallest_angles(matrices: np.ndarray) -> np.ndarray:
        angles = np.angle(np.linalg.eigvals(matrices))
        return np.where(angles > 1e-3, angles, np.pi).min(axis=1)

    scipy_frames = stats.ortho_group.rvs(8, size=3000, random_state=1)
    assert stats.ks_2samp(smallest_angles(frames), smallest_angles(scipy_frames)).pvalue > ALARM


def test_every_entry_is_a_coordinate_on_the_sphere(frames):
    coordinate = stats.beta(3.5, 3.5, loc=-1, scale=2)
    for row, column in ((0, 0), (7, 7), (0, 7), (7, 0), (3, 5)):
        assert stats.kstest(frames[:, row, column], coordinate.cdf).pvalue > ALARM


def test_both_orientations_are_equally_likely(frames):
    assert stats.binomtest(int((np.linalg.det(frames) > 0).sum()), len(frames)).pvalue > ALARM


@pytest.mark.slow
def test_panels_are_independent():
    """Corresponding entries of two panels are uncorrelated; six standard errors."""
    first, second = draw_reflections(KEY, (600, 512), FLOAT).panels
    rows, columns = np.tril_indices(344, -1, 256)
    pairs = first.vectors[rows, columns], second.vectors[rows, columns]
    correlation = np.corrcoef(*(np.asarray(values, np.float64) for values in pairs))[0, 1]
    assert abs(correlation) < 6 / np.sqrt(len(rows))


def test_both_engines_lower_for_every_platform():
    """The program for CPU calls LAPACK's QR; those for GPU and TPU contain only products."""
    text = {}
    for platform in ("cpu", "cuda", "tpu"):
        program = jax.jit(lambda key: draw_orthonormal(key, 300, 300))
        text[platform] = jax.export.export(program, platforms=[platform])(KEY).mlir_module()
    assert "geqrf" in text["cpu"]
    assert "geqrf" not in text["cuda"]
    assert "Qr" not in text["tpu"]
    assert "geqrf" not in text["tpu"]
