"""Signs of life while something is waited for."""

import time
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import pytest
from sweep.small import shallow, sweep

from jinit.sweep import waiting as module
from jinit.sweep.waiting import Waiting


@pytest.fixture
def signs(monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_SIGNS", 0.02)
    return []


def test_futures_and_arrays(signs):
    waiting = Waiting(lambda: signs.append(time.monotonic()))
    with ThreadPoolExecutor(1) as threads:
        waiting.for_futures([threads.submit(time.sleep, 0.2)])
    assert 2 <= len(signs) <= 10
    waiting.for_arrays({"x": jnp.ones(3) + 1})

    def fail():
        raise ValueError("the compiler failed")

    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="the compiler failed"):
        waiting.for_futures([threads.submit(fail)])


@pytest.mark.slow
def test_a_sweep_never_stands_still_in_silence(signs, tmp_path):
    def note(progress):
        signs.append((time.monotonic(), progress.stage.split(" ")[0]))

    sweep(shallow, init=["he_normal", "zeros"], width=[3, 4], lr=[1e-2]).run(tmp_path / "o", note)
    stages = [stage for _, stage in signs]
    assert set(stages) == {"tracing", "compiling", "training"}
    assert stages.count("tracing") > 1
