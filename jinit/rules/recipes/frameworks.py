"""What other frameworks start their layers from."""

from jinit.initializers import (
    haiku_default,
    keras_default,
    normal,
    random_uniform,
    torch_default,
    torch_default_bias,
    truncated_normal,
)
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import Made, Recipe, rest, uniform_beside

_CELLS = "**/*Cell*/**"


def pytorch(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """PyTorch's defaults: kernels and biases uniform on ±1/√fan_in, embeddings N(0, 1).

    Args:
      hidden: units of the recurrent cells, if there are any: all of their parameters are uniform
        on ±1/√hidden. cells: glob of these parameters.

    >>> pytorch()[0].initializer
    torch_default()
    """
    inside = () if hidden is None else (Rule(torch_default_bias(hidden), path=cells),)
    return (
        *inside,
        Rule(torch_default(), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *rest(bias=Made(uniform_beside)),
    )


def equinox(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """Equinox's defaults, which are PyTorch's: uniform on ±1/√fan_in, embeddings N(0, 1).

    Equinox leaves the stride of a transposed convolution out of its fan-in; here it is the true
    one.

    Args:
      hidden: units of the LSTM and GRU cells, if there are any: all of their parameters are
        uniform on ±1/√hidden. cells: glob of these parameters.

    Reference: Kidger & Garcia, "Equinox: neural networks in JAX via callable PyTrees and filtered
    transformations", 2021 (source code of `equinox.nn`).

    >>> equinox(16, "**/lstm/**")[0]
    Rule(random_uniform(-0.25, 0.25), path='**/lstm/**')
    """
    return pytorch(hidden, cells)


def keras() -> Recipe:
    """Keras's defaults: Xavier uniform kernels, embeddings uniform on ±0.05, biases zero.

    >>> keras()[1].initializer
    random_uniform(-0.05, 0.05)
    """
    return (
        Rule(keras_default(), role="kernel", optional=True),
        Rule(random_uniform(-0.05, 0.05), role="embedding", optional=True),
        *rest(),
    )


def haiku() -> Recipe:
    """Haiku's defaults: kernels N(0, 1/fan_in) cut at ±2, embeddings N(0, 1) cut likewise.

    >>> haiku()[0].initializer
    haiku_default()
    """
    return (
        Rule(haiku_default(), role="kernel", optional=True),
        Rule(truncated_normal(1.0), role="embedding", optional=True),
        *rest(),
    )
