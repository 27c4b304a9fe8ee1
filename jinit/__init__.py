"""Initialize JAX and Flax networks, and know from which weights they should start.

- `he_normal`, `orthogonal`, ...: initializers, called as `(key, shape, dtype)`; `CATALOG` has all.
- `linen.trace`, `nnx.trace`, `trace`: a network as a `Model`, read from its computation.
- `init`, `plan`, `recommend`, `Rule`, `recipes`: initial parameters of a whole model.
- `audit`, `diagnose`, `diagnostics`: whether a network will train, and if not, why.
- `theory`: what a random layer does to a signal.
- `Sweep`, `grid`, `random_search`, `Task`, `Results`: compare initializations by training.
- `calibrate`, `pretrain`: initialization that looks at data, and greedy pre-training.
- `tune`: compare initializations, each at its own best learning rate, on fresh seeds.
- `adapters`: initial factors of LoRA and its variants.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinit.diagnostics import Diagnosis, diagnose
    from jinit.gains import audit
    from jinit.initializers import (
        CATALOG,
        Initializer,
        activation_scaled,
        blockwise,
        cast,
        chrono,
        constant,
        convolution_aware,
        convolutional_orthogonal,
        delta_orthogonal,
        dirac,
        forget_gate_bias,
        fourier,
        fourier_features,
        fourier_phases,
        from_spec,
        glorot_normal,
        glorot_uniform,
        haiku_default,
        he_normal,
        he_uniform,
        headwise_orthogonal,
        hippo,
        hippo_input,
        icnr,
        identity,
        idinit,
        kaiming_normal,
        kaiming_uniform,
        keras_default,
        lecun_normal,
        lecun_uniform,
        log_step,
        lru_log_decay,
        lru_log_phase,
        mamba2_log_decay,
        mamba_log_decay,
        mamba_step_kernel,
        masked,
        normal,
        ones,
        ones_init,
        orthogonal,
        random_normal,
        random_uniform,
        rg_lru_decay,
        s4d_frequency,
        s4d_log_decay,
        scaled,
        scaled_uniform_orthogonal,
        sigmoid_normal,
        sigmoid_uniform,
        sinusoidal,
        siren,
        siren_first,
        small_init,
        sparse,
        stacked,
        step_bias,
        stft,
        timm_trunc_normal,
        torch_default,
        torch_default_bias,
        truncated,
        truncated_normal,
        uniform,
        uniform_gate_bias,
        unit_rows,
        variance_scaling,
        xavier_fan_in_normal,
        xavier_fan_in_uniform,
        xavier_normal,
        xavier_uniform,
        zero_hadamard,
        zeros,
        zeros_init,
    )
    from jinit.model import Leaf, Model, trace
    from jinit.programs import fast_init
    from jinit.report import Results, Tuned
    from jinit.rules import (
        Plan,
        Rule,
        RuleError,
        init,
        plan,
        recipes,
        recommend,
        rules_from_toml,
    )
    from jinit.sweep import (
        Data,
        Mean,
        Space,
        Sweep,
        Task,
        Trial,
        between,
        grid,
        halving,
        random_search,
        sobol,
        tasks,
        tune,
        zipped,
    )

    from . import calibrate, diagnostics, initializers, pretrain, report, rules, sweep, theory
    from .hooks import linen, nnx
    from .initializers import adapters

__version__ = metadata.version("jinit")

__all__ = [
    "CATALOG",
    "Data",
    "Diagnosis",
    "Initializer",
    "Leaf",
    "Mean",
    "Model",
    "Plan",
    "Results",
    "Rule",
    "RuleError",
    "Space",
    "Sweep",
    "Task",
    "Trial",
    "Tuned",
    "activation_scaled",
    "adapters",
    "audit",
    "between",
    "blockwise",
    "calibrate",
    "cast",
    "chrono",
    "constant",
    "convolution_aware",
    "convolutional_orthogonal",
    "delta_orthogonal",
    "diagnose",
    "diagnostics",
    "dirac",
    "fast_init",
    "forget_gate_bias",
    "fourier",
    "fourier_features",
    "fourier_phases",
    "from_spec",
    "glorot_normal",
    "glorot_uniform",
    "grid",
    "haiku_default",
    "halving",
    "he_normal",
    "he_uniform",
    "headwise_orthogonal",
    "hippo",
    "hippo_input",
    "icnr",
    "identity",
    "idinit",
    "init",
    "initializers",
    "kaiming_normal",
    "kaiming_uniform",
    "keras_default",
    "lecun_normal",
    "lecun_uniform",
    "linen",
    "log_step",
    "lru_log_decay",
    "lru_log_phase",
    "mamba2_log_decay",
    "mamba_log_decay",
    "mamba_step_kernel",
    "masked",
    "nnx",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "plan",
    "pretrain",
    "random_normal",
    "random_search",
    "random_uniform",
    "recipes",
    "recommend",
    "report",
    "rg_lru_decay",
    "rules",
    "rules_from_toml",
    "s4d_frequency",
    "s4d_log_decay",
    "scaled",
    "scaled_uniform_orthogonal",
    "sigmoid_normal",
    "sigmoid_uniform",
    "sinusoidal",
    "siren",
    "siren_first",
    "small_init",
    "sobol",
    "sparse",
    "stacked",
    "step_bias",
    "stft",
    "sweep",
    "tasks",
    "theory",
    "timm_trunc_normal",
    "torch_default",
    "torch_default_bias",
    "trace",
    "truncated",
    "truncated_normal",
    "tune",
    "uniform",
    "uniform_gate_bias",
    "unit_rows",
    "variance_scaling",
    "xavier_fan_in_normal",
    "xavier_fan_in_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zero_hadamard",
    "zeros",
    "zeros_init",
    "zipped",
]

_ROOMS = (
    "report",
    "theory",
    "initializers",
    "model",
    "programs",
    "gains",
    "rules",
    "diagnostics",
    "calibrate",
    "pretrain",
    "sweep",
)
"""Packages in which names are looked up, one after the other; those that need no JAX come first."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that reports need no JAX.

    Raises:
      AttributeError: for any other name; names of PyTorch and Keras are answered with jinit's.
    """
    if name in ("linen", "nnx"):
        return import_module(f"jinit.hooks.{name}")
    if name in _ROOMS:
        return import_module(f"jinit.{name}")
    if name in __all__:
        for room in _ROOMS:
            module = import_module(f"jinit.{room}")
            if name in module.__all__:
                globals()[name] = getattr(module, name)
                return globals()[name]
    from jinit.initializers.other_names import missing_attribute

    raise missing_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    """List what a user may use."""
    return [*__all__, "__version__"]
