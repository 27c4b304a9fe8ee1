"""Import a function that is named as `module:function` from the user's files."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from jinit.report.text import join_names


def load_function(option: str, reference: object, folder: Path) -> Callable[..., Any]:
    """Import a function.

    Args:
      option: what precedes the name in messages, such as `model =`.
      reference: the name, such as `models:build` for the function build of models.py.
      folder: where modules are looked for first, before the installed ones.

    Returns:
      The function.

    Raises:
      ValueError: if the name has another form, the module cannot be imported, or it does not have
        that function.

    >>> load_function("model =", "math:sqrt", Path()).__name__
    'sqrt'
    """
    module_name, _, name = str(reference).partition(":")
    if not module_name or not name:
        raise ValueError(
            f"{option} {reference!r}: expected 'module:function', such as 'models:build' for the "
            f"function build in models.py in {folder}"
        )
    if module_name.endswith(".py"):
        raise ValueError(
            f"{option} {reference!r}: name the module as in an import, without .py: "
            f"{module_name.removesuffix('.py').replace('/', '.')}:{name}"
        )
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.insert(0, path)
    try:
        module = import_module(module_name)
    except SyntaxError as error:
        raise ValueError(
            f"{option} {reference!r}: {error.filename}, line {error.lineno}: {error.msg}"
        ) from error
    except ImportError as error:
        if (error.name or "").partition(".")[0] != module_name.partition(".")[0]:
            raise ValueError(
                f"{option} {reference!r}: {module_name} was found, but an import in it fails: "
                f"{error}"
            ) from error
        raise ValueError(
            f"{option} {reference!r}: cannot import {module_name!r}: {error}; write it as in an "
            f"import, such as 'models:build' for the function build in models.py in {folder}"
        ) from error
    if not callable(getattr(module, name, None)):
        names = _function_names(module)
        raise ValueError(
            f"{option} {reference!r}: {module_name} has no function {name!r}; "
            f"it has {join_names(names) if names else 'no function'}"
        )
    return getattr(module, name)


def _function_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
