"""Read rules from TOML: one table per rule, with its plain data."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.choice import check_choice
from jinit.rules.match import Rule, read_rules
from jinit.stored_file import read_stored_bytes

_ANY_SIZE = "*"
_EXAMPLE = '[[rules]]\ninitializer = "he_normal"\nrole = "kernel"'


def rules_from_toml(source: str | Path) -> tuple[Rule, ...]:
    """Return the rules of a TOML file or text: an array `rules` of initializers with conditions.

    The conditions are those of `Rule`; an initializer is a name, or a table with its name and
    options. The first rule that matches counts. In a shape, `"*"` stands for any size.

    Args:
      source: path of a file, or the text itself, which has at least one line break.

    Raises:
      ValueError: if the TOML is invalid, or a key, condition or initializer is unknown; the error
        names the file and the line or rule.
      TypeError: if a rule has no initializer, or a condition has another type.
      OSError: if the file cannot be read.

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
    document = _parse(name, str(source) if is_text else _read_text(name, Path(source)))
    return tuple(
        _parse_rule(f"{name}: rule {number}", table)
        for number, table in enumerate(_rule_tables(name, document), start=1)
    )


def _read_text(name: str, file: Path) -> str:
    try:
        return read_stored_bytes(file).decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected TOML in UTF-8, but byte {error.start} is not UTF-8; save the file "
            "with that encoding"
        ) from None


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name}: invalid TOML: {error}") from None
    except RecursionError:
        raise ValueError(
            f"{name}: arrays or tables are nested too deeply; expected rules such as\n{_EXAMPLE}"
        ) from None


def _rule_tables(name: str, document: Mapping[str, Any]) -> list[Any]:
    """Return the array of rules; raise if the document holds anything else."""
    try:
        for key in document:
            check_choice("key of a file of rules", key, ("rules",))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    tables = document.get("rules")
    if not isinstance(tables, list) or not tables:
        raise ValueError(
            f"{name}: expected rules, each under a line [[rules]], such as\n{_EXAMPLE}"
        )
    return tables


def _parse_rule(place: str, table: Any) -> Rule:
    """Return one rule; errors begin with its place in the document."""
    if isinstance(table, Mapping) and isinstance(table.get("shape"), list):
        sizes = [None if size == _ANY_SIZE else size for size in table["shape"]]
        table = {**table, "shape": sizes}
    try:
        return read_rules([table])[0]
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None
    except RecursionError:
        raise ValueError(
            f"{place}: its initializer is nested too deeply; expected a name or one table"
        ) from None
