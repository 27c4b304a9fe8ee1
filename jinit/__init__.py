"""jinit: from which weights should this network start, and how do I know?"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from jinit import initializers, report, sampling, sweep, theory
from jinit.initializers import (
    CATALOG,
    Initializer,
    constant,
    delta_orthogonal,
    from_spec,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    ones_init,
    orthogonal,
    random_normal,
    random_uniform,
    sigmoid_normal,
    sigmoid_uniform,
    truncated_normal,
    uniform,
    variance_scaling,
    xavier_fan_in_normal,
    xavier_fan_in_uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
    zeros_init,
)
from jinit.model import Model, trace
from jinit.report import Results
from jinit.sweep import Space, Sweep, Task, grid, tasks

if TYPE_CHECKING:
    from jinit.hooks import linen, nnx

__version__ = metadata.version("jinit")

__all__ = [
    "CATALOG",
    "Initializer",
    "Model",
    "Results",
    "Space",
    "Sweep",
    "Task",
    "constant",
    "delta_orthogonal",
    "from_spec",
    "glorot_normal",
    "glorot_uniform",
    "grid",
    "he_normal",
    "he_uniform",
    "initializers",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "linen",
    "nnx",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "report",
    "sampling",
    "sigmoid_normal",
    "sigmoid_uniform",
    "sweep",
    "tasks",
    "theory",
    "trace",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_fan_in_normal",
    "xavier_fan_in_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
    "zeros_init",
]


def __getattr__(name: str) -> Any:
    """`jinit.linen` and `jinit.nnx` import Flax, so they are loaded when first asked for."""
    if name in ("linen", "nnx"):
        return import_module(f"jinit.hooks.{name}")
    raise AttributeError(f"module 'jinit' has no attribute {name!r}")
