"""Deep chains of layers: phases of tanh, orthogonal weights, residual branches."""

import math

import numpy as np

from jinit.report.learn.numbers import DeepChains, PhaseRow
from jinit.theory import ACTIVATIONS, critical_point, fixed_point, jacobian_spectrum

_LINE_Q = np.geomspace(1e-3, 2.5, 40)
"""Variances of the pre-activations for which the critical line is drawn."""
_DEPTHS = (1, 2, 5, 10, 20, 50)
_POINTS = {
    "half of LeCun's variance": (0.5, 0.0),
    "LeCun, Xavier (square layers)": (1.0, 0.0),
    "small biases, σ_w² = 1": (1.0, 0.05),
    "He": (2.0, 0.0),
    "PyTorch's gain 5/3": ((5 / 3) ** 2, 0.0),
}
_ENSEMBLES = (("identity", "gaussian"), ("identity", "orthogonal"))
_RELU_ENSEMBLES = (("relu", "gaussian"), ("relu", "orthogonal"))


def deep_chains() -> DeepChains:
    """Return what depth does to signals: numbers of theory.

    >>> chains = deep_chains()
    >>> [row.phase for row in chains.points]
    ['ordered', 'critical', 'ordered', 'chaotic', 'chaotic']
    """
    tanh = ACTIVATIONS["tanh"]
    line = np.array([(1.0, 0.0), *(critical_point(tanh, float(q)) for q in _LINE_Q)])
    depths = np.array(_DEPTHS)
    return DeepChains(
        critical_w2=line[:, 0],
        critical_b2=line[:, 1],
        points=tuple(_phase_row(name, *point) for name, point in _POINTS.items()),
        depths=_DEPTHS,
        largest={
            _ensemble_name(activation, ensemble): _largest(activation, ensemble)
            for activation, ensemble in (*_ENSEMBLES, *_RELU_ENSEMBLES)
        },
        plain_residual=2.0**depths,
        scaled_residual=(1 + 1 / depths) ** depths,
    )


def _phase_row(name: str, sigma_w2: float, sigma_b2: float) -> PhaseRow:
    found = fixed_point(ACTIVATIONS["tanh"], sigma_w2, sigma_b2)
    return PhaseRow(name, sigma_w2, sigma_b2, found.q, found.chi_1, found.xi_grad, found.phase)


def _ensemble_name(activation: str, ensemble: str) -> str:
    return f"{'linear' if activation == 'identity' else activation}, {ensemble}"


def _largest(activation: str, ensemble: str) -> np.ndarray:
    """Return the largest singular value of the Jacobian by depth."""
    phi = ACTIVATIONS[activation]
    squares = [jacobian_spectrum(phi, depth, ensemble).maximum for depth in _DEPTHS]
    return np.array([math.sqrt(square) for square in squares])
