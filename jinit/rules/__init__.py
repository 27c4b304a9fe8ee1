"""Which initializer goes where in a model, and drawing all of its parameters at once."""

from jinit.rules import recipes
from jinit.rules.fast import fast_init
from jinit.rules.initialize import init
from jinit.rules.match import Rule, RuleError
from jinit.rules.plan import Plan, plan
from jinit.rules.recommend import recommend
from jinit.rules.toml import rules_from_toml

__all__ = [
    "Plan",
    "Rule",
    "RuleError",
    "fast_init",
    "init",
    "plan",
    "recipes",
    "recommend",
    "rules_from_toml",
]
