"""Rules: which initializer each parameter of a model gets."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from jax import Array

from jinit.choice import check_choice
from jinit.initializers import Initializer, from_spec
from jinit.initializers.catalog import is_factory
from jinit.model import ATTENTION_ROLES, PATH_ENDS, ROLES, Leaf, closest_paths, compile_glob
from jinit.rules.attention_blocks import attention_blocks
from jinit.rules.conditions import (
    check_flag,
    check_text,
    compile_regex,
    has_sizes,
    is_in_range,
    read_axes,
    read_depth,
    read_depth_condition,
    read_shape,
)

InitializerLike: TypeAlias = Initializer | Callable[..., Array] | str | Mapping[str, Any]
"""An initializer, its name in the catalog, or its plain data."""

_ROLES = tuple(role for role in ROLES if role != "state")
_FLAGS = ("branch", "tied")
_CONDITIONS = ("path", "regex", "role", "shape", "axes", "depth", "end", *_FLAGS, "attention")
_READERS = {"shape": read_shape, "axes": read_axes, "depth": read_depth_condition}


class RuleError(ValueError):
    """Rules that do not fit a model: a rule without parameters, or a parameter without a rule."""


@dataclass(frozen=True)
class Rule:
    """An initializer, and conditions that its parameters all meet.

    Raises:
      TypeError: if the initializer or a condition has another type.
      ValueError: if an initializer, role, axis or end is unknown, or a condition matches nothing.

    >>> import jinit
    >>> Rule(jinit.he_normal(), path="**/kernel", role="kernel")
    Rule(he_normal(), path='**/kernel', role='kernel')
    """

    initializer: Any
    """An initializer, its name in the catalog, its plain data, or None for the model's own."""
    path: str | None = None
    """Glob over the whole path: `*` stands for part of a name, `**` for any number of names."""
    regex: str | None = None
    """Regular expression found anywhere in the path."""
    role: str | None = None
    """Role of the parameter: `kernel`, `embedding`, `bias`, `scale`, ..."""
    shape: tuple[int | None, ...] | None = None
    """Sizes; None stands for any size."""
    axes: tuple[str, ...] | None = None
    """Roles of the axes, such as `("in", "out")`."""
    depth: int | tuple[int, int] | None = None
    """First number in the path, or a range of it that excludes its end: (2, 5) is 2, 3 and 4."""
    end: str | None = None
    """How the path after a kernel or scale ends: `residual`, `output`, ..."""
    branch: bool | None = None
    """Whether a kernel is in a residual branch."""
    attention: str | None = None
    """Part of a kernel in attention: `query`, `key`, `value` or `output`. A kernel that computes
    several of them is matched in blocks, each like a separate kernel."""
    tied: bool | None = None
    """Whether a kernel is also a table that is looked up, such as a tied embedding."""
    optional: bool = False
    """Whether the rule may match nothing, as part of a recipe for many models."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "initializer", _read_initializer(self.initializer))
        check_text("path", self.path)
        check_text("regex", self.regex)
        if self.regex is not None:
            compile_regex(self.regex)
        if self.role is not None:
            check_choice("role", self.role, _ROLES)
        if self.end is not None:
            check_choice("end", self.end, PATH_ENDS)
        if self.attention is not None:
            check_choice("attention", self.attention, ATTENTION_ROLES)
        for name in _FLAGS:
            if (flag := getattr(self, name)) is not None:
                check_flag(name, flag)
        check_flag("optional", self.optional)
        for name, read in _READERS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, read(value))

    def matches(self, leaf: Leaf) -> bool:
        """Return whether a parameter meets every condition."""
        checks = {
            "path": lambda: bool(compile_glob(str(self.path)).fullmatch(leaf.path)),
            "regex": lambda: bool(compile_regex(str(self.regex)).search(leaf.path)),
            "role": lambda: leaf.role == self.role,
            "shape": lambda: has_sizes(self.shape or (), leaf.shape),
            "axes": lambda: leaf.axes == self.axes,
            "depth": lambda: is_in_range(self.depth, read_depth(leaf.path)),
            "end": lambda: leaf.end == self.end,
            "branch": lambda: (leaf.branch is not None) == self.branch,
            "attention": lambda: leaf.attention_role == self.attention,
            "tied": lambda: leaf.is_tied == self.tied,
        }
        return all(checks[name]() for name in self.conditions)

    @property
    def conditions(self) -> dict[str, Any]:
        """Conditions that are given, by name."""
        given = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: value for name, value in given.items() if value is not None}

    def to_spec(self) -> dict[str, Any]:
        """Return plain data from which `read_rules` builds an equal rule.

        Raises:
          TypeError: if the initializer is not one of jinit's, which alone have plain data.
        """
        if not isinstance(self.initializer, Initializer):
            raise TypeError(
                f"Rule.to_spec: {self.initializer!r} cannot be written as plain data; use an "
                "initializer from jinit.initializers"
            )
        conditions = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.conditions.items()
        }
        if self.optional:
            conditions["optional"] = True
        return conditions | {"initializer": self.initializer.to_spec()}

    def __repr__(self) -> str:
        options = self.conditions | ({"optional": True} if self.optional else {})
        texts = [f"{name}={value!r}" for name, value in options.items()]
        return f"Rule({', '.join([repr(self.initializer), *texts])})"


Rules: TypeAlias = Rule | Iterable[Rule | Mapping[str, Any]] | Mapping[str, InitializerLike | None]
"""One rule, several rules or their plain data, or a mapping of path globs to initializers."""


def read_rules(rules: Rules) -> tuple[Rule, ...]:
    """Return rules from rules, their plain data, or a mapping of path globs to initializers.

    Args:
      rules: one rule, a sequence of rules or of their plain data, or a mapping.

    Raises:
      TypeError: if `rules` is anything else.
      ValueError: if a condition or an initializer is unknown.

    >>> read_rules({"**/kernel": "he_normal", "**/bias": "zeros"})[0]
    Rule(he_normal(), path='**/kernel')
    """
    if isinstance(rules, Rule):
        return (rules,)
    if isinstance(rules, Mapping):
        by_path: Mapping[Any, Any] = rules
        return tuple(Rule(initializer, path=path) for path, initializer in by_path.items())
    if isinstance(rules, Iterable) and not isinstance(rules, str):
        return tuple(_read_rule(rule) for rule in rules)
    if inspect.isfunction(rules):
        raise TypeError(
            f"rules: {rules.__name__} is a function; if it is a recipe, call it: "
            f"jinit.recipes.{rules.__name__}()"
        )
    raise TypeError(
        f"rules: expected a sequence of Rule, or a mapping of path globs to initializers such as "
        f'{{"**/kernel": jinit.he_normal()}}, got {rules!r}'
    )


def _read_rule(rule: Any) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if not isinstance(rule, Mapping) or "initializer" not in rule:
        raise TypeError(
            f"rules: expected a Rule or plain data with an initializer and conditions, got {rule!r}"
        )
    for name in rule:
        check_choice("condition of a rule", name, ("initializer", "optional", *_CONDITIONS))
    return Rule(**rule)


def _read_initializer(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Initializer | str | Mapping):
        return from_spec(value)
    if is_factory(value):
        raise TypeError(
            f"rules: {value.__name__} is a function that builds an initializer: write "
            f"{value.__name__}(...) with its options, or {value.__name__}() if it needs none"
        )
    if callable(value) or hasattr(value, "resolve"):
        return value
    raise TypeError(
        f"rules: expected an initializer such as jinit.he_normal(), its name or its plain data, "
        f"got {value!r}"
    )


class BlockInitializers(NamedTuple):
    """Different initializers of the blocks of one kernel, in the order of `attention_blocks`."""

    initializers: tuple[Any, ...]


def assign_initializers(rules: Sequence[Rule], leaves: Sequence[Leaf]) -> list[Any]:
    """Return the initializer of every leaf, from the first rule that matches; None for state.

    A kernel whose parts in attention match different rules gets `BlockInitializers`.

    Raises:
      RuleError: if a rule is used by no leaf and is not optional, or no rule matches a leaf.
    """
    numbers = {
        leaf.path: [_first_match(rules, block) for block in attention_blocks(leaf)]
        for leaf in leaves
        if leaf.role != "state"
    }
    used = {number for matches in numbers.values() for number in matches}
    unused = [rule for n, rule in enumerate(rules) if n not in used and not rule.optional]
    unmatched = [leaf for leaf in leaves if None in numbers.get(leaf.path, ())]
    if unused or unmatched:
        raise RuleError(_mismatch_message(unused, unmatched, leaves))
    chosen = [[rules[n or 0].initializer for n in numbers.get(leaf.path, ())] for leaf in leaves]
    return list(map(_join_equal, chosen))


def _join_equal(initializers: Sequence[Any]) -> Any:
    """Return the initializer of all blocks if they have the same; None if there are no blocks."""
    if not initializers:
        return None
    first, *others = initializers
    same = all(other is first for other in others)
    return first if same else BlockInitializers(tuple(initializers))


def _first_match(rules: Sequence[Rule], leaf: Leaf) -> int | None:
    return next((number for number, rule in enumerate(rules) if rule.matches(leaf)), None)


def _mismatch_message(
    unused: Sequence[Rule], unmatched: Sequence[Leaf], leaves: Sequence[Leaf]
) -> str:
    lines = [
        *(_explain_unused(rule, leaves) for rule in unused),
        *(f"no rule matches {leaf.path} ({leaf.role}, shape {leaf.shape})" for leaf in unmatched),
    ]
    cure = (
        "the first rule that matches a parameter counts; "
        "Rule(None) at the end leaves everything else to the model's own initializers"
    )
    return "\n  ".join(["the rules do not fit the model:", *lines, cure])


def _explain_unused(rule: Rule, leaves: Sequence[Leaf]) -> str:
    matched = [leaf for leaf in leaves if any(map(rule.matches, attention_blocks(leaf)))]
    trained = [leaf.path for leaf in leaves if leaf.role != "state"]
    if matched and {leaf.path for leaf in matched}.isdisjoint(trained):
        return (
            f"{rule!r} matches {matched[0].path} ({matched[0].dtype}), which is not trained and so "
            "not drawn by rules: give its value with keep="
        )
    if matched:
        first = next(leaf.path for leaf in matched if leaf.path in trained)
        return f"earlier rules match every parameter of {rule!r}, such as {first}"
    wanted = str(rule.path or rule.regex or "")
    paths = ", ".join(closest_paths(wanted, trained))
    return f"no parameter matches {rule!r}; {'similar paths' if wanted else 'there are'}: {paths}"
