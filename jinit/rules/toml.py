"""Rules in a TOML file: the plain data of each, one table after the other."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.initializers.choice import one_of
from jinit.rules.match import Rule, rules_of

_ANY = "*"


def rules_from_toml(source: str | Path) -> tuple[Rule, ...]:
    """Rules from a TOML file or text: an array `rules` of an initializer and conditions each.

    The conditions are those of `Rule`; an initializer is a name, or a table with its name and
    options. Order counts, the first match wins. In a shape, `"*"` stands for any size.

    Args:
      source: path of a file, or the text itself, which has at least one line break.

    Raises:
      ValueError: no TOML (with the line), or an unknown key, condition or initializer; the error
        names the file and the rule. TypeError: a rule without an initializer. OSError: no file.

    >>> rules_from_toml('''
    ... [[rules]]
    ... initializer = { name = "normal", stddev = 0.02 }
    ... path = "**/head/**"
    ... [[rules]]
    ... initializer = "he_normal"
    ... ''')
    (Rule(normal(0.02), path='**/head/**'), Rule(he_normal()))
    """
    is_text = isinstance(source, str) and "\n" in source
    name = "rules" if is_text else str(source)
    text = str(source) if is_text else Path(source).read_text("utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name}: this is no TOML: {error}") from None
    return tuple(
        _rule(f"{name}: rule {number}", table)
        for number, table in enumerate(_tables(name, tables), start=1)
    )


def _tables(name: str, tables: Mapping[str, Any]) -> list[Any]:
    """The array of rules, which is all that the file may hold."""
    try:
        for key in tables:
            one_of("key of a file of rules", key, ("rules",))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    found = tables.get("rules")
    if not isinstance(found, list) or not found:
        raise ValueError(
            f"{name}: expected rules, each under a line [[rules]], such as\n"
            '[[rules]]\ninitializer = "he_normal"\nrole = "kernel"'
        )
    return found


def _rule(place: str, table: Any) -> Rule:
    """One rule; errors begin with its place."""
    if isinstance(table, Mapping) and isinstance(table.get("shape"), list):
        sizes = [None if size == _ANY else size for size in table["shape"]]
        table = {**table, "shape": sizes}
    try:
        return rules_of([table])[0]
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None
