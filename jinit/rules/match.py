"""Rules: which initializer goes to which parameters of a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.initializers import Initializer, from_spec
from jinit.initializers.choice import one_of
from jinit.model import Leaf, glob
from jinit.rules.paths import depth_of, near, regular_expression, within

ROLES = ("kernel", "embedding", "position", "bias", "scale", "token", "other", "unused", "unread")
_CONDITIONS = ("path", "regex", "role", "shape", "axes", "depth", "ends", "branch")
_ENDS = (
    *("product", "attention", "residual", "shortcut", "pooling", "softmax", "output", "other"),
)


class RuleError(ValueError):
    """Rules that do not fit a model: one that matches nothing, or a parameter without a rule."""


@dataclass(frozen=True)
class Rule:
    """An initializer, and the parameters it is for: those that meet every condition given.

    >>> import jinit
    >>> Rule(jinit.he_normal(), path="**/kernel", role="kernel")
    Rule(he_normal(), path='**/kernel', role='kernel')
    """

    initializer: Any
    path: str | None = None
    """Glob over the whole path: `*` stands for part of a name, `**` for any number of names."""
    regex: str | None = None
    """Regular expression found anywhere in the path."""
    role: str | None = None
    """What the parameter does: `kernel`, `embedding`, `bias`, `scale`, ..."""
    shape: tuple[int | None, ...] | None = None
    """Sizes; None stands for any."""
    axes: tuple[str, ...] | None = None
    """What the axes do, such as `("in", "out")`."""
    depth: int | tuple[int, int] | None = None
    """The first number in the path, or a range of it: (2, 5) is 2, 3 and 4."""
    ends: str | None = None
    """Of a kernel or scale, in what the path behind it ends: `residual`, `output`, ..."""
    branch: bool | None = None
    """Whether a kernel lies in a residual branch."""
    optional: bool = False
    """Whether the rule may go unused, as part of a recipe for many models."""

    def __post_init__(self) -> None:
        if self.ends is not None:
            one_of("end", self.ends, _ENDS)
        if self.role is not None:
            one_of("role", self.role, ROLES)
        if self.regex is not None:
            regular_expression(self.regex)
        for name in ("shape", "axes", "depth"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))

    def matches(self, leaf: Leaf) -> bool:
        """Whether every condition holds."""
        checks = {
            "path": lambda: bool(glob(str(self.path)).fullmatch(leaf.path)),
            "regex": lambda: bool(regular_expression(str(self.regex)).search(leaf.path)),
            "role": lambda: leaf.role == self.role,
            "shape": lambda: _fits(self.shape or (), leaf.shape),
            "axes": lambda: leaf.axes == self.axes,
            "depth": lambda: within(self.depth, depth_of(leaf.path)),
            "ends": lambda: leaf.end == self.ends,
            "branch": lambda: (leaf.branch is not None) == self.branch,
        }
        return all(checks[name]() for name in self.conditions)

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are given."""
        given = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: value for name, value in given.items() if value is not None}

    def to_spec(self) -> dict[str, Any]:
        """Plain data from which `rules_of` makes an equal rule."""
        conditions = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.conditions.items()
        }
        if self.optional:
            conditions["optional"] = True
        return conditions | {"initializer": self.initializer.to_spec()}

    def __repr__(self) -> str:
        words = [f"{name}={value!r}" for name, value in self.conditions.items()]
        return f"Rule({', '.join([repr(self.initializer), *words])})"


def rules_of(rules: Any) -> tuple[Rule, ...]:
    """Rules from rules, from plain data, or from a mapping of path globs to initializers.

    Raises:
      TypeError: anything else. ValueError: unknown conditions or initializers.

    >>> rules_of({"**/kernel": "he_normal", "**/bias": "zeros"})[0]
    Rule(he_normal(), path='**/kernel')
    """
    if isinstance(rules, Rule):
        return (rules,)
    if isinstance(rules, Mapping):
        return tuple(Rule(_initializer(value), path=path) for path, value in rules.items())
    if isinstance(rules, Iterable) and not isinstance(rules, str):
        return tuple(_rule(rule) for rule in rules)
    raise TypeError(
        f"rules: expected a sequence of Rule, or a mapping of path globs to initializers such as "
        f'{{"**/kernel": jinit.he_normal()}}, got {rules!r}'
    )


def _rule(rule: Any) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if not isinstance(rule, Mapping) or "initializer" not in rule:
        raise TypeError(
            f"rules: expected a Rule or plain data with an initializer and conditions, got {rule!r}"
        )
    for name in rule:
        one_of("condition of a rule", name, ("initializer", "optional", *_CONDITIONS))
    conditions = {name: value for name, value in rule.items() if name != "initializer"}
    return Rule(_initializer(rule["initializer"]), **conditions)


def _initializer(value: Any) -> Any:
    if isinstance(value, Initializer | str | Mapping):
        return from_spec(value)
    if callable(value):
        return value
    raise TypeError(f"rules: expected an initializer, its name or its plain data, got {value!r}")


def assigned(rules: Sequence[Rule], leaves: Sequence[Leaf]) -> list[Any]:
    """The initializer of every leaf: that of the first rule that matches it, None for state.

    Raises:
      RuleError: a rule that no leaf gets, or a leaf that no rule matches.
    """
    trained = [leaf for leaf in leaves if leaf.role != "state"]
    found = {
        leaf.path: next((rule for rule in rules if rule.matches(leaf)), None) for leaf in trained
    }
    used = {id(rule) for rule in found.values()}
    idle = [rule for rule in rules if id(rule) not in used and not rule.optional]
    bare = [leaf for leaf in trained if found[leaf.path] is None]
    if idle or bare:
        raise RuleError(_complaint(idle, bare, trained))
    return [rule and rule.initializer for rule in map(found.get, (leaf.path for leaf in leaves))]


def _complaint(idle: Sequence[Rule], bare: Sequence[Leaf], leaves: Sequence[Leaf]) -> str:
    lines = [
        *(_unused(rule, leaves) for rule in idle),
        *(f"no rule matches {leaf.path} ({leaf.role}, shape {leaf.shape})" for leaf in bare),
    ]
    cure = "the first rule that matches a parameter counts; Rule(jinit.zeros) at the end takes all"
    return "\n  ".join(["the rules do not fit the model:", *lines, cure])


def _unused(rule: Rule, leaves: Sequence[Leaf]) -> str:
    taken = [leaf.path for leaf in leaves if rule.matches(leaf)]
    if taken:
        return f"every parameter of {rule!r} is taken by an earlier rule, such as {taken[0]}"
    paths = near(str(rule.path or rule.regex or ""), [leaf.path for leaf in leaves])
    return f"no parameter matches {rule!r}; near it: {', '.join(paths)}"


def _fits(wanted: Sequence[int | None], shape: Sequence[int]) -> bool:
    return len(wanted) == len(shape) and all(
        size in (None, actual) for size, actual in zip(wanted, shape, strict=True)
    )
