"""The events of a simulation."""

import collections
from dataclasses import dataclass, field


@dataclass
class Journal:
    """What has happened."""

    trained_seconds: float = 0.0
    """Training of all workers, finished or not."""
    interrupted_seconds: float = 0.0
    """Training that ended with its worker."""
    trained: collections.Counter[str] = field(default_factory=collections.Counter)
    """How often each block was trained to its end."""
    finished_at: dict[str, float] = field(default_factory=dict)
    """When each block had its records."""
    twice_seconds: float = 0.0
    """Training to the end of blocks that had records by then."""
    claims: int = 0
    idle_claims: int = 0
    claim_seconds: float = 0.0
    """Time of all claims that found a block."""
    claimed: set[str] = field(default_factory=set)
    last_first_claim: float = 0.0
    """When no block was left that nobody had tried."""
    interrupted: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When the last holder of a block ended in training it, and whether it was killed."""
    takeovers: list[tuple[float, float, bool]] = field(default_factory=list)
    """When a holder ended, when the block was claimed again, and whether it was killed."""
    ends: int = 0
