"""Theory of signals in random layers, independent of any particular network.

Results are NamedTuples of numbers. `Moments` and `ShapedActivation` are frozen dataclasses, because
they have derived values: a gain, and the activation itself.
"""

from jinit.theory.activations import ACTIVATIONS
from jinit.theory.finite_width import FiniteWidth, finite_width
from jinit.theory.initial_loss import born_dead, initial_loss
from jinit.theory.jacobian_spectrum import JacobianSpectrum, jacobian_spectrum
from jinit.theory.kernels import Dual, TangentKernel, dual, ntk, ntk_condition_number
from jinit.theory.meanfield import (
    CriticalPoint,
    FixedPoint,
    c_map,
    critical_point,
    critical_sigma_w2,
    fixed_point,
    q_map,
)
from jinit.theory.moments import Moments, gain, moments
from jinit.theory.normal_means import ActivationFunction
from jinit.theory.quadrature import normal_mean
from jinit.theory.response import (
    ActivationCorrelation,
    LayerResponse,
    activation_correlation,
    layer_response,
)
from jinit.theory.shaping import ShapedActivation, dks, tat, tat_leaky_slope

__all__ = [
    "ACTIVATIONS",
    "ActivationCorrelation",
    "ActivationFunction",
    "CriticalPoint",
    "Dual",
    "FiniteWidth",
    "FixedPoint",
    "JacobianSpectrum",
    "LayerResponse",
    "Moments",
    "ShapedActivation",
    "TangentKernel",
    "activation_correlation",
    "born_dead",
    "c_map",
    "critical_point",
    "critical_sigma_w2",
    "dks",
    "dual",
    "finite_width",
    "fixed_point",
    "gain",
    "initial_loss",
    "jacobian_spectrum",
    "layer_response",
    "moments",
    "normal_mean",
    "ntk",
    "ntk_condition_number",
    "q_map",
    "tat",
    "tat_leaky_slope",
]
