"""Train a sweep on a Ray cluster: `python ray_cluster.py DIR FILE.toml --address auto --gpus 1`.

Ray runs tasks again that were lost with their node. Only this process writes to the directory. If
it is killed itself, the same command goes on.
"""

import argparse

import ray

from jinit.sweep import RayExecutor, sweep_from_toml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("file")
    parser.add_argument("--address", help="of the cluster; without it, Ray runs on this machine")
    parser.add_argument("--cpus", type=float, default=1, help="cores of a task: those of a node")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of a task")
    given = parser.parse_args()
    ray.init(address=given.address)
    executor = RayExecutor(num_cpus=given.cpus, num_gpus=given.gpus)
    results = sweep_from_toml(given.file).resume(given.directory, print, executor=executor)
    print(results.best()[0].sentence)


if __name__ == "__main__":
    main()
