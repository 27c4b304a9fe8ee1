"""jinit: all trials as lanes of one compiled sweep, and the machine's matmul rate beside it."""

import tempfile
import time

import flax.linen as nn
import jax
import measure
import optax

import jinit
from trials import LEARNING_RATES, WIDTHS

jinit.sweep.use_all_cores()  # before JAX first computes: one CPU device per core

MATMUL_SIZE = 2048


class MLP(nn.Module):
    """Dense layers with relu between them."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x):
        """Logits of a batch."""
        for width in WIDTHS[1:-1]:
            x = nn.relu(nn.Dense(width, kernel_init=self.kernel_init)(x))
        return nn.Dense(WIDTHS[-1], kernel_init=self.kernel_init)(x)


def start(trials: int, steps: int) -> dict:
    """Run the sweep that will be timed once, so that everything is loaded and compiled.

    Its training program is compiled by each run and timed apart, but the small programs that
    draw the initial parameters are compiled where they are first used, in the middle of a run.
    """
    first = run(trials, steps)
    device = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    return {"device": device, "first_run": first}


def run(trials: int, steps: int) -> dict:
    """Train the given number of lanes, seeds × learning rates, and record them on disk as users do.

    `seconds` is what the sweep itself records as training, from drawing the initial parameters
    to the last score; `whole_seconds` adds tracing, compiling, writing and reading the records.
    """
    space = jinit.grid(init=[jinit.he_normal()], lr=list(LEARNING_RATES))
    sweep = jinit.Sweep(
        jinit.tasks.digits(),
        lambda config: MLP(kernel_init=config["init"]),
        space,
        optimizer=optax.adam,
        seeds=trials // len(LEARNING_RATES),
        steps=steps,
    )
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        frame = sweep.run(directory).frame()
        whole = time.perf_counter() - begin
    if len(frame) != trials:
        raise RuntimeError(f"asked for {trials} lanes, the sweep recorded {len(frame)}")
    return {
        "whole_seconds": whole,
        "compile_seconds": float(frame.groupby("group").compile_seconds.first().sum()),
        "seconds": float(frame.groupby(["group", "block"]).run_seconds.first().sum()),
        "accuracy": float(frame.validation_accuracy.mean()),
        "lane_width": int(frame.lane_width.iloc[0]),
    }


def matmul_rate() -> float:
    """FLOP/s of a float32 product of two large square matrices on one device, whole machine."""
    matrix = jax.random.normal(jax.random.key(0), (MATMUL_SIZE, MATMUL_SIZE))
    square(matrix).block_until_ready()
    samples = [measure.seconds(lambda: square(matrix).block_until_ready()) for _ in range(7)]
    return 2 * MATMUL_SIZE**3 / measure.median(samples)


@jax.jit
def square(matrix):
    """Compile the probe."""
    return matrix @ matrix
