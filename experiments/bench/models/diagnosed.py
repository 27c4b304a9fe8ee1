"""One network, its loss with gradient, and the measurements of its diagnosis, in one process."""

import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import measure

import jinit
from jinit.diagnostics.measuring.losses import mean_cross_entropy
from jinit.diagnostics.measuring.measure import summarize
from jinit.diagnostics.measuring.observe import observe

sys.path.insert(0, str(Path(__file__).parents[2]))
from architectures import gpt2, resnet, vit

NETWORKS = {
    "GPT-2": (gpt2.LinenGPT2(gpt2.Config()), (2, 128), "int32"),
    "ResNet-50": (resnet.LinenResNet(resnet.Config()), (4, 128, 128, 3), "float32"),
    "ViT-B/16": (vit.LinenViT(vit.Config()), (2, 224, 224, 3), "float32"),
}


def device() -> str:
    """The device that JAX runs on."""
    return jax.devices()[0].device_kind


def compare(network: str, rounds: int) -> dict[str, Any]:
    """Measure both: seconds per round once everything is compiled, seconds to lower, compile and
    run the first time, and bytes that XLA plans for the forward and backward program."""
    module, shape, dtype = NETWORKS[network]
    key = jax.random.key(0)
    tokens = dtype == "int32"
    x = jax.random.randint(key, shape, 0, 1000) if tokens else jax.random.normal(key, shape)
    model = jinit.linen.trace(module, x)
    params = jinit.init(model, key)
    targets = x if tokens else jnp.arange(shape[0])

    def loss(params: Any) -> jax.Array:
        return mean_cross_entropy(model.apply(params, x), targets)

    def seen(params: Any) -> Any:
        return observe(model, params, [x], lambda outputs: mean_cross_entropy(outputs, targets))

    def statistics(seen: Any) -> Any:
        return jax.device_get(summarize(model, params, seen, shape[0]))

    found: dict[str, Any] = {"shape": list(shape), "layers": len(model.layers)}
    calls = {}
    for name, function, after in (
        ("value_and_grad", jax.value_and_grad(loss), jax.block_until_ready),
        ("diagnose", seen, statistics),
    ):
        begin = time.perf_counter()
        program = jax.jit(function).lower(params).compile()
        after(program(params))
        plan = program.memory_analysis()
        sizes = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        found[name] = {
            "first": time.perf_counter() - begin,
            "bytes": sum(getattr(plan, size) for size in sizes),
        }
        calls[name] = lambda program=program, after=after: after(program(params))
    for name, seconds in measure.interleaved(calls, rounds).items():
        found[name]["seconds"] = seconds
    return found
