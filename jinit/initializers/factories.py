"""Exact messages for wrong calls of the functions that build initializers."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from jinit.initializers.call_arguments import is_key
from jinit.initializers.other_names import describe_unknown_option

_Options = ParamSpec("_Options")
_Result = TypeVar("_Result")


def explain_mistakes(build: Callable[_Options, _Result]) -> Callable[_Options, _Result]:
    """Return the same function with better messages for two mistakes.

    - The function itself stands where an initializer is expected, so that it receives a key:
      `kernel_init=jinit.he_normal` instead of `kernel_init=jinit.he_normal()`.
    - An option has another name in jinit: `std=` instead of `stddev=`.

    Correct calls behave as before. The result is cached, so every room gets the same function.
    """
    return _wrap(build)


@cache
def _wrap(build: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(build)
    def factory(*args: Any, **options: Any) -> Any:
        try:
            return build(*args, **options)
        except (TypeError, ValueError) as error:
            message = _find_mistake(build, args, options)
            if message is None:
                raise
            raise TypeError(message) from error

    # Pickle and documentation find the function where users do.
    factory.__module__ = build.__module__.rpartition(".")[0]
    return factory


def _find_mistake(
    build: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]
) -> str | None:
    name, parameters = build.__name__, inspect.signature(build).parameters
    if any(is_key(value) for value in (*args, *options.values())):
        required = [
            parameter.name
            for parameter in parameters.values()
            if parameter.default is parameter.empty
        ]
        is_adapter = build.__module__.startswith("jinit.initializers.adapters")
        function = f"jinit.adapters.{name}" if is_adapter else f"jinit.{name}"
        call = f"{function}({', '.join(required)})"
        return (
            f"{name} got a random key, but it is a function that builds an initializer: write "
            f"{call} in place of {function}, and {call}(key, "
            f"{'kernel' if is_adapter else 'shape'}) to draw"
        )
    for option in options:
        if option not in parameters:
            return describe_unknown_option(name, option, parameters)
    return None
