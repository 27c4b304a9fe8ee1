"""Measure a network at its starting point, compare it with theory, and say what is wrong."""

from jinit.diagnostics.audit import Misfit, Scale, advice, audit, copies, ends_branch, scales
from jinit.diagnostics.curvature import Curvature, curvature
from jinit.diagnostics.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.examine import diagnose
from jinit.diagnostics.gradients import GradientNoise, gradient_noise, gradient_quotient
from jinit.diagnostics.jacobian import Jacobian, jacobian
from jinit.diagnostics.phase import PhaseDiagram, depth_diagram, phase_diagram
from jinit.diagnostics.signal import Signal, signal
from jinit.diagnostics.tangent import EmpiricalKernel, tangent_kernel
from jinit.diagnostics.verdict import verdict

__all__ = [
    "Curvature",
    "Diagnosis",
    "EmpiricalKernel",
    "GradientNoise",
    "Jacobian",
    "LayerDiagnosis",
    "Misfit",
    "PhaseDiagram",
    "Scale",
    "Signal",
    "advice",
    "audit",
    "copies",
    "curvature",
    "depth_diagram",
    "diagnose",
    "ends_branch",
    "gradient_noise",
    "gradient_quotient",
    "jacobian",
    "phase_diagram",
    "scales",
    "signal",
    "tangent_kernel",
    "verdict",
]
