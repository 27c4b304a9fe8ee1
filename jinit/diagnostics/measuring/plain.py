"""Convert results to plain data."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain_data(value: Any) -> Any:
    """Return a value as data that JSON can hold.

    NaN and infinity become None, tuples and arrays become lists.
    """
    if isinstance(value, Mapping):
        return {name: plain_data(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain_data(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_data(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
