"""Low-rank adapters (LoRA and its variants) and their initializations."""

from jinit.initializers.adapters.adapter import Adapter, LowRank
from jinit.initializers.adapters.gradient_factors import lora_ga
from jinit.initializers.adapters.input_factors import corda, eva
from jinit.initializers.adapters.kernel_factors import mica, olora, pissa, pissa_randomized
from jinit.initializers.adapters.random_factors import (
    lora,
    lora_embedding,
    lora_gaussian,
    lora_orthogonal,
)
from jinit.initializers.factories import explain_mistakes

__all__ = [
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
]

# A wrong call of a function that builds an adapter raises an error that says what to write.
_FACTORIES = [name for name in __all__ if name not in ("Adapter", "LowRank")]
globals().update({name: explain_mistakes(globals()[name]) for name in _FACTORIES})
