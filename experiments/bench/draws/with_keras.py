"""Keras 3 on its JAX backend."""

import os

os.environ["KERAS_BACKEND"] = "jax"  # Keras reads it once, when it is imported

import keras

from draws import SCALE

LABEL = "Keras (JAX backend)"


def start() -> None:
    """Start the backend with an initializer that draws nothing."""
    keras.initializers.Zeros()((1,)).block_until_ready()


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """`keras.initializers.RandomNormal` and its siblings, stateless by a seed of their own."""
    initializers = {
        "normal": keras.initializers.RandomNormal(stddev=SCALE, seed=0),
        "truncated_normal": keras.initializers.TruncatedNormal(stddev=SCALE, seed=0),
        "uniform": keras.initializers.RandomUniform(minval=0.0, maxval=SCALE, seed=0),
    }
    init = initializers[distribution]
    return lambda: init(shape, dtype=dtype).block_until_ready()
