"""The scale that each parameter needs: the one answer of plans, audits, diagnoses and cures."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from jinit.choice import check_choice
from jinit.gains.deep_variances import DeepVariances, deep_variances, forgets_first, keeps_size
from jinit.gains.naming import activation_text
from jinit.model import Activation, Leaf
from jinit.theory import moments

Criterion = Literal["criticality", "second moment"]
"""The aim of a variance: signal and gradient of a deep chain, or the second moment of one layer."""
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

_LARGER = (2.0, 4.0, 8.0)
"""Factors of the variance that are tried for the first layer of a chain."""
_OWN_FACTOR_ENDS = ("attention", "softmax", "output", "residual", "other")
"""Ends before which a constant factor is not compensated: it belongs to attention or to a branch,
or sets the size of the network's outputs."""
_CHAIN_CRITERIA = (*CRITERIA, "least growth")
"""Criteria that depend on the length of a chain."""
_GAIN_ENDS = ("product", "pooling", "attention")
"""Ends of an activation's path at which it reaches another kernel, so that its gain counts."""


class NeededScale(NamedTuple):
    """The scale that a parameter needs, and why.

    >>> NeededScale(2.0, 0.0, 0.125, "criticality", "relu keeps signal and gradient").std
    0.125
    """

    weights: float
    """Variance of the weights that the signal meets, times the fan-in."""
    biases: float
    """Variance of the biases that are added."""
    std: float
    """Standard deviation of the parameter's entries, without constant factors on their way to the
    signal."""
    criterion: str
    """`criticality`, `second moment`, `least growth` (where there is no critical point), `branch`,
    `normalized` or `linear`."""
    reason: str
    """Why, as a sentence without its full stop."""
    is_stable: bool = True
    """Whether signal and gradient keep their size in a chain of this length."""
    expects_unit_inputs: bool = False
    """Whether it is a first layer that makes its inputs small, and counts on their RMS of 1."""


def needed(leaf: Leaf, criterion: Criterion | None = None) -> NeededScale | None:
    r"""Return the scale that a kernel or an embedding needs, None for any other parameter.

    - A kernel in a chain of layers gets the variances at which signal and gradient keep their size
      over the whole chain (criticality, χ₁ = 1): 2 / fan_in for relu, 1 / fan_in for tanh. A deep
      chain of gelu or silu begins with a small first kernel, at which they are nearly linear, and
      expects inputs of mean square 1; larger ones leave that range. Biases get a variance where
      criticality needs it.
    - A layer that is alone between two normalizations, residual sums or ends of the network, or
      whose result is normalized or gated, gets `1 / (E[φ(z)²] fan_in)`, which keeps the second
      moment of its input; kernels whose products are added share it equally.
    - The last kernel of one of n residual branches gets `1 / (n fan_in)`, and every other kernel
      `1 / fan_in`.

    Constant factors between the parameter and the signal are divided out, so that `x @ (c * w)` and
    `φ(c * (x @ w))` need the same weights `c * w`.

    Args:
      leaf: a parameter of a model.
      criterion: "criticality" or "second moment" for every kernel that an activation follows; by
        default the one above.

    Raises:
      ValueError: if the criterion is unknown.

    References:
      He et al., "Delving deep into rectifiers", 2015, section 2.2.
      Schoenholz et al., "Deep information propagation", 2017, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda w, x: jax.nn.relu(jax.nn.relu(x @ w[0]) @ (3 * w[1])) @ w[2]
    >>> model = jinit.trace(apply, [jnp.eye(4)] * 3, jnp.ones((2, 4)))
    >>> [round(needed(leaf).std * leaf.fan_in**0.5, 3) for leaf in model.leaves]
    [1.414, 0.471, 1.0]
    """
    if criterion is not None:
        criterion = check_choice("criterion", criterion, CRITERIA)
    if leaf.role not in ("kernel", "embedding") or not leaf.fan_in or _is_logit_table(leaf):
        return None
    scale = _used_scale(leaf, criterion)
    std = math.sqrt(scale.weights / leaf.fan_in) / leaf.weight_factor
    return scale._replace(std=std)


