"""A sweep that tests interrupt, in their process or in one of its own."""

import sys

import jax

import jinit
from jinit.sweep import mlp


def build(config):
    """A small network of one or two hidden layers."""
    return mlp(64, 10, depth=config["depth"], width=8, init=config["init"])


def study(**options):
    space = jinit.grid(init=["he_normal", "zeros"], depth=[1, 2], lr=[1e-2, 1e-1])
    options = {"seeds": 2, "steps": 30, "record_every": 10, "lanes": 8} | options
    return jinit.Sweep(jinit.tasks.digits(), build, space, **options)


def run(directory, seeds, mode, *others):
    """Resume the sweep, up to a number of lane-steps; or be a worker, or one process of several."""
    sweep = study(seeds=int(seeds), lanes=4)
    if mode == "worker":
        sweep.work(directory, lease_seconds=4.0)
    elif mode == "distributed":
        number, count, port = map(int, others)
        jax.distributed.initialize(f"127.0.0.1:{port}", count, number)
        results = sweep.run(directory)
        if number == 0:
            assert results.params()
    else:
        sweep.resume(directory, lambda progress: stop_at(progress, int(mode)))


def stop_at(progress, end):
    if progress.lane_steps >= end:
        raise SystemExit


if __name__ == "__main__":
    run(*sys.argv[1:])
