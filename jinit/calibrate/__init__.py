"""Initialization that looks at data, one method per file."""

from jinit.calibrate.actnorm import actnorm
from jinit.calibrate.array_file import read_array_file, write_array_file
from jinit.calibrate.autoinit import autoinit
from jinit.calibrate.batches import DataBatches, read_batches
from jinit.calibrate.checkpoint import CheckpointFile
from jinit.calibrate.checkpoint_identity import digest_arrays, explain_difference
from jinit.calibrate.class_prior import class_prior
from jinit.calibrate.find_lr import LearningRateReport, find_lr
from jinit.calibrate.gradinit import gradinit
from jinit.calibrate.kernels import AppliedKernels
from jinit.calibrate.long_method import LongMethod
from jinit.calibrate.loop import Loop, LoopBody, LoopEnd, LoopRunner
from jinit.calibrate.lsuv import lsuv
from jinit.calibrate.metainit import metainit
from jinit.calibrate.method import Findings, Method, apply_or_keep
from jinit.calibrate.method_progress import LayerPlace, MethodProgress, ShowProgress
from jinit.calibrate.patches import patches
from jinit.calibrate.plain_arrays import from_plain_arrays, to_plain_arrays
from jinit.calibrate.report import Report
from jinit.calibrate.watched_run import run_watched
from jinit.calibrate.weight_norm import weight_norm

__all__ = [
    "AppliedKernels",
    "CheckpointFile",
    "DataBatches",
    "Findings",
    "LayerPlace",
    "LearningRateReport",
    "LongMethod",
    "Loop",
    "LoopBody",
    "LoopEnd",
    "LoopRunner",
    "Method",
    "MethodProgress",
    "Report",
    "ShowProgress",
    "actnorm",
    "apply_or_keep",
    "autoinit",
    "class_prior",
    "digest_arrays",
    "explain_difference",
    "find_lr",
    "from_plain_arrays",
    "gradinit",
    "lsuv",
    "metainit",
    "patches",
    "read_array_file",
    "read_batches",
    "run_watched",
    "to_plain_arrays",
    "weight_norm",
    "write_array_file",
]
