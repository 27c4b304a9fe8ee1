"""Accelerators to compile for: devices of TPU topologies, and platforms of GPUs."""

import os
from importlib import util
from typing import Any

GPU_PLATFORMS = ("cuda", "rocm")


def has_tpu_compiler() -> bool:
    """Return whether the compiler for TPUs is installed."""
    return util.find_spec("libtpu") is not None


def topology_devices(name: str) -> list[Any]:
    """Return the devices of a TPU topology, for which programs can be compiled and not run.

    Args:
      name: such as `v5e:2x4`.

    Raises:
      RuntimeError: if the compiler for TPUs is not installed.
    """
    if not has_tpu_compiler():
        raise RuntimeError(
            "libtpu, the compiler for TPUs, is not installed: pip install 'jinit[tpu]' (700 MB; "
            "no TPU is needed)"
        )
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # else it asks a cloud for its machine
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # several processes may compile
    from jax.experimental import topologies

    return topologies.get_topology_desc(name, platform="tpu").devices
