"""Default initializations of other frameworks."""

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
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    minor_rules,
    uniform_bias,
)

_CELLS = "**/*Cell*/**"


def pytorch(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """PyTorch's defaults: kernels and biases uniform on ±1/√fan_in, embeddings N(0, 1).

    Args:
      hidden: number of units of the recurrent cells, whose parameters are all uniform on
        ±1/√hidden; None if there are no cells.
      cells: glob of the parameters of recurrent cells.

    >>> pytorch()[0].initializer
    torch_default()
    """
    cell_rules = () if hidden is None else (Rule(torch_default_bias(hidden), path=cells),)
    return (
        *cell_rules,
        Rule(torch_default(), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *minor_rules(bias=DeferredInitializer(uniform_bias)),
    )


def equinox(hidden: int | None = None, cells: str = _CELLS) -> Recipe:
    """Equinox's defaults, which are PyTorch's: uniform on ±1/√fan_in, embeddings N(0, 1).

    Equinox does not account for the stride of a transposed convolution in its fan-in. Here the
    fan-in is the true one.

    Args:
      hidden: number of units of the LSTM and GRU cells, whose parameters are all uniform on
        ±1/√hidden; None if there are no cells.
      cells: glob of the parameters of these cells.

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
        *minor_rules(),
    )


def haiku() -> Recipe:
    """Haiku's defaults: kernels N(0, 1/fan_in), embeddings N(0, 1), both truncated at ±2 std.

    >>> haiku()[0].initializer
    haiku_default()
    """
    return (
        Rule(haiku_default(), role="kernel", optional=True),
        Rule(truncated_normal(1.0), role="embedding", optional=True),
        *minor_rules(),
    )
