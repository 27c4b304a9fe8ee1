"""Default initializations of other frameworks.

Their fans of convolutions do not depend on strides: they are channels times taps of the window.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from jinit.initializers import (
    Initializer,
    haiku_default,
    keras_default,
    normal,
    random_uniform,
    torch_default,
    torch_default_bias,
    truncated_normal,
)
from jinit.model import Leaf
from jinit.rules.match import Rule
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    biased_kernel,
    minor_rules,
    tied_rule,
)

_CELLS = "**/*Cell*/**"
_Framework = Literal["pytorch", "equinox"]


def pytorch(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """PyTorch's defaults: kernels and biases uniform on ±1/√fan_in, embeddings N(0, 1).

    These are the defaults of `Linear` and `Conv`. As in PyTorch, the fan-in of a transposed
    convolution is counted by its output channels.

    Args:
      hidden: number of units of the recurrent cells, whose parameters are all uniform on
        ±1/√hidden; None if there are no cells.
      cells: glob of the parameters of recurrent cells.

    >>> pytorch()[1].initializer
    uniform_kernel('pytorch')
    """
    return _uniform_recipe("pytorch", hidden, cells)


def equinox(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """Equinox's defaults, which are PyTorch's: uniform on ±1/√fan_in, embeddings N(0, 1).

    As in Equinox, the fan-in of a transposed convolution is counted by its input channels.

    Args:
      hidden: number of units of the LSTM and GRU cells, whose parameters are all uniform on
        ±1/√hidden; None if there are no cells.
      cells: glob of the parameters of these cells.

    Reference: Kidger & Garcia, "Equinox: neural networks in JAX via callable PyTrees and filtered
    transformations", 2021 (source code of `equinox.nn`).

    >>> equinox(16, "**/lstm/**")[0]
    Rule(random_uniform(-0.25, 0.25), path='**/lstm/**')
    """
    return _uniform_recipe("equinox", hidden, cells)


def _uniform_recipe(framework: _Framework, hidden: int | None, cells: str) -> Recipe:
    cell_rules = () if hidden is None else (Rule(torch_default_bias(hidden), path=cells),)
    return (
        *cell_rules,
        tied_rule(normal(1.0)),
        Rule(DeferredInitializer(uniform_kernel, (framework,)), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *minor_rules(bias=DeferredInitializer(uniform_bias_of, (framework,))),
    )


def uniform_kernel(leaf: Leaf, leaves: Sequence[Leaf], framework: _Framework) -> Initializer:
    """Return uniform on ±1/√fan_in, with the fan-in of a framework."""
    del leaves
    return _uniform(_fan_in(leaf, framework)) if _has_strides(leaf) else torch_default()


def uniform_bias_of(leaf: Leaf, leaves: Sequence[Leaf], framework: _Framework) -> Initializer:
    """Return uniform on ±1/√fan_in, with the fan-in of the kernel of a bias."""
    kernel = biased_kernel(leaf, leaves)
    return _uniform(_fan_in(kernel, framework) if kernel else leaf.fan_in or 1)


def _uniform(fan_in: float) -> Initializer:
    return random_uniform(-(fan_in**-0.5), fan_in**-0.5)


def _fan_in(leaf: Leaf, framework: _Framework) -> float:
    fans = _window_fans(leaf)
    is_transposed = math.prod(leaf.dilation) > 1
    return fans.outputs if is_transposed and framework == "pytorch" else fans.inputs


class _Fans(NamedTuple):
    inputs: float
    outputs: float


def _window_fans(leaf: Leaf) -> _Fans:
    """Return the fans of a kernel as if its strides were one, per group."""
    return _Fans(
        (leaf.fan_in or 1) * math.prod(leaf.dilation), (leaf.fan_out or 1) * math.prod(leaf.strides)
    )


def _has_strides(leaf: Leaf) -> bool:
    return math.prod(leaf.dilation) * math.prod(leaf.strides) > 1


def keras() -> Recipe:
    """Keras's defaults: Xavier uniform kernels, embeddings uniform on ±0.05, biases zero.

    These are the defaults of `Dense`, `EinsumDense` and `Conv`; kernels of recurrent cells, which
    are orthogonal in Keras, are drawn alike.

    >>> keras()[2].initializer
    random_uniform(-0.05, 0.05)
    """
    return (
        tied_rule(random_uniform(-0.05, 0.05)),
        Rule(DeferredInitializer(keras_kernel), role="kernel", optional=True),
        Rule(random_uniform(-0.05, 0.05), role="embedding", optional=True),
        *minor_rules(),
    )


def keras_kernel(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return Xavier uniform; a convolution's outputs are counted over all of its groups."""
    del leaves
    if leaf.groups == 1 and not _has_strides(leaf):
        return keras_default()
    fans = _window_fans(leaf)
    bound = math.sqrt(6 / (fans.inputs + fans.outputs * leaf.groups))
    return random_uniform(-bound, bound)


def haiku() -> Recipe:
    """Haiku's defaults: kernels N(0, 1/fan_in), embeddings N(0, 1), both truncated at ±2 std.

    >>> haiku()[1].initializer
    haiku_kernel()
    """
    return (
        tied_rule(truncated_normal(1.0)),
        Rule(DeferredInitializer(haiku_kernel), role="kernel", optional=True),
        Rule(truncated_normal(1.0), role="embedding", optional=True),
        *minor_rules(),
    )


def haiku_kernel(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return N(0, 1/fan_in) truncated at ±2 standard deviations, without correction."""
    del leaves
    return truncated_normal(_window_fans(leaf).inputs ** -0.5) if leaf.dilation else haiku_default()
