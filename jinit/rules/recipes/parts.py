"""What many recipes share: how a network's lesser parameters start."""

from dataclasses import dataclass

from jinit.initializers import Initializer, normal, ones, torch_default_bias, zeros
from jinit.model import Leaf
from jinit.rules.match import Rule

Recipe = tuple[Rule, ...]
_TOKEN = normal(0.02)


def rest(token: Initializer = _TOKEN, bias: object = zeros) -> Recipe:
    """Biases zero, scales one, tokens as said, as far as a model has them."""
    return (
        Rule(bias, role="bias", optional=True),
        Rule(ones, role="scale", optional=True),
        Rule(token, role="token", optional=True),
        Rule(_TOKEN, role="position", optional=True),
    )


def matrices(initializer: Initializer) -> Recipe:
    """Kernels, embeddings and tables of positions alike."""
    roles = ("kernel", "embedding", "position")
    return tuple(Rule(initializer, role=role, optional=True) for role in roles)


@dataclass(frozen=True)
class BesideKernel:
    """Biases that depend on the kernel to whose product they are added."""

    recipe: str

    def fitted_to(self, leaf: Leaf) -> Initializer:
        """Of a norm, which has no kernel, zero."""
        if leaf.fan_in is None:
            return zeros
        return torch_default_bias(int(leaf.fan_in)) if self.recipe == "pytorch" else normal(1e-6)
