"""A sweep that tests interrupt, in their process or in one of its own."""

import sys

import jinit
from jinit.sweep import mlp


def build(config):
    """A small network of one or two hidden layers."""
    return mlp(64, 10, depth=config["depth"], width=8, init=config["init"])


def study(**options):
    space = jinit.grid(init=["he_normal", "zeros"], depth=[1, 2], lr=[1e-2, 1e-1])
    options = {"seeds": 2, "steps": 30, "record_every": 10, "lanes": 8} | options
    return jinit.Sweep(jinit.tasks.digits(), build, space, **options)


if __name__ == "__main__":
    directory, seeds, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    def show(progress):
        if progress.lane_steps >= end:
            raise SystemExit

    study(seeds=seeds, lanes=4).resume(directory, show)
