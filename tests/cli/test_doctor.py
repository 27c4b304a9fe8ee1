"""`jinit doctor`: what it reads off the machine, and what it advises."""

import copy
import json

import jax
import pytest

from jinit.cli import main
from jinit.cli.advice import advise
from jinit.cli.environment import read_environment

HEALTHY = {
    "versions": {"python": "3.13.1", "jax": "0.12.0"},
    "missing": {"cli": [], "search": []},
    "devices": [{"platform": "cpu", "kind": "cpu", "count": 2}],
    "processes": 1,
    "cores": 2,
    "options": {
        "jax_enable_x64": False,
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_default_matmul_precision": None,
        "jax_debug_nans": False,
        "jax_disable_jit": False,
        "jax_disable_most_optimizations": False,
        "jax_enable_compilation_cache": True,
        "jax_compilation_cache_dir": "/programs",
    },
    "variables": {},
    "accelerators": [],
}

FAULTS = [
    (("versions", "jax", "0.10.2"), "deadlock"),
    (("versions", "jax", "0.11.0"), "deadlock"),
    (("options", "jax_enable_x64", True), "double precision"),
    (("options", "jax_default_prng_impl", "unsafe_rbg"), "unsafe_rbg"),
    (("options", "jax_threefry_partitionable", False), "jax_threefry_partitionable"),
    (("options", "jax_debug_nans", True), "jax_debug_nans is on"),
    (("options", "jax_disable_jit", True), "jax_disable_jit is on"),
    (("options", "jax_enable_compilation_cache", False), "every process compiles"),
    (("options", "jax_compilation_cache_dir", None), "Scripts compile anew"),
    (("missing", "search", ["optuna"]), "pip install 'jinit[search]'"),
    (("accelerators", None, ["gpu"]), "jax[cuda13]"),
    (("accelerators", None, ["tpu"]), "jax[tpu]"),
]


def changed(group: str, name: str | None, value: object) -> dict:
    environment = copy.deepcopy(HEALTHY)
    if name is None:
        environment[group] = value
    else:
        environment[group][name] = value
    return environment


def test_a_healthy_machine_needs_no_advice():
    assert advise(HEALTHY) == []


@pytest.mark.parametrize("version", ["0.9.2", "0.11.1", "0.12.0.1"])
def test_other_versions_of_jax_do_not_deadlock(version):
    assert advise(changed("versions", "jax", version)) == []


@pytest.mark.parametrize(("change", "said"), FAULTS)
def test_one_fault_gives_one_piece_of_advice(change, said):
    (line,) = advise(changed(*change))
    assert said in line


def test_a_variable_that_hides_the_accelerator_is_named():
    environment = changed("accelerators", None, ["gpu"])
    environment["variables"]["JAX_PLATFORMS"] = "cpu"
    (line,) = advise(environment)
    assert line == "There is a GPU, and JAX_PLATFORMS=cpu hides it from JAX; unset it."


def test_an_accelerator_in_use_needs_no_advice():
    environment = changed("accelerators", None, ["gpu"])
    environment["devices"] = [{"platform": "gpu", "kind": "NVIDIA H200", "count": 8}]
    environment["versions"]["jax"] = "0.10.2"
    assert advise(environment) == []


def test_the_environment_is_that_of_this_process():
    found = read_environment()
    (device,) = found["devices"]
    assert device == {"platform": "cpu", "kind": "cpu", "count": 8}
    assert found["versions"]["jax"] == jax.__version__
    assert set(found["options"]) == set(HEALTHY["options"])
    assert set(found) == set(HEALTHY)
    with jax.enable_x64(True):
        jax.config.update("jax_debug_nans", True)
        assert read_environment()["options"]["jax_debug_nans"] is True
        jax.config.update("jax_debug_nans", False)


def test_the_command_prints_everything_and_writes_plain_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=\x1b[31m")
    monkeypatch.setattr("jinit.cli.machine_rates._REPEATS", 1)
    file = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"jax {jax.__version__}" in shown
    assert "\x1b" not in shown
    written = json.loads(file.read_text())
    assert set(written) == {*HEALTHY, "rates", "advice"}
    assert written["rates"]["matmul"] > 1e6
    assert written["advice"] == advise(read_environment())
    unwrapped = " ".join(shown.split())
    assert all(sentence in unwrapped for sentence in written["advice"])


def test_a_folder_that_is_missing_is_refused_before_any_work(capsys):
    assert main(["doctor", "--json", "no/such/file.json"]) == 2
    assert "there is no directory" in capsys.readouterr().err
