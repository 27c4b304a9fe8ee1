"""Parameters whose gradient is zero now and stays zero, whatever the other parameters learn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.judging.thresholds import (
    MAX_REDRAWN_PARAMETERS,
    MAX_WAKING_STEPS,
    WAKING_STEP,
)
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.trained import join_params, split_params, trained_flags
from jinit.model import Model, PyTree

GradientFunction = Callable[[PyTree], Mapping[str, Array]]
"""Function of a tree of parameters that returns the gradients of the trained ones by path."""

_CANDIDATE_ROLES = ("kernel", "scale", "embedding", "position", "token", "other", "unread", "bias")
"""Roles in the order in which parameters are tried as the cause of a zero gradient."""


class ZeroGradients(NamedTuple):
    """Parameters that never receive a gradient."""

    dead: Mapping[str, tuple[str, ...]] = {}
    """For each parameter whose gradient is zero only because of the values of parameters: the paths
    of those of which one would have to be initialized otherwise; empty if no single one is."""
    cut: tuple[str, ...] = ()
    """Parameters whose gradient is zero for any values: the computation does not pass it on."""


def find_zero_gradients(
    model: Model, params: PyTree, measurements: Measurements, gradients: GradientFunction
) -> ZeroGradients:
    """Return the parameters whose gradient is exactly zero and stays zero in training.

    The parameters that do receive a gradient are changed at random, by small steps, until no other
    parameter receives one. A parameter that still has none is redrawn together with all others: if
    that gives it a gradient, the initialization is the cause. Networks in which every parameter has
    a gradient at once cost nothing.

    Args:
      model: the traced network.
      params: its parameters.
      measurements: its measurements, with NumPy arrays.
      gradients: function of parameters that returns their gradients by path.
    """
    suspects = [
        path
        for path, each in measurements.weights.items()
        if each.gradient_second == 0 and model.leaf(path).role != "unused"
    ]
    if not suspects:
        return ZeroGradients()
    search = _Search.start(model, params, gradients)
    awake = search.wake(search.values)
    still = [path for path in suspects if path not in awake]
    if not still:
        return ZeroGradients()
    redrawn = search.wake({path: search.redraw(path) for path in search.values}, steps=2)
    dead = [path for path in still if path in redrawn]
    return ZeroGradients(
        dead=_find_blockers(model, search, dead),
        cut=tuple(path for path in still if path not in redrawn),
    )


def _find_blockers(model: Model, search: "_Search", dead: Sequence[str]) -> dict[str, Any]:
    """Return, for each dead parameter, the dead parameters that would wake it if redrawn."""
    blockers: dict[str, list[str]] = {path: [] for path in dead}
    for path in _candidates(model, search, dead):
        if search.values[path].any() and all(blockers.values()):
            break  # zeros explain everything, so that no other values are to blame
        woken = search.wake(search.values | {path: search.redraw(path)})
        for other in {*woken, path} & blockers.keys() if woken & blockers.keys() else ():
            blockers[other].append(path)
    return {path: tuple(others) for path, others in blockers.items()}


def _candidates(model: Model, search: "_Search", dead: Iterable[str]) -> list[str]:
    """Return the dead parameters in the order in which they may be to blame: zeros, then other
    constants, then the rest."""

    def rank(path: str) -> tuple[bool, bool, int]:
        value = search.values[path]
        role = model.leaf(path).role
        place = _CANDIDATE_ROLES.index(role) if role in _CANDIDATE_ROLES else 0
        return bool(value.any()), bool(np.ptp(value)), place

    return sorted(dead, key=rank)[:MAX_REDRAWN_PARAMETERS]


@dataclass(frozen=True)
class _Search:
    """The gradient of a network as a function of the trained parameters by path."""

    model: Model
    gradients: GradientFunction
    fixed: list[Any]
    """The leaves that are not trained."""
    values: dict[str, np.ndarray]
    """The trained parameters at initialization."""
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @classmethod
    def start(cls, model: Model, params: PyTree, gradients: GradientFunction) -> "_Search":
        """Return the search that begins at an initialization."""
        split = split_params("diagnose", model, params)
        flags = zip(model.paths, trained_flags(model), strict=True)
        paths = [path for path, is_trained in flags if is_trained]
        values = map(np.asarray, jax.device_get(split.trained))
        return cls(model, gradients, split.fixed, dict(zip(paths, values, strict=True)))

    def wake(self, values: Mapping[str, np.ndarray], steps: int = MAX_WAKING_STEPS) -> set[str]:
        """Return the parameters that receive a gradient when those that do move by small steps.

        Args:
          values: the trained parameters to begin with.
          steps: largest number of steps.
        """
        values, awake = dict(values), set()
        moving = {path: np.zeros(value.shape, bool) for path, value in values.items()}
        for _ in range(steps):
            gradients = self._compute_gradients(values)
            moving = {path: moving[path] | (gradients[path] != 0) for path in moving}
            before, awake = awake, {path for path, entries in moving.items() if entries.any()}
            if awake == before or len(awake) == len(values):
                break
            values = {path: self._perturb(values[path], moving[path]) for path in values}
        return awake

    def redraw(self, path: str) -> np.ndarray:
        """Return normal numbers of the size that is usual for a parameter."""
        leaf = self.model.leaf(path)
        scale = (leaf.fan_in or 1) ** -0.5 if leaf.role == "kernel" else 1.0
        return np.asarray(scale * self._normals(self.values[path].shape), np.float32)

    def _perturb(self, value: np.ndarray, entries: np.ndarray) -> np.ndarray:
        rms = float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) or WAKING_STEP
        step = WAKING_STEP * rms * self._normals(value.shape)
        return np.where(entries, value + step, value).astype(value.dtype)

    def _normals(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.random.standard_normal(shape, np.float32)

    def _compute_gradients(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        trained = list(map(jnp.asarray, values.values()))
        return jax.device_get(self.gradients(join_params(self.model, trained, self.fixed)))
