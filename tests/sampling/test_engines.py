"""The two engines of orthonormal frames, undivided and over a mesh: exact, Haar, and in agreement.

False-alarm probability of the distribution tests: 1e-7 each, four tests.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

import jinit
from jinit.sampling import distributed, normal, orthonormal, orthonormal_over
from jinit.sampling.orthonormal import factored_frame, reflected_frame

KEY = jax.random.key(2718)
ENGINES = (factored_frame, reflected_frame)
FLOAT = np.dtype("float32")
ALARM = 1e-7


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 1), "float32"), ((9, 4), "float32"), ((300, 300), "float32"), ((640, 300), "float32"),
     pytest.param((280, 270), "complex64", marks=pytest.mark.slow),
     ((600, 260), "complex64"), ((1, 1), "complex64")],
)  # fmt: skip
def test_columns_are_orthonormal(engine, shape, dtype):
    frame = np.asarray(jax.jit(engine, static_argnums=(1, 2))(KEY, shape, np.dtype(dtype)))
    assert (frame.shape, frame.dtype) == (shape, np.dtype(dtype))
    error = abs(frame.conj().T.astype(complex) @ frame.astype(complex) - np.eye(shape[1])).max()
    assert error < 3e-6


@pytest.mark.parametrize("shape", [(300, 300), (400, 290), (256, 700), (700, 256)])
def test_large_frames_are_those_of_jax(shape):
    """Within 1e-6 of JAX's values, and of the float64 decomposition of the same normal matrix."""
    rows, columns = shape
    drawn = orthonormal(KEY, rows, columns)
    expected = jax.random.orthogonal(KEY, rows, m=columns)
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-6)


def test_doubles_are_exact():
    with jax.enable_x64(True):
        frame = np.asarray(orthonormal(KEY, 600, 290, "float64"))
        matrix = np.asarray(normal(KEY, (600, 290), "float64"))
    q, r = np.linalg.qr(matrix)
    np.testing.assert_allclose(frame, q * np.sign(np.diag(r)), rtol=0, atol=1e-13)


def test_large_frames_under_vmap_are_the_loop_bit_for_bit():
    keys = jax.random.split(KEY, 2)
    draw = partial(orthonormal, rows=270, columns=260)
    lanes = jax.jit(jax.vmap(draw))(keys)
    for lane, key in zip(lanes, keys, strict=True):
        np.testing.assert_array_equal(lane, draw(key))


@pytest.fixture(scope="module", params=ENGINES)
def frames(request) -> np.ndarray:
    """Frames of eight dimensions, one after the other: nothing batched reaches LAPACK."""
    keys = jax.random.split(KEY, 3000)
    draw = partial(request.param, shape=(8, 8), dtype=FLOAT)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(keys), np.float64)


def test_traces_of_powers(frames):
    """E tr Qᵏ is 0 for odd and 1 for even k, its variance k (Diaconis & Shahshahani 1994)."""
    power = np.broadcast_to(np.eye(8), frames.shape)
    bound = stats.norm.isf(ALARM / 16)
    for k, fourth in ((1, 3), (2, 12)):
        power = power @ frames
        centred = np.trace(power, axis1=1, axis2=2) - (k % 2 == 0)
        assert abs(centred.mean()) < bound * np.sqrt(k / len(frames))
        assert abs((centred**2).mean() - k) < bound * np.sqrt((fourth - k**2) * 1.5 / len(frames))


def test_eigenvalue_angles_repel_as_those_of_scipy(frames):
    """The smallest angle of a complex eigenvalue, against frames that SciPy drew."""

    def smallest(matrices: np.ndarray) -> np.ndarray:
        angles = np.angle(np.linalg.eigvals(matrices))
        return np.where(angles > 1e-3, angles, np.pi).min(axis=1)

    theirs = stats.ortho_group.rvs(8, size=3000, random_state=1)
    assert stats.ks_2samp(smallest(frames), smallest(theirs)).pvalue > ALARM


def test_every_place_has_the_law_of_the_sphere(frames):
    law = stats.beta(3.5, 3.5, loc=-1, scale=2)
    for row, column in ((0, 0), (7, 7), (0, 7), (7, 0), (3, 5)):
        assert stats.kstest(frames[:, row, column], law.cdf).pvalue > ALARM


def test_both_orientations_are_equally_likely(frames):
    assert stats.binomtest(int((np.linalg.det(frames) > 0).sum()), len(frames)).pvalue > ALARM


def mesh_of(*sizes: int) -> jax.sharding.Mesh:
    names = ("data", "model")[: len(sizes)]
    return jax.make_mesh(sizes, names, axis_types=(AxisType.Auto,) * len(sizes))


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        *(((2, 4), (270, 1000)), ((8,), (1500, 250))),
        pytest.param((2, 4), (500, 700), marks=pytest.mark.slow),
        pytest.param((8,), (520, 512), marks=pytest.mark.slow),
        pytest.param((2, 4), (200, 1501), marks=pytest.mark.slow),
    ],
)
def test_values_do_not_depend_on_the_mesh(sizes, shape):
    """Square, wide, tall, and sizes that do not divide by eight."""
    assert np.prod(shape) > 2**18
    mesh = mesh_of(*sizes)
    drawn = jax.jit(lambda key: orthonormal_over(mesh, key, *shape, FLOAT))(KEY)
    np.testing.assert_allclose(drawn, orthonormal(KEY, *shape), rtol=0, atol=1e-5)


def test_drawn_reflections_do_not_depend_on_the_mesh():
    shape = (530, 512)
    plain = jax.jit(reflected_frame, static_argnums=(1, 2))(KEY, shape, FLOAT)
    spread = partial(distributed._reflected, shape=shape, dtype=FLOAT, mesh=mesh_of(2, 4))
    program = jax.jit(spread)
    np.testing.assert_allclose(program(KEY), plain, rtol=0, atol=1e-5)
    text = program.lower(KEY).compile().as_text()
    assert not any(name in text for name in ("all-reduce", "all-gather", "all-to-all"))


def test_no_device_holds_the_whole():
    """JAX's own orthogonal plans four whole matrices on every device."""
    mesh, shape = mesh_of(8), (1024, 1024)
    layout = NamedSharding(mesh, PartitionSpec("data", None))
    program = jax.jit(lambda key: jinit.orthogonal()(key, shape, None, layout))
    planned = program.lower(KEY).compile().memory_analysis()
    bytes_each = planned.temp_size_in_bytes + planned.output_size_in_bytes
    assert bytes_each <= 1.5 * 4 * 1024 * 1024


def test_layers_over_a_mesh_keep_their_layout():
    sharding = NamedSharding(mesh_of(2, 4), PartitionSpec("data", "model"))
    for init in (jinit.orthogonal(0.5), jinit.scaled_uniform_orthogonal(0.5)):
        drawn = init(KEY, (172, 1600), "bfloat16", sharding)
        assert drawn.sharding.is_equivalent_to(sharding, 2)
        np.testing.assert_allclose(
            drawn.astype(jnp.float32), init(KEY, (172, 1600)), rtol=2**-8, atol=1e-5
        )


def test_both_engines_lower_for_every_platform():
    """The program for CPU decomposes, the one for accelerators multiplies."""
    text = {}
    for platform in ("cpu", "cuda", "tpu"):
        program = jax.jit(lambda key: orthonormal(key, 300, 300))
        text[platform] = jax.export.export(program, platforms=[platform])(KEY).mlir_module()
    assert "geqrf" in text["cpu"]
    assert "geqrf" not in text["cuda"]
    assert "Qr" not in text["tpu"]
    assert "geqrf" not in text["tpu"]
