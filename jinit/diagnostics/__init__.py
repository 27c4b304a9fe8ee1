"""Diagnose a network at initialization: measure it, compare it with theory, judge it."""

from jinit.diagnostics.diagnose import diagnose
from jinit.diagnostics.judging.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.judging.learning_rate import LearningRateDiagnosis
from jinit.diagnostics.measuring.measure import Measurements, measure
from jinit.diagnostics.measuring.signal import Signal, layer_signals, signal
from jinit.diagnostics.phase import PhaseDiagram, depth_diagram, phase_diagram
from jinit.diagnostics.recorded import RecordedJudge, keep_compact
from jinit.diagnostics.scale_effect import ScaleEffect, scale_effect
from jinit.diagnostics.spectra.curvature import Curvature, curvature
from jinit.diagnostics.spectra.gradients import GradientNoise, gradient_noise, gradient_quotient
from jinit.diagnostics.spectra.jacobian import Jacobian, jacobian
from jinit.diagnostics.spectra.tangent_kernel import EmpiricalKernel, tangent_kernel

__all__ = [
    "Curvature",
    "Diagnosis",
    "EmpiricalKernel",
    "GradientNoise",
    "Jacobian",
    "LayerDiagnosis",
    "LearningRateDiagnosis",
    "Measurements",
    "PhaseDiagram",
    "RecordedJudge",
    "ScaleEffect",
    "Signal",
    "curvature",
    "depth_diagram",
    "diagnose",
    "gradient_noise",
    "gradient_quotient",
    "jacobian",
    "keep_compact",
    "layer_signals",
    "measure",
    "phase_diagram",
    "scale_effect",
    "signal",
    "tangent_kernel",
]
