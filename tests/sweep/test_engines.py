"""The engines of clusters, run for real on this machine, give the records of one process.

They need `pip install 'jinit[ray]' submitit 'dask[distributed]'`, and fail without.
"""

import os
from pathlib import Path

import pytest
from sweep.interrupted import study
from sweep.test_resume import assert_equal_records, frame
from sweep.test_worker import FEW, assert_equal_params

from jinit.sweep import RayExecutor

# Threads and sockets of these libraries outlive their clusters for a moment.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of the sweep, run by one process."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    study(**FEW).run(directory)
    return directory


@pytest.fixture
def import_path(monkeypatch):
    """Let the processes of a cluster import the functions of these tests."""
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, *before]))


@pytest.fixture
def ray_cluster(import_path):
    """Three nodes of Ray on this machine, each of which runs one task at a time."""
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    nodes = [cluster.add_node(**options) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_ray_cluster_loses_a_node(tmp_path, ray_cluster, whole):
    cluster, (lost, _) = ray_cluster
    removed = []

    def remove_node(progress):
        if progress.stage == "training" and not removed:
            removed.append(progress.lane_steps)
            cluster.remove_node(lost, allow_graceful=False)

    study(**FEW).run(tmp_path, remove_node, executor=RayExecutor())
    assert removed
    assert removed[0] < 24 * FEW["steps"]
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)


def test_jobs_of_submitit(tmp_path, import_path, whole):
    """Each task is a job of its own, as on SLURM; here a process of this machine."""
    import submitit

    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=10)
    study(**FEW).run(tmp_path / "run", executor=executor)
    assert_equal_records(tmp_path / "run", frame(whole))
    assert_equal_params(tmp_path / "run", whole)


@pytest.mark.parametrize("threads", [1, 2])
def test_processes_of_dask(tmp_path, whole, threads):
    from dask.distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": threads, "dashboard_address": None}
    with LocalCluster(processes=True, **options) as cluster, Client(cluster) as client:
        executor = client.get_executor() if threads == 1 else client
        study(**FEW).run(tmp_path, executor=executor)
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)


def test_threads_of_dask_are_refused(tmp_path):
    from dask.distributed import Client, LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with (
        LocalCluster(processes=False, **options) as cluster,
        Client(cluster) as client,
        pytest.raises(ValueError, match=r"its tasks run in this process, .* give one of processes"),
    ):
        study(**FEW).run(tmp_path / "out", executor=client.get_executor())
    assert not (tmp_path / "out").exists()
