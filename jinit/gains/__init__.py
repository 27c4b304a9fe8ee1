"""The scale that each parameter needs, and whether it has it."""

from jinit.gains.audit import (
    Misfit,
    ParameterScale,
    audit,
    misfit_cause,
    parameter_scales,
    scales_by_path,
    shape_fan_in,
    wrong_fan_cause,
)
from jinit.gains.deep_variances import DeepVariances, deep_variances
from jinit.gains.equal_arrays import find_equal_arrays, read_numbers
from jinit.gains.gates import NeededGateBias, needed_gate_bias
from jinit.gains.low_precision import low_precision_cause
from jinit.gains.naming import activation_name, activation_text
from jinit.gains.needed import CRITERIA, Criterion, NeededScale, accepted_stds, needed

__all__ = [
    "CRITERIA",
    "Criterion",
    "DeepVariances",
    "Misfit",
    "NeededGateBias",
    "NeededScale",
    "ParameterScale",
    "accepted_stds",
    "activation_name",
    "activation_text",
    "audit",
    "deep_variances",
    "find_equal_arrays",
    "low_precision_cause",
    "misfit_cause",
    "needed",
    "needed_gate_bias",
    "parameter_scales",
    "read_numbers",
    "scales_by_path",
    "shape_fan_in",
    "wrong_fan_cause",
]
