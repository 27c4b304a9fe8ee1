"""The network of the pictures: ten layers of sigmoid, which do not learn."""

import jax
from flax import linen as nn

import jinit


class Net(nn.Module):
    """A deep chain whose gradients vanish."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(10):
            x = nn.sigmoid(nn.Dense(64)(x))
        return nn.Dense(10)(x)


def start() -> tuple:
    """Return the model, its initial parameters and a batch of digits."""
    inputs, labels = (part[:128] for part in jinit.tasks.digits().train)
    model = jinit.linen.trace(Net(), inputs)
    return model, jinit.init(model, jax.random.key(0)), inputs, labels
