"""What other frameworks start their layers from."""

from jinit.initializers import (
    haiku_default,
    keras_default,
    normal,
    random_uniform,
    torch_default,
    truncated_normal,
)
from jinit.rules.match import Rule
from jinit.rules.recipes.parts import BesideKernel, Recipe, rest


def pytorch() -> Recipe:
    """PyTorch's defaults: kernels and biases uniform on ±1/√fan_in, embeddings N(0, 1).

    >>> pytorch()[0].initializer
    torch_default()
    """
    return (
        Rule(torch_default(), role="kernel", optional=True),
        Rule(normal(1.0), role="embedding", optional=True),
        *rest(bias=BesideKernel("pytorch")),
    )


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
