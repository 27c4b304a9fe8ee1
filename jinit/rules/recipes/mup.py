"""Maximal update parametrization (muP): hyper-parameters transfer between widths.

A parameter with a times the inputs and b times the outputs of the base network has
`min(1, √(b/a)) / √a` times its standard deviation. Its learning rate is `b/a` times as large with
SGD, `1/a` times with Adam. The three columns of the paper's table 3 are hidden kernels (a = b);
input kernels, embeddings, biases and scales (a = 1); and output kernels (b = 1).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import optax

from jinit.choice import check_choice
from jinit.initializers import Initializer, lecun_normal, scaled
from jinit.model import Leaf, Model, closest_paths, leaf_paths
from jinit.rules.fitting import fit_initializer, resolve_initializer
from jinit.rules.match import Rule, RuleError
from jinit.rules.recipes.everywhere import everywhere
from jinit.rules.recipes.minor_parameters import DeferredInitializer, Recipe
from jinit.rules.recipes.widths import (
    BaseNetwork,
    BaseParameter,
    WidthRatios,
    base_leaves,
    find_base_leaf,
    width_ratios,
)

MupOptimizer = Literal["adam", "sgd"]


def mup(base: BaseNetwork, rules: Sequence[Rule] | None = None) -> Recipe:
    """Maximal update parametrization: `rules` at the base width, rescaled for other widths.

    A parameter with a times the inputs and b times the outputs of the base network has
    `min(1, √(b/a)) / √a` times its standard deviation. Train the network with `scale_by_mup`. The
    forward pass is not changed, so attention logits are still divided by √head_dim: increase the
    number of heads, not their width.

    Args:
      base: the same network at its base width, traced; or the shapes of its parameters by path.
      rules: rules for the base width, `everywhere(lecun_normal())` by default.

    Raises:
      RuleError: in a plan, if the base network does not have a parameter, if an axis other than
        inputs and outputs differs, if an embedding is tied to the output layer, or if an
        initializer does not state the standard deviation of its entries.
      TypeError: if `base` is neither a traced network nor a mapping.

    Reference: Yang & Hu et al., "Tensor programs V: tuning large neural networks via zero-shot
    hyperparameter transfer", 2022, table 3; Yang, Simon, Bernstein, "A spectral condition for
    feature learning", 2023, conditions 1 and 2.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> round(jinit.plan(model, mup({"": (64, 10)})).rows[0].std * 256, 6)  # 1/√64, over 4
    8.0
    """
    known = tuple(base_leaves(base).items())
    base_rules = tuple(rules or everywhere(lecun_normal()))
    return (Rule(DeferredInitializer(mup_initializer, (known, base_rules))),)


def mup_initializer(
    leaf: Leaf,
    leaves: Sequence[Leaf],
    known: Sequence[tuple[str, BaseParameter]],
    rules: Sequence[Rule],
) -> Initializer | None:
    """Return the initializer of a parameter, rescaled from the base width to its own width.

    None stands for the model's own, which is not rescaled.
    """
    narrow = find_base_leaf(leaf, dict(known))
    rule = next((rule for rule in rules if rule.matches(narrow)), None)
    if rule is None:
        raise RuleError(
            f"mup: no rule for the base width matches {leaf.path} ({leaf.role}); add a rule for it"
        )
    base_network = [base for _, base in known if isinstance(base, Leaf)] or leaves
    initializer = resolve_initializer(rule.initializer, leaf, leaves)
    base_initializer = resolve_initializer(rule.initializer, narrow, base_network)
    base_fitted = fit_initializer(base_initializer, narrow, base_network)
    fitted = fit_initializer(initializer, leaf, leaves)
    if fitted is None:  # the model's own
        return None
    factor = _std_factor(width_ratios(leaf, narrow))
    factor = factor * _entry_std(base_fitted, narrow) / _entry_std(fitted, leaf)
    return initializer if factor == 1 else scaled(initializer, factor)


def _std_factor(ratios: WidthRatios) -> float:
    """Return the standard deviation over that at the base width."""
    return min(1.0, (ratios.outputs / ratios.inputs) ** 0.5) / ratios.inputs**0.5


def _entry_std(initializer: object, leaf: Leaf) -> float:
    """Return the standard deviation of an entry, or 1 for constants."""
    marginal = initializer.marginal(leaf.shape) if isinstance(initializer, Initializer) else None
    if marginal is None and not getattr(initializer, "is_entrywise", False):
        raise RuleError(
            f"mup: {initializer!r} of {leaf.path} does not state the standard deviation of its "
            "entries, which depends on the width; use an initializer that does, such as "
            "lecun_normal()"
        )
    return marginal.std if marginal else 1.0


def mup_multipliers(model: Model, base: BaseNetwork, optimizer: MupOptimizer = "adam") -> Any:
    """Return factors on the learning rates of all parameters, as a tree like `model.params`.

    For a parameter with a times the inputs and b times the outputs of the base network the factor
    is `b/a` for SGD and `1/a` for Adam and other optimizers that divide a gradient by its size.

    Args:
      model: the network to train.
      base: the same network at its base width, traced; or the shapes of its parameters by path.
      optimizer: "adam" or "sgd".

    Raises:
      RuleError: if the base network does not have a parameter, if an axis other than inputs and
        outputs differs, or if an embedding is tied to the output layer.
      TypeError: if `base` is neither a traced network nor a mapping.
      ValueError: if the optimizer is unknown.

    Reference: Yang & Hu et al., "Tensor programs V", 2022, table 3.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> mup_multipliers(model, {"": (64, 10)})
    0.25
    """
    check_choice("optimizer", optimizer, ("adam", "sgd"))
    known = base_leaves(base)
    multipliers = {}
    for leaf in model.leaves:
        is_trained = leaf.role != "state"
        ratios = width_ratios(leaf, find_base_leaf(leaf, known)) if is_trained else WidthRatios()
        multipliers[leaf.path] = (ratios.outputs if optimizer == "sgd" else 1.0) / ratios.inputs
    tree = jax.tree.structure(model.params)
    return jax.tree.unflatten(tree, [multipliers[path] for path in model.paths])


def scale_by_mup(
    model: Model, base: BaseNetwork, optimizer: MupOptimizer = "adam"
) -> optax.GradientTransformation:
    """Optax transformation that multiplies every update by its factor of `mup_multipliers`.

    Chain it after the optimizer: `optax.chain(optax.adam(1e-3), scale_by_mup(model, base))`. Put
    decoupled weight decay after it if the decay should not depend on the width.

    Args:
      model: the network to train.
      base: the same network at its base width, traced; or the shapes of its parameters by path.
      optimizer: "adam" or "sgd".

    Raises:
      RuleError: if the base network does not have a parameter, if an axis other than inputs and
        outputs differs, or if an embedding is tied to the output layer.
      TypeError: if `base` is neither a traced network nor a mapping.
      ValueError: if the optimizer is unknown; in an update, if the model does not have a parameter.

    Reference: Yang & Hu et al., "Tensor programs V", 2022, table 3.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((256, 10)), jnp.ones((1, 256)))
    >>> step = scale_by_mup(model, {"": (64, 10)}, "sgd")
    >>> float(step.update(jnp.array(8.0), step.init(jnp.zeros(())))[0])
    2.0
    """
    multipliers = mup_multipliers(model, base, optimizer)
    pairs = zip(model.paths, jax.tree.leaves(multipliers), strict=True)
    by_path = {_strip_path(path): multiplier for path, multiplier in pairs}

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        leaves, tree = jax.tree.flatten(updates)
        factors = [_find_multiplier(path, by_path) for path in leaf_paths(updates)]
        scaled_updates = [leaf * factor for leaf, factor in zip(leaves, factors, strict=True)]
        return jax.tree.unflatten(tree, scaled_updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _strip_path(path: str) -> str:
    """Return a path without the names added by frameworks: Linen's collection, NNX's variable."""
    return path.removeprefix("params/").removesuffix("/value")


def _find_multiplier(path: str, by_path: Mapping[str, float]) -> float:
    """Return the factor of a parameter; raise if the model does not have it."""
    if _strip_path(path) in by_path:
        return by_path[_strip_path(path)]
    shown = ", ".join(closest_paths(path, list(by_path)))
    raise ValueError(
        f"scale_by_mup: {path} is not a parameter of the model; similar paths: {shown}"
    )
