"""Slots: where one block of lanes is trained at a time, on the devices of this process."""

import os
from typing import Any

import jax


def local_slots() -> tuple[Any, ...]:
    """Return the device of every slot: each accelerator once, or a CPU once per core.

    One block leaves most of a CPU idle if its matrix products are small, so that as many blocks are
    trained at the same time as there are cores. They share one device of JAX, its memory and its
    programs, however many devices JAX was told to make of the CPU. A program of one device also
    gives the same bits wherever it runs; XLA compiles a program of several devices otherwise.

    >>> len(local_slots()) >= 1
    True
    """
    devices = jax.local_devices()
    return (devices[0],) * count_cores() if devices[0].platform == "cpu" else tuple(devices)


def count_cores() -> int:
    """Return the number of cores that this process may use.

    >>> count_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
