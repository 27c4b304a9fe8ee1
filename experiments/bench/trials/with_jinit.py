"""jinit: all trials as lanes of one compiled sweep, and the machine's matmul rate beside it."""

import tempfile
import time

import jinit

jinit.sweep.use_all_cores()  # before JAX starts: one CPU device per core

import flax.linen as nn  # noqa: E402
import jax  # noqa: E402
import measure  # noqa: E402
import optax  # noqa: E402

from trials import LEARNING_RATES, WIDTHS  # noqa: E402

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


def start() -> dict:
    """The devices; compiling is left to the first run, which the bench reports by itself."""
    return {"devices": [str(device) for device in jax.devices()]}


def run(trials: int, steps: int) -> dict:
    """So many lanes: seeds × learning rates, written to disk as a user's sweep is."""
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
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "rows": len(frame), "columns": list(frame.columns)}


def matmul_rate() -> float:
    """FLOP/s of a float32 product of two large square matrices on one device, whole machine."""
    matrix = jax.random.normal(jax.random.key(0), (MATMUL_SIZE, MATMUL_SIZE))
    square(matrix).block_until_ready()
    samples = [measure.seconds(lambda: square(matrix).block_until_ready()) for _ in range(7)]
    return 2 * MATMUL_SIZE**3 / measure.median(samples)


@jax.jit
def square(matrix):
    """The probe."""
    return matrix @ matrix
