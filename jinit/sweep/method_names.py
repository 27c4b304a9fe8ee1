"""Methods by name, for files that describe a sweep."""

from collections.abc import Mapping
from typing import Any

from jinit.calibrate import (
    Method,
    actnorm,
    autoinit,
    class_prior,
    gradinit,
    lsuv,
    metainit,
    patches,
    weight_norm,
)
from jinit.choice import check_choice
from jinit.pretrain import AutoencoderTrainer, RbmTrainer, autoencoder, greedy, rbm

CALIBRATIONS = {
    "actnorm": actnorm,
    "autoinit": autoinit,
    "class_prior": class_prior,
    "gradinit": gradinit,
    "lsuv": lsuv,
    "metainit": metainit,
    "patches": patches,
    "weight_norm": weight_norm,
}
"""Methods of `jinit.calibrate` by name."""
PRETRAININGS = {"autoencoder": autoencoder, "greedy": greedy, "rbm": rbm}
"""Methods of `jinit.pretrain` by name."""
METHODS = CALIBRATIONS | PRETRAININGS


def read_method(spec: str | Mapping[str, Any]) -> Method | None:
    """Return the method that a name, or a table with a name and options, describes.

    Args:
      spec: the name, or the table.

    Returns:
      The method, or None if the name is not that of one.

    Raises:
      ValueError: if an option is unknown or cannot work.

    >>> read_method({"name": "lsuv", "tolerance": 0.1}), read_method("zeros")
    (lsuv(tolerance=0.1), None)
    """
    options = {"name": spec} if not isinstance(spec, Mapping) else dict(spec)
    name = options.pop("name", None)
    return build_method(name, options) if isinstance(name, str) and name in METHODS else None


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """Return a method with its options.

    Args:
      name: one of `METHODS`.
      options: options by name.

    Raises:
      ValueError: if an option is unknown or cannot work.

    >>> build_method("lsuv", {"target": 2.0})
    lsuv(target=2.0)
    """
    trainer = {"autoencoder": AutoencoderTrainer, "rbm": RbmTrainer}.get(name)
    kinds = [type(METHODS[name]()), *([trainer] if trainer else [])]
    known = [option for kind in kinds for option in kind.__dataclass_fields__]
    for option in options:
        check_choice(f"option of {name}", option, known)
    return METHODS[name](**options)
