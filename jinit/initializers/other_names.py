"""Names and options of PyTorch and Keras, with the names that jinit uses for them."""

import re
from collections.abc import Iterable

from jinit.choice import check_choice, closest

# What to write in place of a name of torch.nn.init or keras.initializers.
_CALLS = {
    "calculate_gain": "theory.gain(activation)",
    "constant_": "constant(value)",
    "dirac_": "dirac()",
    "eye_": "identity()",
    "kaiming_normal_": "kaiming_normal()",
    "kaiming_uniform_": "kaiming_uniform()",
    "normal_": "random_normal(mean, stddev)",
    "ones_": "ones",
    "orthogonal_": "orthogonal()",
    "sparse_": "sparse(sparsity)",
    "trunc_normal_": "timm_trunc_normal(mean, stddev, minval, maxval)",
    "uniform_": "random_uniform(minval, maxval)",
    "xavier_normal_": "xavier_normal()",
    "xavier_uniform_": "xavier_uniform()",
    "zeros_": "zeros",
    "Constant": "constant(value)",
    "GlorotNormal": "glorot_normal()",
    "GlorotUniform": "glorot_uniform()",
    "HeNormal": "he_normal()",
    "HeUniform": "he_uniform()",
    "Identity": "identity()",
    "IdentityInitializer": "identity()",
    "LecunNormal": "lecun_normal()",
    "LecunUniform": "lecun_uniform()",
    "Ones": "ones",
    "Orthogonal": "orthogonal()",
    "OrthogonalInitializer": "orthogonal()",
    "RandomNormal": "random_normal(mean, stddev)",
    "RandomUniform": "random_uniform(minval, maxval)",
    "STFT": "stft()",
    "TruncatedNormal": "truncated_normal(stddev)",
    "VarianceScaling": "variance_scaling(scale, mode, distribution)",
    "Zeros": "zeros",
}

# Options with another name: the first one that the function has is meant.
_OPTIONS = {
    "fill_value": ("value",),
    "gain": ("scale",),
    "high": ("maxval",),
    "low": ("minval",),
    "param_dtype": ("dtype",),
    "sigma": ("stddev",),
    "std": ("stddev",),
    "stdev": ("stddev",),
    "val": ("value",),
}

_WHEN_CALLED = "{option} is given when the initializer is called: {name}(...)(key, shape)"
_RANDOM_KEY = "random numbers come from the key of the call: {name}(...)(jax.random.key(0), shape)"
_ACTIVATION = "use activation_scaled(activation), which computes the gain of any activation"
_UNIFORM = "use random_uniform(minval, maxval)"
_BOUNDS = (
    "lower and upper count standard deviations; for bounds that are values use "
    "timm_trunc_normal(mean, stddev, minval, maxval)"
)

# Names that jinit keeps elsewhere.
_ELSEWHERE = {
    **dict.fromkeys(
        (
            "Adapter",
            "LowRank",
            "corda",
            "eva",
            "lora",
            "lora_embedding",
            "lora_ga",
            "lora_gaussian",
            "lora_orthogonal",
            "mica",
            "olora",
            "pissa",
            "pissa_randomized",
        ),
        "adapters",
    ),
    **dict.fromkeys(
        (
            "HippoDiagonal",
            "hippo_diagonal",
            "lru_log_gain",
            "mimetic_query_key",
            "mimetic_value_output",
        ),
        "initializers",
    ),
    **dict.fromkeys(("activation_function", "mlp"), "sweep"),
}

# What to do where no option has the same meaning: for one function, or for all others.
_ADVICE = {
    ("normal", "mean"): "use random_normal(mean, stddev)",
    ("truncated_normal", "mean"): "use timm_trunc_normal(mean, stddev, minval, maxval)",
    **{("uniform", option): _UNIFORM for option in ("minval", "maxval", "low", "high", "a", "b")},
    **{("truncated_normal", option): _BOUNDS for option in ("minval", "maxval", "a", "b")},
    **{("random_uniform", option): "use minval and maxval" for option in ("a", "b")},
    ("timm_trunc_normal", "a"): "did you mean 'minval'?",
    ("timm_trunc_normal", "b"): "did you mean 'maxval'?",
    ("", "mode"): "use variance_scaling(scale, mode, distribution)",
    ("", "gain"): "use scaled({name}(...), gain)",
    ("", "shape"): _WHEN_CALLED,
    ("", "key"): _WHEN_CALLED,
    **{("", option): _RANDOM_KEY for option in ("seed", "rng", "rngs", "generator")},
    **{("", option): _ACTIVATION for option in ("nonlinearity", "activation", "negative_slope")},
}


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return what to write in place of a name that jinit does not have; empty if nothing is near.

    Args:
      name: name of another library's initializer, or a misspelled one.
      known: names that exist.

    >>> suggest_name("kaiming_normal_", ())
    'write jinit.kaiming_normal()'
    >>> suggest_name("he_norml", ("he_normal", "ones"))
    "did you mean 'he_normal'?"
    """
    if name.startswith("__"):  # looked for by Python itself
        return ""
    if name in _CALLS:
        return f"write jinit.{_CALLS[name]}"
    if name in _ELSEWHERE:
        return f"write jinit.{_ELSEWHERE[name]}.{name}"
    snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().rstrip("_")
    near = closest(snake_case, known, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def missing_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error of a module without that attribute, with the name that is probably meant."""
    suggestion = suggest_name(name, known)
    hint = f"; {suggestion}" if suggestion else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}", name=name)


def describe_unknown_option(name: str, option: str, options: Iterable[str]) -> str:
    """Return the message for an option that a function does not have.

    Args:
      name: the function.
      option: the unknown option.
      options: options that the function has.

    >>> describe_unknown_option("normal", "std", ("stddev", "dtype"))
    "unknown option of normal 'std'; did you mean 'stddev'?"
    """
    known = tuple(options)
    if not known:
        return f"unknown option of {name} {option!r}; {name} has no options"
    synonym = next((other for other in _OPTIONS.get(option, ()) if other in known), None)
    advice = _ADVICE.get((name, option)) or _ADVICE.get(("", option))
    if synonym or advice:
        hint = f"did you mean {synonym!r}?" if synonym else str(advice)
        hint = hint.format(name=name, option=option)
        return f"unknown option of {name} {option!r}; {hint}"
    try:
        check_choice(f"option of {name}", option, known)
    except ValueError as error:
        return str(error)
    return f"{name} got the option {option!r} twice"
