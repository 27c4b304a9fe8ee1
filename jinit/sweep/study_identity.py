"""The identity of a sweep: all on which its records depend, as texts."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jinit.calibrate import digest_arrays, explain_difference
from jinit.record import OUTLINE_FILE, RECORDS_FOLDER, read_outline_data
from jinit.sweep.data_parts import data_parts
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.groups import Group
from jinit.sweep.slots import count_cores
from jinit.sweep.space import record_value

_PACKAGES = ("jinit", "jax", "jaxlib", "flax", "optax")


def study_identity(sweep: SweepDefinition, groups: Sequence[Group]) -> dict[str, str]:
    """Return texts that are equal for sweeps with equal records, in any process.

    They name versions and the kind of device, not the number of devices: each trains blocks by
    itself. XLA sums large arrays in another order on a CPU of one core than on one of several. The
    batches of a stream are not known before they are trained on, so that only its first one counts.

    Args:
      sweep: the sweep.
      groups: its groups.
    """
    device = jax.local_devices()[0]
    settings = {
        "seeds": sweep.seeds,
        "steps": sweep.steps,
        "record_every": sweep.record_every,
        "rungs": sweep.rungs,
        "measure_at": sweep.measure_at,
        "steps_per_call": sweep.steps_per_call,
        "lanes": sweep.lanes,
        "executor": str(sweep.executor),
        "data_seed": sweep.data_seed,
        "bootstrap": sweep.bootstrap,
        "metric": sweep.metric,
        "patience": sweep.patience,
        "save": sweep.saved,
    }
    configs = [
        {name: record_value(value) for name, value in config.items()}
        for config in sweep.space.configs()
    ]
    computations = [
        (group.kind, [(each.number, each.init_fingerprint, each.numbers) for each in group.members])
        for group in groups
    ]
    return {
        **{package: metadata.version(package) for package in _PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
        "cores": _cores(device),
        **{name: json.dumps(value, default=str) for name, value in settings.items()},
        "configurations": digest_text(json.dumps(configs, default=str)),
        "computations": digest_text(repr(computations)),
        "data": digest_arrays(data_parts(sweep.data)),
    }


def check_begun_study(directory: Path, study: Mapping[str, str]) -> None:
    """Raise if a directory holds another sweep.

    Args:
      directory: the directory.
      study: the identity of the sweep.

    Raises:
      ValueError: if the directory holds another sweep, or an outline that cannot be read.
    """
    if not (directory / OUTLINE_FILE).exists():
        if any((directory / RECORDS_FOLDER).glob("*.parquet")):
            raise ValueError(
                f"{directory} has records and no {OUTLINE_FILE}, so that nothing says of which "
                "sweep they are: restore the file, or give another directory"
            )
        return
    outline = read_outline_data(directory)
    if outline.get("study") is None:
        raise ValueError(
            f"{directory / OUTLINE_FILE} does not say how its runs were computed; an older version "
            "of jinit wrote it: run the sweep again into another directory"
        )
    if differences := explain_difference(outline["study"], study):
        raise ValueError(
            f"{directory} holds a sweep that differs in {differences}: its runs and new ones could "
            "not be compared; run it as it was begun, or give another directory"
        )


def _cores(device: Any) -> str:
    if device.platform != "cpu":
        return "of no effect"
    return "one" if count_cores() == 1 else "several"


def digest_text(text: str) -> str:
    """Return a digest of a text, without the addresses of objects in it.

    Args:
      text: the text.

    >>> digest_text("<f at 0x1a>") == digest_text("<f at 0x2b>")
    True
    """
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()
