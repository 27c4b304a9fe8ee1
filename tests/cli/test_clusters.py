"""The files of experiments/clusters, run for real on this machine, give the records of one process.

The slow tests need `pip install 'jinit[ray]' submitit kubernetes-validate`, and fail without.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep.test_resume import assert_equal_records, frame

from jinit.sweep import sweep_from_toml

CLUSTERS = Path(__file__).parents[2] / "experiments" / "clusters"
STUDY = """
task = "digits"
seeds = 16
steps = 300
record_every = 100
lanes = 8
width = 8

[space]
init = ["he_normal", "zeros"]
depth = [1]
lr = [1e-2, 1e-1]
"""


def text_of(name):
    return (CLUSTERS / name).read_text("utf-8")


def test_every_file_is_listed_and_the_study_can_be_trained():
    names = {path.name for path in CLUSTERS.iterdir() if path.is_file()} - {"README.md"}
    assert all(f"[{name}]({name})" in text_of("README.md") for name in names)
    assert sweep_from_toml(CLUSTERS / "study.toml").total_lanes == 6 * 3 * 4 * 32


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study, and its records of one process."""
    folder = tmp_path_factory.mktemp("study")
    file = folder / "study.toml"
    file.write_text(STUDY)
    sweep_from_toml(file).run(folder / "whole")
    return file, frame(folder / "whole")


@pytest.fixture
def variables(tmp_path):
    """The environment of a node, on whose path is the command jinit."""
    command = tmp_path / "bin" / "jinit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jinit "$@"\n')
    command.chmod(0o755)
    return os.environ | {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}


def slurm(run, file):
    return ["bash", str(CLUSTERS / "slurm.sbatch"), str(run), str(file)]


def kubernetes(run, file):
    import kubernetes_validate
    import yaml

    claim, job = yaml.safe_load_all(text_of("kubernetes.yaml"))
    for document in (claim, job):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    assert job["spec"]["completions"] == job["spec"]["parallelism"]
    pod = job["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 30
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = pod["containers"]
    places = {"/study/run": str(run), "/study/study.toml": str(file)}
    assert container["volumeMounts"][0]["mountPath"] == "/study"
    assert set(places) <= set(container["command"])
    return [places.get(word, word) for word in container["command"]]


def skypilot(run, file):
    import yaml

    task = yaml.safe_load(text_of("skypilot.yaml"))
    ((there, here),) = task["file_mounts"].items()
    assert (CLUSTERS / here).exists()
    assert list(task["volumes"]) == ["/study"]
    script = task["run"].replace(there, str(file)).replace("/study/run", str(run))
    assert str(file) in script
    assert str(run) in script
    return ["bash", "-c", script]


ENGINES = [
    (slurm, "SLURM_ARRAY_TASK_ID", {"SLURM_ARRAY_JOB_ID": "4242", "SLURM_JOB_ID": "4243"}),
    (kubernetes, "JOB_COMPLETION_INDEX", {}),
    (skypilot, "SKYPILOT_NODE_RANK", {"SKYPILOT_NUM_NODES": "2"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "index", "others"), ENGINES, ids=[engine.__name__ for engine, *_ in ENGINES]
)
def test_workers_of_which_one_is_terminated(tmp_path, study, variables, engine, index, others):
    run = tmp_path / "run"
    command = engine(run, study[0])

    def start(number):
        return subprocess.Popen(
            command, cwd=tmp_path, env=variables | others | {index: str(number)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    workers = [start(0), start(1)]
    while len(list(run.glob("workers/*.json"))) < 2:
        assert all(each.poll() is None for each in workers)
        time.sleep(0.05)
    os.killpg(workers[0].pid, signal.SIGTERM)
    said = workers[0].communicate()[0]
    assert workers[0].returncode == 143, said
    assert "interrupted; other workers go on" in said
    for worker in (workers[1], start(0)):
        said = worker.communicate()[0]
        assert worker.returncode == 0, said
        assert "all runs are recorded" in said
    assert_equal_records(run, study[1])


@pytest.mark.slow
def test_the_usage_of_the_slurm_script(tmp_path):
    done = subprocess.run(
        ["bash", str(CLUSTERS / "slurm.sbatch"), "DIR"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "usage: sbatch --array=0-7 slurm.sbatch DIR FILE.toml" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("processes.py", ["--processes", "2"]),
        ("submitit_array.py", ["--workers", "2", "--cluster", "local"]),
        ("ray_cluster.py", ["--address", "local", "--cpus", "1"]),
    ],
)
def test_scripts(tmp_path, study, script, options):
    command = [sys.executable, str(CLUSTERS / script), "run", str(study[0]), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_equal_records(tmp_path / "run", study[1])