def _is_logit_table(leaf: Leaf) -> bool:
    """Return whether a looked-up table is added to the logits of attention, such as T5's biases.

    Nothing is to be kept in size there, so that any small scale is right.
    """
    activation = leaf.activation
    return leaf.role == "embedding" and activation is not None and activation.end == "softmax"


def _used_scale(leaf: Leaf, criterion: Criterion | None) -> NeededScale:
    """Return the scale of the weights that are used; `std` is filled in later."""
    activation = leaf.activation
    if leaf.ends_branch:
        return _branch_scale(leaf)
    if activation is None or activation.end not in _GAIN_ENDS or activation.unscaled.is_identity:
        return _linear_scale(activation)
    if activation.argument_count > 1 or activation.kernel_count > 1:
        return _shared_scale(activation)
    if activation.has_normalization:
        weights = _second_moment_gain(activation)
        reason = "a normalization follows, which removes the scale"
        return NeededScale(weights, 0.0, 0.0, "normalized", reason)
    is_deep = leaf.chain_length > 1
    if criterion == "second moment" or (criterion is None and not is_deep):
        return _second_moment_scale(activation)
    return _deep_scale(leaf, activation)


def _linear_scale(activation: Activation | None) -> NeededScale:
    reason = "no activation follows, so a gain of 1 keeps the size of the signal"
    scale = NeededScale(1.0, 0.0, 0.0, "linear", reason)
    if activation is None or activation.argument_count > 1 or activation.end in _OWN_FACTOR_ENDS:
        return scale
    return _divide_factor(scale, activation)


def _branch_scale(leaf: Leaf) -> NeededScale:
    count = leaf.branch_count or 1
    if count == 1 or leaf.branch_normalized:
        reason = "it ends a residual branch, which a gain of 1 makes as large as its stream"
        return NeededScale(1.0, 0.0, 0.0, "branch", reason)
    reason = f"it ends one of {count} residual branches, which together double the mean square"
    return NeededScale(1 / count, 0.0, 0.0, "branch", reason)


def _shared_scale(activation: Activation) -> NeededScale:
    """Return the scale of kernels whose products are gated by each other, or added."""
    gain2 = _second_moment_gain(activation)
    if activation.argument_count > 1:
        gain2 = math.sqrt(gain2)
    reason = "it shares the gain of its activation with the kernels whose products it meets"
    return NeededScale(gain2 / activation.kernel_count, 0.0, 0.0, "second moment", reason)


def _second_moment_scale(activation: Activation) -> NeededScale:
    weights = _second_moment_gain(activation.unscaled)
    name = activation_text(activation.unscaled)
    reason = f"1 / E[φ(z)²] keeps the second moment through one layer of {name}"
    return _divide_factor(NeededScale(weights, 0.0, 0.0, "second moment", reason), activation)


@lru_cache(maxsize=256)
def _second_moment_gain(activation: Activation) -> float:
    """Return 1 / E[φ(z)²]; 1 if there is no such mean."""
    try:
        return moments(activation).gain ** 2
    except ValueError:
        return 1.0


def _deep_scale(leaf: Leaf, activation: Activation) -> NeededScale:
    """Return the scale of a layer of a chain."""
    deep = _deep_variances(activation.unscaled, leaf.chain_length, has_biases=bool(leaf.bias_path))
    if deep is None:
        return _second_moment_scale(activation)
    scale = NeededScale(
        weights=deep.first if leaf.begins_chain else deep.weights,
        biases=deep.biases,
        std=0.0,
        criterion="criticality" if deep.is_critical else "least growth",
        reason=_deep_reason(leaf, deep, activation_text(activation.unscaled)),
        is_stable=deep.is_stable(leaf.chain_length),
        expects_unit_inputs=leaf.begins_chain and deep.begins_small,
    )
    return _divide_factor(scale, activation)


