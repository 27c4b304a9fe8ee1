"""Eight CPU devices and strict settings, in place before any test module imports JAX."""

import os

EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"


def pytest_configure() -> None:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("MPLBACKEND", "Agg")
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, EIGHT_DEVICES]))
    import jax

    # jax_numpy_dtype_promotion="strict" is left out: optax.adam raises a float to an int32 count.
    jax.config.update("jax_numpy_rank_promotion", "raise")
