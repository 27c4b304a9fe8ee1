"""Choose an initializer for every parameter of a model, and draw all of them at once."""

from jinit.programs.fast_init import fast_init
from jinit.rules import recipes
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
