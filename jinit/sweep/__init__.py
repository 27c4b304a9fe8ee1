"""Many trials in few compilations: seeds, initializations and rates are lanes of one program."""

from jinit.sweep import tasks
from jinit.sweep.between import between
from jinit.sweep.convolutional_network import cnn
from jinit.sweep.data import Data
from jinit.sweep.halving import halving
from jinit.sweep.lane_program import step_key
from jinit.sweep.layers import activation_function
from jinit.sweep.losses import cross_entropy, squared_error
from jinit.sweep.mean import Mean
from jinit.sweep.networks import mlp
from jinit.sweep.optuna_search import run_study
from jinit.sweep.progress import Progress
from jinit.sweep.ray_executor import RayExecutor
from jinit.sweep.recurrent_network import lstm
from jinit.sweep.search import random_search, sobol
from jinit.sweep.settings import sweep_from_toml
from jinit.sweep.space import Space, grid, zipped
from jinit.sweep.sweep import Sweep
from jinit.sweep.task import Task
from jinit.sweep.transformer_network import transformer
from jinit.sweep.trial import Start, Trial
from jinit.sweep.tune import tune

__all__ = [
    "Data",
    "Mean",
    "Progress",
    "RayExecutor",
    "Space",
    "Start",
    "Sweep",
    "Task",
    "Trial",
    "activation_function",
    "between",
    "cnn",
    "cross_entropy",
    "grid",
    "halving",
    "lstm",
    "mlp",
    "random_search",
    "run_study",
    "sobol",
    "squared_error",
    "step_key",
    "sweep_from_toml",
    "tasks",
    "transformer",
    "tune",
    "zipped",
]
