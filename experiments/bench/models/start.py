"""One network and one way to initialize it: time of the first and of later calls, and memory."""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import measure
from flax import nnx

import jinit

sys.path.insert(0, str(Path(__file__).parents[2]))
from architectures import gpt2, resnet, vit

TINY = gpt2.Config(vocabulary=512, positions=64, width=64, heads=4, layers=2, tied=False)
NETWORKS = {
    "tiny GPT-2": (gpt2.LinenGPT2, gpt2.NnxGPT2, TINY, (1, 8), "int32"),
    "GPT-2": (gpt2.LinenGPT2, gpt2.NnxGPT2, gpt2.Config(tied=False), (1, 8), "int32"),
    "ResNet-50": (resnet.LinenResNet, resnet.NnxResNet, resnet.Config(), (1, 64, 64, 3), "float32"),
    "ViT-B/16": (vit.LinenViT, vit.NnxViT, vit.Config(), (1, 224, 224, 3), "float32"),
}


def device() -> str:
    """The device that JAX draws on."""
    return jax.devices()[0].device_kind


def start(network: str, framework: str, way: str, repeats: int) -> dict[str, Any]:
    """Seconds of the first and later initializations, bytes of parameters, and growth of memory."""
    linen, other, config, shape, dtype = NETWORKS[network]
    example = jnp.ones(shape, dtype)
    jax.block_until_ready(jax.random.normal(jax.random.key(0), (8,)))
    if framework == "linen":
        ways = _linen(linen(config), example)
    else:
        ways = _nnx(lambda rngs: other(config, rngs), example)
    prepare, first = ways[way], []

    def cold() -> Any:
        begin = time.perf_counter()
        call = prepare()
        result = _done(call(jax.random.key(0)))
        first.extend((time.perf_counter() - begin, call))
        return sum(leaf.nbytes for leaf in jax.tree.leaves(result)), result

    size = []
    growth = measure.peak_growth(lambda: size.append(cold()))
    bytes_, result = size.pop()
    del result
    gc.collect()
    seconds, call = first
    warm = []
    for repeat in range(repeats):
        begin = time.perf_counter()
        result = _done(call(jax.random.key(repeat + 1)))
        warm.append(time.perf_counter() - begin)
        del result
    return {"cold": seconds, "warm": warm, "bytes": bytes_, "growth": growth}


def _linen(module: Any, example: jax.Array) -> dict[str, Callable[[], Callable]]:
    def planned() -> Callable:
        model = jinit.linen.trace(module, example)
        return lambda key: jinit.init(model, key)

    def of(transform: Callable) -> Callable[[], Callable]:
        init = transform(module.init)
        return lambda: lambda key: init(key, example)

    return {
        "init": planned,
        "fast_init": of(jinit.fast_init),
        "flax": of(lambda function: function),
        "flax jit": of(jax.jit),
    }


def _nnx(build: Callable, example: jax.Array) -> dict[str, Callable[[], Callable]]:
    def planned() -> Callable:
        model = jinit.nnx.trace(build, example)
        return lambda key: jinit.init(model, key)

    def of(transform: Callable) -> Callable[[], Callable]:
        made = transform(lambda key: build(nnx.Rngs(key)))
        return lambda: made

    return {
        "init": planned,
        "fast_init": of(jinit.fast_init),
        "flax": of(lambda function: function),
        "flax jit": of(nnx.jit),
    }


def _done(started: Any) -> Any:
    """Wait for the parameters and return them."""
    tree = nnx.state(started, nnx.Param) if isinstance(started, nnx.Module) else started
    return jax.block_until_ready(tree)