def _deep_variances(
    activation: Activation, layers: int, *, has_biases: bool
) -> DeepVariances | None:
    try:
        return deep_variances(activation, layers, has_biases=has_biases)
    except ValueError:
        return None


def _deep_reason(leaf: Leaf, deep: DeepVariances, name: str) -> str:
    layers = leaf.chain_length
    if not deep.is_stable(layers):
        return (
            f"{name} has no stable critical point, so no scale keeps signal and gradient over "
            f"{layers} layers: use tanh, relu or gelu, a normalization, or shortcuts"
        )
    if not deep.is_critical:
        return f"it changes signal and gradient least over {layers} layers of {name}"
    with_biases = " with these biases" if deep.biases else ""
    from_inputs = ", if the inputs have RMS 1" if leaf.begins_chain and deep.begins_small else ""
    return (
        f"signal and gradient keep their size over {layers} layers of {name}{with_biases}"
        f"{from_inputs}"
    )


def _divide_factor(scale: NeededScale, activation: Activation) -> NeededScale:
    """Return the scale before the constant factor on the activation's argument."""
    factor = _argument_factor(activation)
    return scale._replace(weights=scale.weights / factor, biases=scale.biases / factor)


def _argument_factor(activation: Activation) -> float:
    """Return the square of the constant that multiplies the argument of an activation.

    A constant after the activation belongs to the next kernel, unless pooling is in between.
    """
    pooled = activation.output_scale if activation.end == "pooling" else 1.0
    return (activation.input_scale * pooled) ** 2


def accepted_stds(leaf: Leaf) -> tuple[float, float] | None:
    """Return the smallest and the largest standard deviation that fit a kernel's use.

    Several answers are right: the needed scale, that of the other criterion while a chain is short
    enough for it, a gain of 1 in the first layer, and the compromise between both passes of Glorot
    & Bengio. The end of a residual branch has no lower limit; a kernel that is normalized, or whose
    result is, has no limit.

    Args:
      leaf: a parameter of a model.

    Returns:
      Both limits, or None if the parameter is not a kernel.
    """
    scale = needed(leaf)
    if scale is None or leaf.role != "kernel" or leaf.fan_in is None:
        return None
    if scale.criterion == "normalized" or leaf.normalized_by:
        return 0.0, math.inf
    gains2 = _accepted_gains(leaf, scale)
    fans = [leaf.fan_in, (leaf.fan_in + (leaf.fan_out or leaf.fan_in)) / 2]
    stds = [math.sqrt(gain2 / fan) / leaf.weight_factor for gain2 in gains2 for fan in fans]
    return 0.0 if scale.criterion == "branch" else min(stds), max(stds)


def _accepted_gains(leaf: Leaf, scale: NeededScale) -> list[float]:
    """Return the variances times the fan-in that fit a kernel's use."""
    gains2 = [scale.weights]
    activation = leaf.activation
    if activation is None or activation.argument_count > 1:
        return gains2
    if scale.criterion == "linear" and activation.end == "output":
        gains2.append(_second_moment_scale(activation).weights)
    if scale.criterion not in _CHAIN_CRITERIA:
        return gains2
    factor = _argument_factor(activation)
    if leaf.begins_chain:
        gains2 += [1 / factor, *_first_gains(leaf, activation, scale)]
    others = [needed(leaf, criterion) for criterion in CRITERIA]
    healthy = [
        other.weights
        for other in others
        if other is not None
        and keeps_size(activation.unscaled, other.weights * factor, leaf.chain_length)
    ]
    return gains2 + healthy


def _first_gains(leaf: Leaf, activation: Activation, scale: NeededScale) -> list[float]:
    """Return larger variances times the fan-in that the rest of a chain forgets."""
    factor, rest = _argument_factor(activation), needed(replace(leaf, begins_chain=False))
    if rest is None:
        return []
    return [
        scale.weights * larger
        for larger in _LARGER
        if forgets_first(
            activation.unscaled,
            scale.weights * larger * factor,
            rest.weights * factor,
            rest.biases * factor,
            leaf.chain_length,
        )
    ]
