"""Wrong calls of the functions that build initializers, and names of other libraries."""

import inspect
import pickle

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jinit
from jinit import initializers
from jinit.initializers import CATALOG, adapters
from jinit.initializers.other_names import suggest_name

KEY = jax.random.key(0)
FACTORIES = [entry.name for entry in CATALOG if entry.name not in ("zeros", "ones")]


@pytest.mark.parametrize("key", [KEY, jax.random.PRNGKey(0)], ids=["typed", "legacy"])
@pytest.mark.parametrize("name", FACTORIES)
def test_a_factory_that_receives_a_key_says_what_to_write(name, key):
    with pytest.raises(TypeError, match=rf"write jinit\.{name}\(.*\) in place of jinit\.{name},"):
        getattr(initializers, name)(key, (3, 4), jnp.float32)


def test_an_uncalled_factory_in_a_layer_says_what_to_write():
    layer = nn.Dense(3, kernel_init=jinit.he_normal)
    text = (
        r"he_normal got a random key, .*: write jinit\.he_normal\(\) in place of jinit\.he_normal"
    )
    with pytest.raises(TypeError, match=text):
        layer.init(KEY, jnp.ones((1, 2)))
    with pytest.raises(TypeError, match=r"write jinit\.variance_scaling\(scale, mode, distribut"):
        jax.jit(lambda key: jinit.variance_scaling(key, (3, 4)))(KEY)


def test_an_uncalled_adapter_says_what_to_write():
    with pytest.raises(TypeError, match=r"jinit\.adapters\.lora\(rank\)\(key, kernel\) to draw"):
        adapters.lora(KEY, jnp.ones((3, 4)))


@pytest.mark.parametrize("value", [jinit.zeros, jinit.ones, jinit.constant(0.3)], ids=repr)
def test_a_value_that_is_called_without_arguments_says_what_to_write(value):
    with pytest.raises(TypeError) as caught:
        value()
    assert f"{value!r} is already an initializer" in str(caught.value)
    assert f"write jinit.{value!r} without parentheses" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "option", "text"),
    [
        ("normal", "std", "did you mean 'stddev'"),
        ("normal", "mean", r"use random_normal\(mean, stddev\)"),
        ("truncated_normal", "a", r"use timm_trunc_normal\(mean, stddev, minval, maxval\)"),
        ("uniform", "minval", r"use random_uniform\(minval, maxval\)"),
        ("he_normal", "nonlinearity", r"use activation_scaled\(activation\)"),
        ("he_uniform", "mode", r"use variance_scaling\(scale, mode, distribution\)"),
        ("he_uniform", "seed", r"he_uniform\(\.\.\.\)\(jax\.random\.key\(0\), shape\)"),
        ("xavier_uniform", "gain", r"use scaled\(xavier_uniform\(\.\.\.\), gain\)"),
        ("orthogonal", "gain", "did you mean 'scale'"),
        ("he_normal", "in_axes", "did you mean 'in_axis'"),
        ("constant", "val", "did you mean 'value'"),
        ("constant", "shape", r"when the initializer is called: constant\(\.\.\.\)\(key, shape\)"),
        ("normal", "qqq", "expected one of: stddev, dtype"),
        ("zeros_init", "value", "zeros_init has no options"),
    ],
)
def test_an_option_of_another_library_is_answered_with_that_of_jinit(name, option, text):
    with pytest.raises(TypeError, match=f"unknown option of {name} '{option}'; .*{text}"):
        getattr(jinit, name)(**{option: 1.0})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kaiming_normal_", r"write jinit\.kaiming_normal\(\)"),
        ("trunc_normal_", r"write jinit\.timm_trunc_normal\(mean, stddev, minval, maxval\)"),
        ("calculate_gain", r"write jinit\.theory\.gain\(activation\)"),
        ("GlorotUniform", r"write jinit\.glorot_uniform\(\)"),
        ("zeros_", r"write jinit\.zeros"),
        ("he_norml", "did you mean 'he_normal'"),
        ("HeNorml", "did you mean 'he_normal'"),
        ("lora", r"write jinit\.adapters\.lora"),
        ("mlp", r"write jinit\.sweep\.mlp"),
    ],
)
def test_a_name_of_another_library_is_answered_with_that_of_jinit(name, text):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; {text}"):
        getattr(initializers, name)


def test_a_name_that_resembles_nothing_has_no_suggestion():
    with pytest.raises(AttributeError, match=r"has no attribute 'xyzzy'$"):
        _ = initializers.xyzzy
    assert not hasattr(initializers, "__path2__")


TORCH = "constant_ dirac_ eye_ kaiming_normal_ kaiming_uniform_ normal_ ones_ orthogonal_ sparse_"
KERAS = (
    "Constant GlorotNormal HeNormal Identity Ones Orthogonal RandomUniform VarianceScaling Zeros"
)


@pytest.mark.parametrize("name", [*TORCH.split(), *KERAS.split()])
def test_a_suggested_name_exists(name):
    suggestion = suggest_name(name, ())
    assert suggestion.startswith("write jinit.")
    assert hasattr(initializers, suggestion.removeprefix("write jinit.").partition("(")[0])


@pytest.mark.parametrize("name", ["he_normal", "constant", "stacked"])
def test_public_factories_pickle_and_keep_their_signature(name):
    factory = getattr(jinit, name)
    assert pickle.loads(pickle.dumps(factory)) is factory
    assert factory is getattr(initializers, name)
    assert factory.__doc__
    assert list(inspect.signature(factory).parameters)[-1] == "dtype"


def test_other_errors_of_a_factory_are_unchanged():
    with pytest.raises(ValueError, match="stddev: expected a number >= 0"):
        jinit.normal(-1.0)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
        jinit.constant()
