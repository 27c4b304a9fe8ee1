"""Many trials in few compilations: seeds, initializations and rates are lanes of one program."""

from jinit.sweep import tasks
from jinit.sweep.between import between
from jinit.sweep.engine import Progress, Sweep
from jinit.sweep.lanes import use_all_cores
from jinit.sweep.networks import activation_function, mlp
from jinit.sweep.search import random_search, sobol
from jinit.sweep.space import Space, grid, zipped
from jinit.sweep.tasks import Task

__all__ = [
    "Progress",
    "Space",
    "Sweep",
    "Task",
    "activation_function",
    "between",
    "grid",
    "mlp",
    "random_search",
    "sobol",
    "tasks",
    "use_all_cores",
    "zipped",
]
