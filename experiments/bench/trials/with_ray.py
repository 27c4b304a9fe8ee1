"""Ray Tune: each trial is the jitted Python loop, in one worker process per core.

Workers are reused from trial to trial, which is not Ray's default, so that JAX is imported and the
loop compiled only once per worker and search.
"""

import logging
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the old output obeys verbose=0

import ray
from machine import cores
from ray import tune

from trials import PROBLEMS


def start(problem: str) -> dict:
    """Start Ray's processes on this machine, and search once with two trials."""
    begin = time.perf_counter()
    here = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    ray.init(
        num_cpus=cores(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    run(problem, len(PROBLEMS[problem].rates), 2)
    return {"start_seconds": time.perf_counter() - begin}


def run(problem: str, trials: int, steps: int) -> dict:
    """Search the grid of seeds and learning rates, one core for each trial."""
    rates = list(PROBLEMS[problem].rates)
    seeds = list(range(trials // len(rates)))

    def train(config: dict) -> None:
        from trials import with_jax

        loss = with_jax.loop(problem).trial(config["seed"], config["rate"], steps)
        tune.report({"loss": loss})

    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space={"seed": tune.grid_search(seeds), "rate": tune.grid_search(rates)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=directory, verbose=0),
        )
        results = tuner.fit()
        seconds = time.perf_counter() - begin
    found = {}
    for each in results:
        config, metrics = each.config or {}, each.metrics or {}
        found[config["seed"], config["rate"]] = metrics["loss"]
    return {"seconds": seconds, "losses": [found[seed, rate] for seed in seeds for rate in rates]}
