"""Many vmapped orthogonal layers in one program: jax 0.10-0.11 can deadlock in batched LAPACK."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from jinit.initializers import orthogonal
draw = orthogonal()
def network(key):
    return [draw(key, (128, 128)) for key in jax.random.split(key, 12)]
keys = jax.random.split(jax.random.key(0), 4)
weights = jax.block_until_ready(jax.jit(jax.vmap(network))(keys))
print(len(weights), weights[0].shape)
"""
TIMEOUT_S = 200
# These settings enlarge XLA's thread pool, which hides the deadlock.
POOL_SETTINGS = ("XLA_FLAGS", "PJRT_NPROC", "JAX_NUM_CPU_DEVICES")


def run_program(program: str) -> str:
    """Return the output of a process with JAX's default thread pool; TimeoutExpired if it hangs."""
    environment = {name: value for name, value in os.environ.items() if name not in POOL_SETTINGS}
    process = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
        env=environment | {"JAX_PLATFORMS": "cpu"},
    )
    return process.stdout.strip()


def test_vmapped_orthogonal_layers_do_not_hang():
    assert run_program(PROGRAM) == "12 (4, 128, 128)"


@pytest.mark.slow
@pytest.mark.parametrize("repeat", range(50))
def test_vmapped_orthogonal_layers_never_hang(repeat):
    assert run_program(PROGRAM) == "12 (4, 128, 128)"
