"""Maximal update parametrization: what is tuned at one width holds at another.

A parameter with a times the inputs and b times the outputs of the base network's starts at
`min(1, √(b/a)) / √a` times its standard deviation, and learns at `b/a` times the rate with SGD,
`1/a` with Adam. The three columns of the paper's table 3 are hidden kernels (a = b), input kernels,
embeddings, biases and scales (a = 1), and output kernels (b = 1).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import optax

from jinit.initializers import Initializer, lecun_normal, scaled
from jinit.initializers.choice import one_of
from jinit.model import Leaf, Model, paths_of
from jinit.rules.fitting import fitted, made
from jinit.rules.match import Rule, RuleError
from jinit.rules.paths import near
from jinit.rules.recipes.everywhere import everywhere
from jinit.rules.recipes.parts import Made, Recipe
from jinit.rules.recipes.widths import Base, Growth, at_base, base_leaves, growth

Optimizer = Literal["adam", "sgd"]


def mup(base: Base, start: Sequence[Rule] | None = None) -> Recipe:
    """Maximal update parametrization: `start` at the base width, and its widths' own law beyond.

    A parameter with a times the inputs and b times the outputs has `min(1, √(b/a)) / √a` times the
    standard deviation. To be trained with `scale_by_mup`. The forward pass stays as it is, which
    divides attention's logits by √head_dim: widen a network by more heads, not by wider ones.

    Args:
      base: the same network at its base width, traced; or its parameters' shapes by path.
      start: rules for the base width, `everywhere(lecun_normal())` by default.

    Raises:
      RuleError: in a plan, a parameter that the base lacks or that grows along an axis that is no
        width; an embedding that is tied to the output; an initializer that states no law.

    Reference: Yang & Hu et al., "Tensor programs V: tuning large neural networks via zero-shot
    hyperparameter transfer", 2022, table 3; Yang, Simon, Bernstein, "A spectral condition for
    feature learning", 2023, conditions 1 and 2.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> float(jinit.plan(model, mup({"": (64, 10)})).rows[0].std * 256)  # 1/√64, over 4
    8.0
    """
    known = tuple(base_leaves(base).items())
    return (Rule(Made(widened, (known, tuple(start or everywhere(lecun_normal()))))),)


def widened(
    leaf: Leaf, leaves: Sequence[Leaf], known: Sequence[tuple[str, Any]], start: Sequence[Rule]
) -> Initializer:
    """The start of a parameter at the base width, with the standard deviation of its own."""
    narrow = at_base(leaf, dict(known))
    rule = next((rule for rule in start if rule.matches(narrow)), None)
    if rule is None:
        raise RuleError(f"mup: no rule of start matches {leaf.path} ({leaf.role})")
    others = [each for _, each in known if isinstance(each, Leaf)] or leaves
    own, theirs = made(rule.initializer, leaf, leaves), made(rule.initializer, narrow, others)
    before, after = fitted(theirs, narrow, others), fitted(own, leaf, leaves)
    factor = _std_factor(growth(leaf, narrow)) * _std(before, narrow) / _std(after, leaf)
    return own if factor == 1 else scaled(own, factor)


def _std_factor(wider: Growth) -> float:
    return min(1.0, (wider.outputs / wider.inputs) ** 0.5) / wider.inputs**0.5


def _std(initializer: Any, leaf: Leaf) -> float:
    """Of an entry; 1 for constants, which have none to compare."""
    law = initializer.marginal(leaf.shape) if isinstance(initializer, Initializer) else None
    if law is None and not getattr(initializer, "entrywise", False):
        raise RuleError(
            f"mup: {initializer!r} of {leaf.path} does not state the standard deviation of its "
            "entries, which is to change with the width; take one that does, such as lecun_normal()"
        )
    return law.std if law else 1.0


def mup_multipliers(model: Model, base: Base, optimizer: Optimizer = "adam") -> Any:
    """Factors on the learning rates of all parameters, as a tree like `model.params`.

    With a times the inputs and b times the outputs of the base network, `b/a` for SGD and `1/a`
    for Adam and others that divide a gradient by its size.

    Args:
      model: the network to be trained. base: as in `mup`. optimizer: "adam" or "sgd".

    Raises:
      RuleError: as in `mup`. ValueError: another optimizer.

    Reference: Yang & Hu et al., "Tensor programs V", 2022, table 3.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> mup_multipliers(model, {"": (64, 10)})
    0.25
    """
    one_of("optimizer", optimizer, ("adam", "sgd"))
    known = base_leaves(base)
    found = {}
    for leaf in model.leaves:
        trained = leaf.role != "state"
        wider = growth(leaf, at_base(leaf, known)) if trained else Growth()
        found[leaf.path] = (wider.outputs if optimizer == "sgd" else 1.0) / wider.inputs
    tree = jax.tree.structure(model.params)
    return jax.tree.unflatten(tree, [found[path] for path in model.paths])


def scale_by_mup(
    model: Model, base: Base, optimizer: Optimizer = "adam"
) -> optax.GradientTransformation:
    """An optax transformation that multiplies every update by its `mup_multipliers`.

    To be chained behind the optimizer, `optax.chain(optax.adam(1e-3), scale_by_mup(model, base))`;
    decoupled weight decay that is not to shrink with the width goes behind it.

    Args:
      model: the network to be trained. base: as in `mup`. optimizer: "adam" or "sgd".

    Reference: Yang & Hu et al., "Tensor programs V", 2022, table 3.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> step = scale_by_mup(model, {"": (64, 10)}, "sgd")
    >>> float(step.update(jnp.array(8.0), step.init(jnp.zeros(())))[0])
    2.0
    """
    multipliers = mup_multipliers(model, base, optimizer)
    pairs = zip(model.paths, jax.tree.leaves(multipliers), strict=True)
    by_path = {_plain(path): multiplier for path, multiplier in pairs}

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        leaves, tree = jax.tree.flatten(updates)
        factors = [_factor(path, by_path) for path in paths_of(updates)]
        made = [leaf * factor for leaf, factor in zip(leaves, factors, strict=True)]
        return jax.tree.unflatten(tree, made), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _plain(path: str) -> str:
    """A path without what frameworks put around it: Linen's collection, NNX's variable."""
    return path.removeprefix("params/").removesuffix("/value")


def _factor(path: str, by_path: Mapping[str, float]) -> float:
    if _plain(path) in by_path:
        return by_path[_plain(path)]
    shown = ", ".join(near(path, list(by_path)))
    raise ValueError(f"scale_by_mup: {path} is no parameter of the model; near it: {shown}")
