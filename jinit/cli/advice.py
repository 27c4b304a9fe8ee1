"""Advice on an environment: settings that change values, cost time, or are missing."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_DEADLOCK = ((0, 10, 0), (0, 11, 1))
"""First version of JAX that can deadlock in batched LAPACK calls on CPU, and first that cannot."""
_NEWEST_JAX_NEEDS = (3, 12)
_ACCELERATOR_EXTRAS = {"gpu": "cuda13", "tpu": "tpu"}
_SLOW_OPTIONS = ("jax_debug_nans", "jax_disable_jit", "jax_disable_most_optimizations")


def advise(environment: Mapping[str, Any]) -> list[str]:
    """Return advice, a sentence or two each; empty if there is nothing to say.

    Args:
      environment: plain data of `read_environment`, which may have the key `rates` too.

    >>> from jinit.cli.environment import read_environment
    >>> environment = read_environment()
    >>> environment["options"]["jax_default_prng_impl"] = "rbg"
    >>> any("rbg" in line for line in advise(environment))
    True
    """
    return [
        *_advise_on_devices(environment),
        *_advise_on_versions(environment),
        *_advise_on_values(environment["options"]),
        *_advise_on_speed(environment),
        *_advise_on_extras(environment["missing"]),
    ]


def _advise_on_devices(environment: Mapping[str, Any]) -> Iterator[str]:
    platforms = {device["platform"] for device in environment["devices"]}
    if platforms != {"cpu"}:
        return
    for kind in environment["accelerators"]:
        name = kind.upper()
        hidden = environment["variables"].get("JAX_PLATFORMS", "")
        if hidden and kind not in hidden and "cuda" not in hidden:
            yield f"There is a {name}, and JAX_PLATFORMS={hidden} hides it from JAX; unset it."
        else:
            extra = _ACCELERATOR_EXTRAS[kind]
            yield (
                f"There is a {name}, and JAX has no driver for it: "
                f"pip install -U 'jax[{extra}]' installs one."
            )


def _advise_on_versions(environment: Mapping[str, Any]) -> Iterator[str]:
    versions = environment["versions"]
    version = _numbers(versions["jax"])
    is_on_cpu = any(device["platform"] == "cpu" for device in environment["devices"])
    if is_on_cpu and _DEADLOCK[0] <= version < _DEADLOCK[1]:
        text = (
            f"JAX {versions['jax']} on CPU can deadlock when one program holds several batched QR "
            "or Cholesky factorizations. jinit avoids them; in programs of your own, take them out "
            "of vmap and scan, or install JAX 0.11.1 or newer"
        )
        needs_python = _numbers(versions["python"])[:2] < _NEWEST_JAX_NEEDS
        yield f"{text}{', which needs Python 3.12' if needs_python else ''}."


def _advise_on_values(options: Mapping[str, Any]) -> Iterator[str]:
    if options["jax_enable_x64"]:
        yield (
            "jax_enable_x64 is on: parameters without a dtype are drawn in double precision, with "
            "twice the memory and other values than in single precision."
        )
    if options["jax_default_prng_impl"] != "threefry2x32":
        yield (
            f"Keys are of the kind {options['jax_default_prng_impl']}: values differ from those of "
            "threefry keys, and may depend on vmap and on the mesh."
        )
    if not options["jax_threefry_partitionable"]:
        yield (
            "jax_threefry_partitionable is off: random values differ from JAX's default, and "
            "sharded draws need communication."
        )


def _advise_on_speed(environment: Mapping[str, Any]) -> Iterator[str]:
    options = environment["options"]
    for name in _SLOW_OPTIONS:
        if options[name]:
            yield f"{name} is on: everything is slower; turn it off unless you look for a fault."
    if not options["jax_enable_compilation_cache"]:
        yield (
            "jax_enable_compilation_cache is off: every process compiles all its programs anew, "
            "which takes `jinit sweep` several seconds per start."
        )
    elif not options["jax_compilation_cache_dir"]:
        yield (
            "Scripts compile anew in every process. `jinit sweep` keeps its programs; scripts do "
            'so after jax.config.update("jax_compilation_cache_dir", FOLDER).'
        )


def _advise_on_extras(missing: Mapping[str, list[str]]) -> Iterator[str]:
    for extra, modules in missing.items():
        if modules:
            yield (
                f"The extra {extra} is incomplete ({', '.join(modules)}): "
                f"pip install 'jinit[{extra}]' installs it."
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
