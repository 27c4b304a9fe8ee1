"""`jinit list` and `jinit show`: the catalog of initializers, and one of them in detail."""

import inspect
import json
from collections.abc import Sequence
from typing import Any

import click

from jinit.cli.output import DONE, STANDARD_OUTPUT, check_folder, print_page, write_json

_DEFAULT_SHAPES = ((256, 256), (3, 3, 64, 64), (256,), (16, 16, 16), (64, 32))
"""Shapes that are tried in turn if none is given: some initializers accept only convolutions or
vectors."""
_FAN_AXES = (("in_axis", -2), ("out_axis", -1), ("batch_axis", ()))


@click.command("list")
@click.argument("words", nargs=-1, metavar="[FAMILY|WORD]...")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def list_initializers(words: Sequence[str], json_file: str | None) -> int:
    """List the catalog, one initializer per line.

    With words, only the initializers whose name, family, summary or paper holds all of them:
    "jinit list orthogonal", "jinit list state space", "jinit list He 2015".
    """
    from jinit.report.catalog_list import catalog_lines, matches_words

    check_folder("--json", json_file)
    catalog = _catalog()
    entries = [entry for entry in catalog if matches_words(entry, words)]
    if not entries:
        families = ", ".join(dict.fromkeys(entry.family for entry in catalog))
        raise ValueError(f"no initializer matches {' '.join(words)!r}; the families are {families}")
    if json_file:
        write_json(json_file, [vars(entry) for entry in entries])
    if json_file != STANDARD_OUTPUT:
        for line in catalog_lines(entries, _width()):
            click.echo(line)
    return DONE


@click.command("show")
@click.argument("name")
@click.argument("sizes", nargs=-1, type=int, metavar="[SIZE]...")
@click.option("--shape", metavar="SIZE[,SIZE]...", help="The shape to draw, such as 3,3,64,128.")
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE", help="Such as stddev=0.02."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw.")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def show_initializer(
    name: str,
    sizes: Sequence[int],
    shape: str | None,
    settings: Sequence[str],
    seed: int,
    json_file: str | None,
) -> int:
    """Describe one initializer, and show a histogram of its values with the exact density.

    The shape is given by its sizes: "jinit show he_normal 3 3 64 128".
    """
    import jax
    import numpy as np

    from jinit.report.catalog import entry_page

    check_folder("--json", json_file)
    entry, initializer = _find_initializer(name, settings)
    given_shape = (*_read_shape(shape), *sizes)
    drawn_shape, array = _draw(initializer, given_shape, jax.random.key(seed))
    values = np.ravel(np.asarray(array, np.float64))
    if not values.size:
        raise ValueError(f"shape {drawn_shape} holds no values to show; give sizes above 0")
    description = _describe(entry, initializer, initializer.variance_with_options())
    marginal = initializer.marginal(drawn_shape)
    facts = [
        f"{initializer!r}, {_shape_text(initializer, drawn_shape)}",
        *_facts(initializer, values, marginal),
    ]
    if json_file:
        numbers = {"shape": drawn_shape, "mean": values.mean(), "std": values.std()}
        exact = {"exact_mean": marginal.mean, "exact_std": marginal.std} if marginal else {}
        write_json(json_file, vars(description) | {"value": repr(initializer)} | numbers | exact)
    if json_file != STANDARD_OUTPUT:
        print_page(entry_page(description, facts, values, marginal and marginal.density))
    return DONE


def _catalog() -> list[Any]:
    """Describe every initializer, and every adapter after them."""
    from jinit.initializers import CATALOG
    from jinit.initializers.catalog import ADAPTERS
    from jinit.report.catalog import read_description

    entries = [_describe(entry, entry.example, _variance(entry)) for entry in CATALOG]
    adapters = [
        read_description(f"adapters.{each.__name__}", "adapter", "", each.__doc__ or "")
        for each in ADAPTERS
    ]
    return entries + adapters


def _width() -> int | None:
    """Return the width of the terminal; None, for lines of any length, if the output is piped."""
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _variance(entry: Any) -> str:
    """Return the variance of an entry; by the names of its options if they have to be given."""
    parameters = inspect.signature(entry.build).parameters.values()
    needs_options = any(parameter.default is parameter.empty for parameter in parameters)
    example = entry.example
    return example.variance_formula if needs_options else example.variance_with_options()


def _describe(entry: Any, initializer: Any, variance: str) -> Any:
    from jinit.report.catalog import read_description

    documentation = entry.build.__doc__ or type(initializer).__doc__ or ""
    return read_description(entry.name, entry.family, variance, documentation)


def _find_initializer(name: str, settings: Sequence[str]) -> tuple[Any, Any]:
    """Return the entry of the catalog, and the initializer that the settings describe."""
    from jinit.initializers import from_spec
    from jinit.initializers.catalog import find_entry
    from jinit.theory import ACTIVATIONS

    if name in ACTIVATIONS and name != "identity":
        raise ValueError(
            f"{name} is an activation; for the weights before it, type: "
            f"jinit show activation_scaled --set phi={name}"
        )
    entry = find_entry(name)
    if not settings:
        return entry, entry.example
    return entry, from_spec({"name": name} | dict(map(_read_setting, settings)))


def _read_setting(text: str) -> tuple[str, Any]:
    option, _, value = text.partition("=")
    if not value:
        raise ValueError(f"--set: expected OPTION=VALUE, such as stddev=0.02, got {text!r}")
    try:
        return option, json.loads(value)
    except json.JSONDecodeError:
        return option, value


def _read_shape(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(size) for size in text.replace("×", ",").replace("x", ",").split(","))
    except ValueError:
        raise ValueError(
            f"--shape: expected sizes with commas between them, such as 3,3,64,128, got {text!r}"
        ) from None


def _draw(initializer: Any, shape: tuple[int, ...], key: Any) -> tuple[tuple[int, ...], Any]:
    """Draw in the given shape, or in the first default shape that the initializer accepts."""
    if shape:
        return shape, initializer(key, shape)
    *others, last = _DEFAULT_SHAPES
    for candidate in others:
        try:
            return candidate, initializer(key, candidate)
        except ValueError:
            continue
    return last, initializer(key, last)


def _shape_text(initializer: Any, shape: tuple[int, ...]) -> str:
    from jinit.initializers.fans import fans

    if len(shape) < 2:
        return f"shape {shape}"
    axes = {name: getattr(initializer, name, default) for name, default in _FAN_AXES}
    fan = fans(shape, *axes.values())
    return f"shape {shape}, fan_in {fan.fan_in:g}, fan_out {fan.fan_out:g}"


def _facts(initializer: Any, values: Any, marginal: Any) -> list[str]:
    variance = initializer.variance_with_options()
    return [
        *([f"variance {variance}"] if variance else []),
        *([f"exact: mean {marginal.mean:.4g}, std {marginal.std:.4g}"] if marginal else []),
        f"drawn: mean {values.mean():.4g}, std {values.std():.4g} ({values.size} values)",
    ]
