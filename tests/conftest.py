"""Eight CPU devices and strict settings, in place before any test module imports JAX."""

import functools
import gc
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"


# Folder in which the processes of one test run share what they compile.
CACHE = pytest.StashKey[str]()
COMPILES_FAST = pytest.StashKey[bool]()


# Tests and doctests that depend on the version of Python, JAX or Flax; CI repeats them with the
# newest. All others are marked `once`.
REPEATED = (
    "contracts",
    "hooks",
    "model",
    "programs/test_fast_init.py",
    "programs/test_sharded.py",
    "initializers/test_drop_in.py",
    "initializers/test_framework.py",
    "initializers/test_marginal_moments.py",
    "initializers/test_options.py",
    "initializers/test_out_sharding.py",
    "initializers/test_random.py",
    "initializers/test_sparse.py",
    "initializers/test_values.py",
    "rules/test_initialize.py",
    "rules/test_match.py",
    "sampling/test_key_derivation.py",
    "sampling/test_products.py",
    "sampling/test_rounding.py",
    "sampling/test_sharding.py",
    "sampling/test_threefry.py",
    "sweep/test_against_a_plain_loop.py",
    "sweep/test_trial.py",
    "test_public_api.py",
)
REPEATED_DOCTESTS = ("hooks", "model", "programs", "rules")

# Rooms and files whose tests spend most of their time in the compiler and compare no bits with
# JAX's. Tests and doctests there that are neither slow nor repeated compile with few optimizations.
COMPILED_FAST = (
    "calibrate",
    "cli",
    "diagnostics",
    "frameworks/test_equinox.py",
    "gains",
    "initializers/adapters",
    "initializers/test_activation.py",
    "initializers/test_adapters.py",
    "initializers/test_attention.py",
    "initializers/test_combinators.py",
    "initializers/test_convolutional.py",
    "initializers/test_distributions.py",
    "initializers/test_embedding.py",
    "initializers/test_gradient_and_input_factors.py",
    "initializers/test_marginals.py",
    "initializers/test_orthogonal.py",
    "initializers/test_periodic.py",
    "initializers/test_recurrent.py",
    "initializers/test_structured.py",
    "lessons",
    "pretrain",
    "rules/test_architectures.py",
    "rules/test_fitting.py",
    "rules/test_mimetic.py",
    "rules/test_mup.py",
    "rules/test_plan.py",
    "rules/test_recipe_parity.py",
    "sweep",
    "test_readme.py",
    "test_tutorials.py",
)
OPTIMIZATION = "jax_disable_most_optimizations"


@functools.cache
def repeated_paths() -> list[pathlib.Path]:
    """The files and folders of both lists."""
    here = pathlib.Path(__file__).parent
    tests = [here / place for place in REPEATED]
    found = [*tests, *(here.parent / "jinit" / room for room in REPEATED_DOCTESTS)]
    if missing := [str(path) for path in tests if not path.exists()]:
        raise pytest.UsageError(f"tests/conftest.py: REPEATED names {missing}, which do not exist")
    return found


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Import no file whose tests are all marked `once`, where these are left out."""
    if "not once" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return None if {*repeated_paths()} & {collection_path, *collection_path.parents} else True


def mark_cases_beyond_few(items: list[pytest.Item]) -> None:
    """Mark cases of the tests marked `few` as slow, but for some that are spread evenly."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for several in cases.values():
        (count,) = several[0].get_closest_marker("few").args
        kept = {len(several) * place // count for place in range(count)}
        for place, item in enumerate(several):
            if place not in kept:
                item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_cases_beyond_few(items)
    repeated, here = set(repeated_paths()), pathlib.Path(__file__).parent
    rooms = {folder / room for room in COMPILED_FAST for folder in (here, here.parent / "jinit")}
    for item in items:
        places = {item.path, *item.path.parents}
        if not repeated & places:
            item.add_marker(pytest.mark.once)
            if rooms & places and item.get_closest_marker("slow") is None:
                item.stash[COMPILES_FAST] = True
    # A worker changes the options once: each change forgets what was compiled.
    items.sort(key=lambda item: item.stash.get(COMPILES_FAST, False))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose how the test compiles; it must not find programs that were compiled otherwise."""
    import jax

    fast = item.stash.get(COMPILES_FAST, False)
    if jax.config.read(OPTIMIZATION) != fast:
        jax.clear_caches()
        for name in [name for name in sys.modules if name.partition(".")[0] == "jinit"]:
            for value in list(vars(sys.modules[name]).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
        jax.config.update(OPTIMIZATION, fast)
        os.environ[OPTIMIZATION.upper()] = str(int(fast))


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
