"""NumPy's Generator (PCG64, ziggurat), one thread as NumPy has it."""

import numpy as np

from draws import SCALE, UnsupportedError

LABEL = "NumPy"
generator = np.random.default_rng(0)


def start() -> None:
    """Run something trivial."""
    generator.random(1)


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """Draw float32 and scale in place."""
    if dtype != "float32":
        raise UnsupportedError(f"NumPy's Generator draws float32 and float64, not {dtype}")
    draws = {"normal": normal, "truncated_normal": truncated_normal, "uniform": uniform}
    return lambda: draws[distribution](shape)


def normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal values."""
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= np.float32(SCALE)
    return values


def truncated_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal values, those outside drawn again: NumPy has no truncated normal of its own."""
    values = generator.standard_normal(shape, dtype=np.float32)
    flat = values.reshape(-1)
    outside = np.flatnonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = generator.standard_normal(outside.size, dtype=np.float32)
        outside = outside[np.abs(flat[outside]) > 2]
    values *= np.float32(SCALE)
    return values


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform values."""
    values = generator.random(shape, dtype=np.float32)
    values *= np.float32(SCALE)
    return values
