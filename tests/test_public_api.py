"""The public names: complete, documented, and a drop-in for JAX's and Flax's initializers."""

import importlib.metadata
import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import flax.linen.initializers
import flax.nnx
import jax
import jax.nn.initializers
import numpy as np
import pytest

import jinit
import jinit.initializers

REFERENCES = (jax.nn.initializers, flax.linen.initializers, flax.nnx.initializers)


def public(module: ModuleType) -> dict[str, object]:
    """The functions and classes a module offers, without what it merely imported from typing."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value))
        if value.__module__ != "typing"
    }


def undocumented(name: str, value: object) -> Iterator[str]:
    """What a public object's documentation lacks; a value is documented by its class."""
    text = value.__doc__ or ""
    if not text.strip():
        yield f"{name} has no docstring"
    is_error = inspect.isclass(value) and issubclass(value, Exception)
    if callable(value) and not is_error and ">>>" not in text:
        yield f"{name} has no doctest example"


def builders(module: ModuleType) -> list[str]:
    """The public functions a module defines that return an initializer."""
    return [
        name
        for name, value in public(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
        if is_initializer(inspect.signature(value).return_annotation)
    ]


def is_initializer(annotation: object) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, jinit.initializers.Initializer)


def signature_differences(reference: inspect.Signature, ours: inspect.Signature) -> list[str]:
    """Where ours departs from the reference; it may only add keyword-only options with defaults."""
    wanted, offered = list(reference.parameters.values()), list(ours.parameters.values())
    offered += [None] * (len(wanted) - len(offered))
    found = [
        f"{ours} where {theirs} is wanted"
        for theirs, ours in zip(wanted, offered, strict=False)
        if ours is None
        or (theirs.name, theirs.kind, theirs.default) != (ours.name, ours.kind, ours.default)
    ]
    added = offered[len(wanted) :]
    return found + [
        f"{one} added" for one in added if one.kind != one.KEYWORD_ONLY or required(one)
    ]


def required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def is_factory(reference: object) -> bool:
    """Whether calling it gives an initializer: not a class, and not itself one such as `zeros`."""
    return inspect.isfunction(reference) and "key" not in inspect.signature(reference).parameters


DROP_IN = {name: value for module in REFERENCES for name, value in public(module).items()}
FACTORIES = sorted(name for name, value in DROP_IN.items() if is_factory(value))
REQUIRED = {"value": 0.5, "scale": 2.0, "mode": "fan_in", "distribution": "normal"}


def built(factory: object) -> object:
    """The initializer of a factory with its defaults, and REQUIRED where it has none."""
    signature = inspect.signature(factory)
    return factory(*(REQUIRED[one.name] for one in signature.parameters.values() if required(one)))


def exported(module: ModuleType) -> list[tuple[str, object]]:
    return [(name, getattr(module, name)) for name in module.__all__ if name != "__version__"]


@pytest.mark.parametrize("module", [jinit, jinit.initializers], ids=lambda module: module.__name__)
def test_exports_exist_once_and_are_documented(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert [line for name, value in exported(module) for line in undocumented(name, value)] == []


def test_undocumented_objects_are_seen():
    def silent(): ...

    def bare():
        """Documented, without an example."""

    class SampleError(ValueError):
        """Documented; an error needs no example."""

    assert len(list(undocumented("silent", silent))) == 2
    assert list(undocumented("bare", bare)) == ["bare has no doctest example"]
    assert list(undocumented("SampleError", SampleError)) == []


def test_no_initializer_is_forgotten():
    room = jinit.initializers
    modules = [import_module(f"{room.__name__}.{one.name}") for one in iter_modules(room.__path__)]
    defined = {name for module in modules for name in builders(module)} - {"from_spec"}
    catalogued = {entry.build for entry in room.CATALOG}
    assert "he_normal" in defined
    assert defined - set(room.__all__) == set()
    assert {getattr(room, name) for name in defined} - catalogued == set()


def test_builders_are_found():
    module = ModuleType("sample")

    def start() -> jinit.initializers.Initializer: ...

    def other() -> int: ...

    for function in (start, other):
        function.__module__ = "sample"
        setattr(module, function.__name__, function)
    assert builders(module) == ["start"]


def test_every_name_of_jax_and_flax_is_here():
    assert {"zeros", "zeros_init", "he_normal", "Initializer"} <= set(DROP_IN)
    assert set(DROP_IN) - set(jinit.initializers.__all__) == set()
    assert set(DROP_IN) - set(dir(jinit)) == set()


@pytest.mark.parametrize("name", FACTORIES)
def test_factory_takes_what_the_reference_takes(name):
    reference, ours = DROP_IN[name], getattr(jinit.initializers, name)
    assert signature_differences(inspect.signature(reference), inspect.signature(ours)) == []


@pytest.mark.parametrize("name", FACTORIES)
def test_initializer_takes_what_the_reference_takes(name):
    reference = inspect.signature(built(DROP_IN[name]))
    ours = inspect.signature(built(getattr(jinit.initializers, name)))
    assert signature_differences(reference, ours) == []


def test_signature_differences_are_seen():
    def reference(a, b=1): ...

    def same(a, b=1, *, extra=0): ...

    def renamed(a, c=1): ...

    def changed(a, b=2): ...

    def swapped(b=1, a=None): ...

    def short(a): ...

    def longer(a, b=1, c=2): ...

    def demanding(a, b=1, *, c): ...

    def count(ours):
        return len(signature_differences(inspect.signature(reference), inspect.signature(ours)))

    bad = (renamed, changed, swapped, short, longer, demanding)
    assert count(same) == 0
    assert [count(each) for each in bad] == [1, 1, 2, 1, 1, 1]


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (4, 5, 6)])
@pytest.mark.parametrize("name", sorted(set(DROP_IN) - set(FACTORIES) - {"Initializer"}))
def test_constant_values_are_called_as_in_jax(name, shape):
    reference, ours = getattr(jax.nn.initializers, name), getattr(jinit.initializers, name)
    key = jax.random.key(0)
    for options in ({}, {"dtype": np.float16}, {"dtype": int}, {"out_sharding": None}):
        wanted, drawn = reference(key, shape, **options), ours(key, shape, **options)
        assert (drawn.shape, drawn.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(drawn, wanted)


def test_the_version_is_the_installed_one():
    assert jinit.__version__ == importlib.metadata.version("jinit")
