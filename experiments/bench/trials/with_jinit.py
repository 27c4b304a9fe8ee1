"""jinit: all trials as lanes of one compiled sweep, and the machine's matmul rate beside it."""

import tempfile
import time
from functools import cache

import jax
import measure
import optax

import jinit
from trials import BATCH, PROBLEMS, digits
from trials.networks import NETWORKS

MATMUL_SIZE = 2048
WARM_UP_STEPS = 10


def start(problem: str, trials: int, steps: int) -> dict:
    """Run a short sweep of the same lanes once, so that everything is loaded.

    The training program is compiled by each run and timed apart, but the small programs that draw
    the initial parameters are compiled where they are first used, in the middle of a run.
    """
    first = run(problem, trials, min(steps, WARM_UP_STEPS))
    device = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    return {"device": device, "first_run": first}


def run(problem: str, trials: int, steps: int, executor: str = "auto") -> dict:
    """Train the given number of lanes, seeds × learning rates, and record them on disk as users do.

    `whole_seconds` is a first sweep of a task, with tracing, compiling, writing and reading the
    records. `seconds` is what a second sweep of that task, which compiles nothing as the rivals do
    not, records as training, from drawing the initial parameters to the last score.
    """
    train, validation = digits.load(problem)
    task = jinit.Task(problem, train, validation, batch_size=BATCH)
    whole_seconds, first = sweep(task, trials, steps, executor)
    _, frame = sweep(task, trials, steps, executor)
    return {
        "whole_seconds": whole_seconds,
        "compile_seconds": float(first.groupby("group").compile_seconds.first().sum()),
        "seconds": float(frame.groupby(["group", "block"]).run_seconds.first().sum()),
        "losses": frame.sort_values(["seed", "lr"]).validation_loss.tolist(),
        "lane_width": int(frame.lane_width.iloc[0]),
    }


@cache
def build(problem: str):
    """Return the function that builds the network of a problem, one function for all sweeps."""
    return lambda config: NETWORKS[problem](kernel_init=config["init"])


def sweep(task: jinit.Task, trials: int, steps: int, executor: str):
    """Run a sweep; its seconds and its records."""
    rates = PROBLEMS[task.name].rates
    swept = jinit.Sweep(
        task,
        build(task.name),
        jinit.grid(init=[jinit.he_normal()], lr=list(rates)),
        optimizer=optax.adam,
        seeds=trials // len(rates),
        steps=steps,
        executor=executor,
    )
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        frame = swept.run(directory).frame()
        seconds = time.perf_counter() - begin
    if len(frame) != trials:
        raise RuntimeError(f"asked for {trials} lanes, the sweep recorded {len(frame)}")
    return seconds, frame


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
