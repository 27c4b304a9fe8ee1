"""`import jinit` is cheap: heavy libraries are loaded by the call that needs them, not before."""

import subprocess
import sys

HEAVY = (
    "jax",
    "flax.linen",
    "jinja2",
    "matplotlib",
    "numpy.polynomial",
    "pandas",
    "plotly",
    "scipy",
    "sklearn",
)


def heavy_after(code: str) -> list[str]:
    """The heavy libraries that a fresh interpreter has loaded after running `code`."""
    report = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_import_jinit_loads_nothing_heavy():
    assert heavy_after("import jinit") == []


def test_all_public_names_load_jax_alone():
    names = "(name for name in jinit.__all__ if name not in ('linen', 'nnx'))"
    code = f"import jinit; [getattr(jinit, name) for name in {names}]"
    assert heavy_after(code) == ["jax"]


def test_a_heavy_import_is_seen():
    assert heavy_after("import matplotlib") == ["matplotlib"]
