"""Lanes by hand, as purejaxrl has made them popular: `jit(vmap(train))`, or `lax.map(train)`.

`train` is one trial from its key to its losses. The lanes are divided over one CPU device per core,
and the program returns what a sweep records: the training loss of every tenth of the steps, and the
validation loss after it.
"""

import os
import time
from functools import cache, partial

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from trials import digits, setting
from trials.in_jax import Training

jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))

RECORDINGS = 10


def train(training: Training, key, rate, batches):
    """Curves of the training loss and of the validation loss of one trial."""

    def step(carry, batch):
        params, state = carry
        x, y = (array[batch] for array in training.train)
        params, state, value = training.step(params, state, rate, x, y)
        return (params, state), value

    def recording(carry, batches):
        carry, values = jax.lax.scan(step, carry, batches)
        return carry, (values.mean(), training.loss(carry[0], *training.validation))

    batches = batches.reshape(RECORDINGS, -1, batches.shape[-1])
    return jax.lax.scan(recording, training.init(key, rate), batches)[1]


def arguments(problem: str, trials: int, steps: int) -> tuple:
    """Keys, rates and indices of the batches of every lane."""
    seeds, rates = zip(*(setting(problem, number) for number in range(trials)), strict=True)
    size = training(problem).size
    indices = {seed: np.stack(list(digits.batches(seed, size, steps))) for seed in set(seeds)}
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    return keys, np.array(rates, np.float32), np.stack([indices[seed] for seed in seeds])


training = cache(Training)


@cache
def program(problem: str, trials: int, steps: int, way: str):
    """The compiled program of so many lanes."""
    one = partial(train, training(problem))

    def by_map(*lanes):
        return jax.lax.map(lambda lane: one(*lane), lanes)

    mesh = Mesh(np.array(jax.devices()), ("lane",))
    mapped = {"vmap": jax.vmap(one), "map": by_map}[way]
    split = PartitionSpec("lane")
    divided = jax.shard_map(mapped, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    return jax.jit(divided).lower(*arguments(problem, trials, steps)).compile()


def start(problem: str, trials: int, steps: int, way: str) -> dict:
    """Compile the program, and run it once where that is short."""
    begin = time.perf_counter()
    program(problem, trials, steps, way)
    return {"compile_seconds": time.perf_counter() - begin}


def run(problem: str, trials: int, steps: int, way: str) -> dict:
    """Train all trials in one call."""
    compiled = program(problem, trials, steps, way)
    begin = time.perf_counter()
    compiled_arguments = jax.device_put(
        arguments(problem, trials, steps), compiled.input_shardings[0]
    )
    _, validation = jax.device_get(compiled(*compiled_arguments))
    return {"seconds": time.perf_counter() - begin, "losses": validation[:, -1].tolist()}
