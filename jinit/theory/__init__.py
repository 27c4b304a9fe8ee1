"""What a random layer does to a signal; true without any network."""

from jinit.theory.depth import Response, cosine_map, response, steady
from jinit.theory.finite_width import FiniteWidth, finite_width
from jinit.theory.kernels import Dual, TangentKernel, dual, ntk, ntk_condition_number
from jinit.theory.losses import born_dead, initial_loss
from jinit.theory.marginals import (
    Marginal,
    frame_law,
    normal_law,
    scaled_law,
    truncated_normal_law,
    uniform_law,
)
from jinit.theory.meanfield import (
    FixedPoint,
    c_map,
    critical_point,
    critical_sigma_w2,
    fixed_point,
    q_map,
)
from jinit.theory.moments import Activation, Moments, gain, moments
from jinit.theory.named import ACTIVATIONS
from jinit.theory.quadrature import normal_mean
from jinit.theory.shaping import Shaped, dks, tat, tat_leaky_slope
from jinit.theory.spectra import Spectrum, jacobian_spectrum

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Dual",
    "FiniteWidth",
    "FixedPoint",
    "Marginal",
    "Moments",
    "Response",
    "Shaped",
    "Spectrum",
    "TangentKernel",
    "born_dead",
    "c_map",
    "cosine_map",
    "critical_point",
    "critical_sigma_w2",
    "dks",
    "dual",
    "finite_width",
    "fixed_point",
    "frame_law",
    "gain",
    "initial_loss",
    "jacobian_spectrum",
    "moments",
    "normal_law",
    "normal_mean",
    "ntk",
    "ntk_condition_number",
    "q_map",
    "response",
    "scaled_law",
    "steady",
    "tat",
    "tat_leaky_slope",
    "truncated_normal_law",
    "uniform_law",
]
