"""What the rivals in JAX share: a network, its initialization, a step of Adam and its score."""

from functools import cached_property

import flax.linen as nn
import jax
import numpy as np
import optax

from trials import PROBLEMS, digits
from trials.networks import NETWORKS


class Training:
    """Pure functions of a problem."""

    def __init__(self, problem: str):
        """Build the network and put the data on the device."""
        self.model = NETWORKS[problem](kernel_init=nn.initializers.he_normal())
        self.on_host, _ = digits.load(problem)
        self.train, self.validation = jax.device_put(digits.load(problem))
        self.example = np.zeros((1, *PROBLEMS[problem].shape), np.float32)

    @cached_property
    def size(self) -> int:
        """Number of training images."""
        return len(self.on_host[0])

    def init(self, key, rate):
        """Parameters and optimizer state of one trial."""
        params = self.model.init(key, self.example)
        return params, optax.adam(rate).init(params)

    def loss(self, params, x, y):
        """Mean cross-entropy of a batch."""
        logits = self.model.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def step(self, params, state, rate, x, y):
        """One step of Adam; the rate is an argument, so all trials share the program."""
        value, gradient = jax.value_and_grad(self.loss)(params, x, y)
        updates, state = optax.adam(rate).update(gradient, state)
        return optax.apply_updates(params, updates), state, value
