"""The machine, the versions and the options of JAX, as plain data."""

import os
import platform
from collections import Counter
from importlib import metadata, util
from pathlib import Path
from typing import Any

_PACKAGES = ("jinit", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
_EXTRAS = {
    "cli": ("click", "rich"),
    "data": ("sklearn",),
    "report": ("jinja2", "matplotlib", "pandas", "pyarrow", "rich"),
    "search": ("optuna",),
}
"""Modules of the libraries that each extra installs."""
_OPTIONS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
    "jax_debug_nans",
    "jax_disable_jit",
    "jax_disable_most_optimizations",
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
)
_VARIABLES = ("JAX_PLATFORMS", "XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE")
_ACCELERATOR_FILES = {"gpu": "/dev/nvidiactl", "tpu": "/dev/accel0"}
"""Files of the operating system that are there if an accelerator is."""


def read_environment() -> dict[str, Any]:
    """Return what decides how fast JAX is here, and what it computes, as plain data.

    Returns:
      Dictionaries `versions`, `missing` (modules by extra), `devices`, `options` (of JAX),
      `variables` (of the environment that are set), the number of `processes` and of `cores` that
      this process may use, and `accelerators`, the kinds that the operating system knows of.

    Raises:
      RuntimeError: if JAX cannot start its devices.

    >>> environment = read_environment()
    >>> environment["versions"]["jax"] == metadata.version("jax"), environment["missing"]["cli"]
    (True, [])
    """
    import jax

    return {
        "versions": {"python": platform.python_version()} | dict(map(_version, _PACKAGES)),
        "missing": {extra: list(filter(_is_missing, each)) for extra, each in _EXTRAS.items()},
        "devices": [
            {"platform": name, "kind": kind, "count": count}
            for (name, kind), count in Counter(
                (device.platform, device.device_kind) for device in jax.local_devices()
            ).items()
        ],
        "processes": jax.process_count(),
        "cores": _count_cores(),
        "options": {name: jax.config.values[name] for name in _OPTIONS},
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "accelerators": [kind for kind, file in _ACCELERATOR_FILES.items() if Path(file).exists()],
    }


def _version(package: str) -> tuple[str, str | None]:
    try:
        return package, metadata.version(package)
    except metadata.PackageNotFoundError:
        return package, None


def _is_missing(module: str) -> bool:
    return util.find_spec(module) is None


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
