"""jinit keeps to the arrows between its rooms, and every guard of them is seen to fail."""

import importlib.util
from pathlib import Path

import pytest
from architecture import (
    ARROWS,
    GUARDS,
    Room,
    cycle,
    eager_command_line,
    flax_outside_hooks,
    forbidden_libraries,
    forbidden_rooms,
    front_door_definitions,
    jax_in_report,
    long_files,
    module_cycles,
    names_defined_twice,
    prints,
    private_jax,
    room_cycles,
    root_imports,
    scattered_libraries,
    unknown_rooms,
    unused_arrows,
)


def sources_of_jinit() -> dict[str, str]:
    """The installed or checked-out sources, found without importing them."""
    spec = importlib.util.find_spec("jinit")
    assert spec is not None, "jinit is not installed"
    package = Path(str(spec.origin)).parent
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package.parent).as_posix(): file.read_text("utf-8") for file in files}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_jinit_keeps(guard):
    sources = sources_of_jinit()
    assert "jinit/__init__.py" in sources
    assert guard(sources) == []


def test_half_of_the_files_are_short():
    lengths = sorted(len(text.splitlines()) for text in sources_of_jinit().values())
    assert lengths[len(lengths) // 2] <= 130


def test_the_table_names_known_rooms_and_has_no_cycle():
    graph = {name: set(room.rooms.split()) for name, room in ARROWS.items()}
    assert set().union(*graph.values()) <= set(ARROWS)
    assert cycle(graph) == []


GOOD = {
    "jinit/__init__.py": '"""Doc."""\nfrom .sampling import normal\n__all__ = ["normal"]',
    "jinit/sampling/__init__.py": "from .threefry import bits",
    "jinit/choice.py": "import difflib",
    "jinit/sampling/orthonormal.py": "from jinit.choice import check_choice",
    "jinit/sampling/threefry.py": "import jax.numpy as jnp\nimport numpy, math",
    "jinit/theory/moments.py": "from scipy import stats",
    "jinit/initializers/base.py": "from ..sampling import normal\nfrom jinit import theory",
    "jinit/hooks/linen.py": "from flax import linen",
    "jinit/sweep/store.py": "from jinit.hooks import as_model\ndef f():\n    import pyarrow",
    "jinit/report/table.py": "import rich.table, pandas",
    "jinit/cli/main.py": "import click\ndef run():\n    from ..sweep import Sweep\n    print(1)",
    "jinit/__main__.py": "from jinit.cli import main",
}

SAMPLING, CLI = "jinit/sampling/a.py", "jinit/cli/sweep.py"
SWEEP, STORE = "jinit/sweep/a.py", "jinit/sweep/b.py"
BAD = [
    (long_files, {SAMPLING: "pass\n" * 351}),
    (names_defined_twice, dict.fromkeys((SWEEP, STORE), "def f():\n    pass")),
    (names_defined_twice, {SWEEP: "A = 1", STORE: "class A:\n    pass"}),
    (unknown_rooms, {"jinit/utils/a.py": ""}),
    (unknown_rooms, {"jinit/helpers.py": ""}),
    (forbidden_rooms, {SAMPLING: "import jinit.theory.moments"}),
    (forbidden_rooms, {SAMPLING: "from jinit.theory import gain"}),
    (forbidden_rooms, {SAMPLING: "from jinit import theory"}),
    (forbidden_rooms, {SAMPLING: "from ..theory.moments import gain"}),
    (forbidden_rooms, {SAMPLING: "from .. import theory"}),
    (forbidden_rooms, {SAMPLING: "def f():\n    from ..theory import gain"}),
    (forbidden_rooms, {SAMPLING: "if True:\n    class A:\n        from ..theory import gain"}),
    (forbidden_rooms, {SAMPLING: "import importlib\nimportlib.import_module('jinit.theory')"}),
    (forbidden_rooms, {SAMPLING: "import_module('..theory', __package__)"}),
    (forbidden_rooms, {SWEEP: "from jinit.hooks import linen"}),
    (forbidden_rooms, {SWEEP: "import jinit.hooks"}),
    (forbidden_libraries, {SAMPLING: "import scipy.stats"}),
    (forbidden_libraries, {SAMPLING: "def f():\n    from scipy import stats"}),
    (forbidden_libraries, {SWEEP: "import pandas"}),
    (forbidden_libraries, {"jinit/report/a.py": "import jax.numpy as jnp"}),
    (forbidden_libraries, {"jinit/initializers/a.py": "from flax import nnx"}),
    (scattered_libraries, dict.fromkeys((SWEEP, STORE), "def f():\n    import pyarrow")),
    (root_imports, {SAMPLING: "import jinit"}),
    (root_imports, {SAMPLING: "from jinit import he_normal"}),
    (root_imports, {SAMPLING: "from .. import he_normal"}),
    (root_imports, {CLI: "def main():\n    import jinit"}),
    (private_jax, {SAMPLING: "from jax._src import prng"}),
    (private_jax, {SAMPLING: "import jax._src.prng"}),
    (private_jax, {SAMPLING: "from jax import _src"}),
    (private_jax, {SAMPLING: "import jax\njax._src.prng"}),
    (flax_outside_hooks, {SWEEP: "def f():\n    import flax.linen as nn"}),
    (flax_outside_hooks, {"jinit/__init__.py": "import flax"}),
    (jax_in_report, {"jinit/report/a.py": "def f():\n    import jax"}),
    (prints, {SAMPLING: "def f():\n    print('x')"}),
    (eager_command_line, {CLI: "from ..sweep import Sweep"}),
    (eager_command_line, {CLI: "import rich"}),
    (front_door_definitions, {"jinit/__init__.py": "def f():\n    return 1"}),
    (front_door_definitions, {"jinit/__init__.py": "class A:\n    pass"}),
    (room_cycles, {
        "jinit/model/x.py": "from ..rules import r",
        "jinit/rules/x.py": "def f():\n    from ..model import m",
    }),
    (module_cycles, {SAMPLING: "from .b import x", "jinit/sampling/b.py": "from . import a"}),
    (module_cycles, {
        "jinit/sampling/__init__.py": "from .a import x",
        SAMPLING: "from jinit.sampling import y",
    }),
]  # fmt: skip


# GOOD is too small to use every arrow of the table, so the guard of unused ones has tests below.
ON_SMALL_SOURCES = [guard for guard in GUARDS if guard is not unused_arrows]


@pytest.mark.parametrize("guard", ON_SMALL_SOURCES, ids=lambda guard: guard.__name__)
def test_every_guard_passes_good_sources_and_is_seen_to_fail(guard):
    assert guard(GOOD) == []
    assert any(guard is failing for failing, _ in BAD)


@pytest.mark.parametrize(("guard", "sources"), BAD)
def test_guard_fails(guard, sources):
    assert len(guard(sources)) == 1


def test_imports_inside_functions_close_module_cycles():
    lazy = "def f():\n    from . import a"
    assert module_cycles({SAMPLING: "from .b import x", "jinit/sampling/b.py": lazy}) != []


def test_imports_for_type_checkers_close_no_module_cycle():
    checking = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a"
    assert module_cycles({SAMPLING: "from .b import x", "jinit/sampling/b.py": checking}) == []


@pytest.mark.parametrize(
    ("room", "name"),
    [(Room("theory"), "theory"), (Room(libraries="jax numpy scipy"), "scipy"),
     (Room(tucked="pandas"), "pandas")],
)  # fmt: skip
def test_an_arrow_that_nothing_uses_is_seen(room, name):
    sources = {SAMPLING: "import jax.numpy, numpy"}
    assert unused_arrows(sources, {"sampling": room}) == [
        f"sampling may import {name}, and does not: take it out of ARROWS"
    ]
    used = SAMPLING.replace("a.py", "b.py")
    sources[used] = "def f():\n    from jinit import theory\n    import scipy, pandas"
    assert unused_arrows(sources, {"sampling": room}) == []
