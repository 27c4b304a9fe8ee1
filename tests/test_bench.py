"""The bench of accelerators runs where there is none, with small sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "experiments" / "bench" / "run.py"


@pytest.mark.slow
def test_the_bench_of_accelerators_runs_on_a_cpu(tmp_path):
    file = tmp_path / "results.json"
    command = [sys.executable, BENCH, "accelerator", "--device", "cpu", "--quick", "--json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "goal: 1024 lanes in no more time than one PyTorch training" in done.stdout
    results = json.loads(file.read_text())
    assert results["machine"]["date"]
    assert results["machine"]["versions"]["jax"]
    assert "cpu" in results["device"]
    (turn,) = results["lanes"]["rounds"]
    assert len(turn["16 lanes"]["losses"]) == 16
    assert {"seconds", "missing"} & set(turn["PyTorch"])
    assert set(results["model_init"]["ways"]) == {
        *("linen init", "linen fast_init", "linen flax", "linen flax jit")
    }
