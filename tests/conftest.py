"""Eight CPU devices and strict settings, in place before any test module imports JAX."""

import gc
import os
import pathlib
import shutil
import tempfile

import pytest

EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"


# Where the processes of one test run find what another of them has compiled.
CACHE = pytest.StashKey[str]()


# What does not depend on the version of JAX more than the contracts and all other tests do; of
# rooms their doctests, too.
ONCE = (
    *(
        "theory",
        "report",
        "diagnostics",
        "test_cli.py",
        "test_cli_diagnose.py",
        "test_import_cost.py",
        "test_readme.py",
        "frameworks",
    ),
    *("test_architecture.py", "sampling/test_engines.py", "sampling/test_deadlock.py"),
    *("sampling/test_laws.py", "initializers/test_laws.py"),
    *(
        f"rules/test_{name}.py"
        for name in ("architectures", "mup", "plan", "recipes", "recipes_of_branches", "toml")
    ),
    # Lanes against plain loops of training remain, which would show what a version changes.
    *(
        f"sweep/test_{name}.py"
        for name in ("draws", "engine", "plan", "settings", "space", "tasks")
    ),
    *(
        f"initializers/test_{name}.py"
        for name in (
            *("activation", "adapters", "adapters_of_data", "adapters_of_kernels", "attention"),
            *("combinators", "convolutional", "embedding"),
            *("fans", "gated_linear", "marginals", "orthogonal", "periodic", "recurrent"),
            *("spectral", "state_space", "structured"),
        )
    ),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = pathlib.Path(__file__).parent
    once = {base / place for base in (here, here.parent / "jinit") for place in ONCE}
    for item in items:
        if once & {item.path, *item.path.parents}:
            item.add_marker(pytest.mark.once)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("MPLBACKEND", "Agg")
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, EIGHT_DEVICES]))
    if not hasattr(config, "workerinput"):  # workers and subprocesses inherit the variables
        config.stash[CACHE] = tempfile.mkdtemp(prefix="jinit-tests-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = config.stash[CACHE]
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    import jax

    # jax_numpy_dtype_promotion="strict" is left out: optax.adam raises a float to an int32 count.
    jax.config.update("jax_numpy_rank_promotion", "raise")
    # Traces make many short-lived objects and next to no cycles: rarer collections save a tenth.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_unconfigure(config: pytest.Config) -> None:
    if CACHE in config.stash:
        shutil.rmtree(config.stash[CACHE], ignore_errors=True)
