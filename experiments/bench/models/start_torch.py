"""PyTorch building layers of the same sizes, with its own initial values."""

import gc
import time
from collections.abc import Sequence
from typing import Any

import measure
import torch


def start(layers: Sequence[Sequence[Any]], repeats: int) -> dict[str, Any]:
    """Seconds of the first and later initializations, bytes of parameters, and growth of memory.

    Args:
      layers: of each its kind and the arguments of its constructor.
    """
    torch.empty(8).normal_()
    first: list[Any] = []

    def cold() -> torch.nn.ModuleList:
        begin = time.perf_counter()
        modules = _build(layers)
        first.append(time.perf_counter() - begin)
        first.append(sum(each.nbytes for each in modules.parameters()))
        return modules

    growth = measure.peak_growth(cold)
    warm = []
    for _ in range(repeats):
        gc.collect()
        begin = time.perf_counter()
        _build(layers)
        warm.append(time.perf_counter() - begin)
    return {"cold": first[0], "warm": warm, "bytes": first[1], "growth": growth}


def _build(layers: Sequence[Sequence[Any]]) -> torch.nn.ModuleList:
    kinds = {
        "dense": torch.nn.Linear,
        "convolution": torch.nn.Conv2d,
        "embedding": torch.nn.Embedding,
        "norm": torch.nn.LayerNorm,
    }
    return torch.nn.ModuleList(kinds[kind](*sizes) for kind, *sizes in layers)
