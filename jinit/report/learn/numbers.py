"""The numbers of the learning page as plain data, computed by `jinit.lessons`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class SymmetryRun(NamedTuple):
    """A small network that is trained on XOR from one initialization."""

    name: str
    """The initialization."""
    steps: np.ndarray
    losses: np.ndarray
    """Loss after each of `steps`."""
    gradient_size: float
    """Largest gradient of a weight of a hidden unit before the first step."""
    gradient_spread: float
    """Largest difference of the gradients of two hidden units before the first step."""
    rank: int
    """Rank of the hidden weights after training."""
    distinct_units: int
    """Number of hidden units with different weights after training."""


class SymmetryNumbers(NamedTuple):
    """A network that is trained from several initializations."""

    inputs: int
    hidden: int
    lr: float
    runs: Sequence[SymmetryRun]


class SignalScan(NamedTuple):
    """A deep network at initialization, for several scales σ_w of its weights."""

    activation: str
    width: int
    sigmas: Sequence[float]
    edges: np.ndarray
    """Edges of the bins: of activations, or of log₁₀ of their absolute values if `is_log`."""
    is_log: bool
    shares: np.ndarray
    """Share of the activations in each bin, `[sigma, layer, bin]`."""
    zero_share: np.ndarray
    """Share of the activations that are zero, `[sigma, layer]`."""
    activation_rms: np.ndarray
    """Root mean square of the activations, `[sigma, layer]`."""
    gradient_std: np.ndarray
    """Standard deviation of the gradient by the pre-activations, `[sigma, layer]`."""
    theory_rms: np.ndarray
    """Root mean square for layers of infinite width."""
    theory_gradient_std: np.ndarray
    """Standard deviation of the gradient for layers of infinite width."""


class PublishedForm(NamedTuple):
    """A published scale of the weights, with its numbers for one layer."""

    name: str
    variance: str
    bound: str
    source: str
    std: float
    largest: float
    """Bound of its uniform distribution."""


class SigmoidForm(NamedTuple):
    """A published scale of the weights before sigmoid."""

    rule: str
    source: str
    reason: str
    sigma_w2: float
    """n_in times the variance, for n_in = n_out."""
    chi_1: float
    """Growth of the squared gradient per layer, deep in a network."""


class ActivationRow(NamedTuple):
    """An activation, its gain, and what a deep network of it needs."""

    name: str
    mean: float
    second: float
    gain: float
    chi: float
    """Growth of the squared gradient per layer with this gain."""
    initializer: str
    """Initializer of jinit for a layer before it."""
    deep_first: float
    """σ_w² of the first layer of a deep network without normalization."""
    deep_weights: float
    deep_biases: float
    is_critical: bool


class PhaseRow(NamedTuple):
    """A point in the plane of weight and bias variance of tanh layers."""

    name: str
    sigma_w2: float
    sigma_b2: float
    q: float
    chi_1: float
    xi_gradient: float
    """Depth in layers over which gradients change by a factor e."""
    phase: str


class DeepChains(NamedTuple):
    """Effects of depth on signals."""

    critical_w2: np.ndarray
    critical_b2: np.ndarray
    """The critical line of tanh."""
    points: Sequence[PhaseRow]
    depths: Sequence[int]
    largest: Mapping[str, np.ndarray]
    """Largest squared singular value of the Jacobian at criticality by depth, by its ensemble."""
    plain_residual: np.ndarray
    """E[q_L]/q₀ of a sum of residual branches of unit variance, by depth."""
    scaled_residual: np.ndarray
    """E[q_L]/q₀ with branches that are divided by √L."""


class GreedyAccuracy(NamedTuple):
    """Test accuracy by depth from one initialization."""

    init: str
    """Name of the initializer or method."""
    name: str
    """Words for it."""
    depths: Sequence[int]
    means: np.ndarray
    errors: np.ndarray
    """Half of the 95 % interval."""


class GreedyRuns(NamedTuple):
    """Deep sigmoid networks with and without greedy pre-training."""

    date: str
    jax_version: str
    runs: Sequence[GreedyAccuracy]
    sigma_w2: float
    """n_in times the variance of the small weights."""
    gradient_factor: float
    """Factor of the gradient per layer that theory gives for the small weights."""
    chance: float
    """Test accuracy of the most frequent answer."""


class DigitRow(NamedTuple):
    """The runs of one initialization and learning rate."""

    init: str
    lr: float
    verdict: str
    """Verdict on the untrained networks."""
    accuracies: np.ndarray
    """Final validation accuracy by seed; NaN where the run diverged."""
    loss_curve: np.ndarray
    """Validation loss at `steps`, mean over the seeds; NaN where a run has diverged."""

    @property
    def diverged(self) -> int:
        """Number of runs that diverged."""
        return int(np.isnan(self.accuracies).sum())


class DigitRuns(NamedTuple):
    """A sweep over initializations and learning rates on scanned digits."""

    steps: np.ndarray
    rows: Sequence[DigitRow]
    sentence: str
    """Conclusion of the sweep."""
    depth: int
    width: int
    validation_examples: int


class DescentRun(NamedTuple):
    """Gradient descent on ½ λ x² from x = 1."""

    lr: float
    distances: np.ndarray
    """|x| after every step."""


class RateNumbers(NamedTuple):
    """Learning rates, curvature and weight decay."""

    curvature: float
    """λ of the quadratic."""
    descents: Sequence[DescentRun]
    sigmas: Sequence[float]
    largest_eigenvalues: np.ndarray
    """λ_max of the loss of a network at initialization, by σ_w."""
    decay_lr: float
    decay_steps: int
    decay_depth: int
    decay_rows: Sequence[tuple[float, float, float]]
    """λ₂, factor of a weight that has no gradient after these steps, and of the outputs of a relu
    network of this depth."""


class PageConstants(NamedTuple):
    """Single numbers of the page."""

    truncated_std: float
    """Standard deviation of the standard normal distribution, truncated at ±2."""
    relu_gain: float
    relu_second: float
    """E[relu(z)²] for standard normal z."""
    bound_4_6: float
    """Xavier's uniform bound for n_in = 4, n_out = 6."""
    bound_4_2: float
    he_std_50: float
    """He's standard deviation for n_in = 50."""
    he_bound_6: float
    """He's uniform bound for n_in = 6."""
    lecun_growth: float
    """Factor of the second moment over 20 relu layers with LeCun's variance."""
    tanh_chi: float
    """χ₁ of tanh layers with σ_w = 5/3."""
    loss_of_chance: float
    """Cross-entropy of 10 classes that are equally probable."""


class LessonNumbers(NamedTuple):
    """All numbers of the learning page."""

    symmetry: SymmetryNumbers
    signals: Sequence[SignalScan]
    published_shape: tuple[int, int]
    """n_in and n_out of the layer of `published`."""
    published: Sequence[PublishedForm]
    sigmoid: Sequence[SigmoidForm]
    activations: Sequence[ActivationRow]
    chains: DeepChains
    greedy: GreedyRuns
    digits: DigitRuns | str
    """The sweep, or the reason why it could not run."""
    rates: RateNumbers
    constants: PageConstants
    versions: str
    """Versions of jinit and JAX, and the date."""
