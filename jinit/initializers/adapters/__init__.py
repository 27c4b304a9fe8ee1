"""Low-rank adapters: factors beside a frozen kernel, and from which values they start."""

from jinit.initializers.adapters.adapter import Adapter, LowRank
from jinit.initializers.adapters.drawn import (
    lora,
    lora_embedding,
    lora_gaussian,
    lora_orthogonal,
)
from jinit.initializers.adapters.from_data import corda, eva, lora_ga
from jinit.initializers.adapters.from_weight import mica, olora, pissa, pissa_randomized

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
