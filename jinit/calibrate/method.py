"""Methods that initialize a network by its data, with their options."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.custom_batching import sequential_vmap

from jinit.calibrate.batches import DataBatches, read_batches
from jinit.calibrate.checkpoint import CheckpointFile, check_checkpoint_file
from jinit.calibrate.loop import LoopRunner
from jinit.calibrate.method_progress import ShowProgress
from jinit.calibrate.report import Report
from jinit.calibrate.watched_run import run_watched
from jinit.initializers import from_spec
from jinit.model import Model, PyTree, check_model, is_faster_alone

BaseInitializer = str | Callable[..., Array]
"""An initializer of JAX's form, or the name of one in the catalog."""


class Findings(NamedTuple):
    """All that a method found, as arrays."""

    layers: dict[str, Array]
    """Statistics by name, each with one number per layer."""
    history: dict[str, Array]
    """Numbers by name, each with one number per step or epoch."""
    passes: Array | float
    """Number of forward passes over all batches; a backward pass counts as two more."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Method(ABC):
    """A method that initializes a network by its data, with its options.

    Frozen, hashable and comparable by value. It is a value of the axis `init` of a sweep, which
    draws the parameters by `init` and then applies the method.

    >>> from jinit.calibrate.lsuv import lsuv
    >>> lsuv(tolerance=0.1), lsuv() == lsuv(init="orthogonal")
    (lsuv(tolerance=0.1), True)
    """

    init: BaseInitializer = "he_normal"
    """Initializer of the kernels from which the method begins in a sweep."""

    name: ClassVar[str]
    """The public function that builds this method from its fields."""
    needs_targets: ClassVar[bool] = False
    """Whether its batches need targets."""
    batch_examples: ClassVar[int | None] = 256
    """Examples of a batch in a sweep; None for all in one batch."""
    most_batches: ClassVar[int | None] = 1
    """Most batches in a sweep; None for all training examples."""

    def __post_init__(self) -> None:
        if not callable(self.init):
            object.__setattr__(self, "init", from_spec(self.init))
        self.check()

    def __call__(
        self,
        model: Model,
        params: PyTree,
        data: Any,
        key: Array | None = None,
        progress: ShowProgress | None = None,
        checkpoint: CheckpointFile | None = None,
    ) -> tuple[PyTree, Report]:
        """Apply the method.

        Args:
          model: the traced network.
          params: its parameters.
          data: a batch `(inputs, targets)`, an array of inputs, or an iterable of batches.
          key: key of everything that is drawn; None for `jax.random.key(0)`.
          progress: called with a MethodProgress every second or so, if the method takes many steps.
          checkpoint: file to which the state of such a method is saved every second or so. If the
            call is interrupted, an equal one goes on from there, to the same result bit for bit.
            The file is removed when the method is done.

        Returns:
          The parameters, and what the method did.

        Raises:
          OSError: if the checkpoint cannot be written.
          TypeError: if `model` is not a Model.
          ValueError: if the parameters or the data do not fit the model, the data is not finite, or
            the checkpoint is damaged or belongs to other work.
        """
        check_model(self.name, model)
        if checkpoint is not None:
            check_checkpoint_file(self.name, checkpoint)
        params = model.unwrap(params)
        model.by_path(params)
        model, batches = read_batches(self.name, model, data, needs_targets=self.needs_targets)
        key = jax.random.key(0) if key is None else key
        (found, findings), seconds = run_watched(
            repr(self).partition("(")[0],
            repr(self),
            partial(self.find_by, model),
            {"parameters": params, "data": batches, "key": key},
            progress,
            checkpoint,
        )
        findings = jax.tree.map(np.asarray, findings)
        return found, self.report(model, findings, seconds)

    def apply(self, model: Model, params: PyTree, batches: DataBatches, key: Array) -> PyTree:
        """Return the parameters only; the function can be traced, and vmapped over keys.

        Args:
          model: the network, traced with the inputs of one batch.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """
        return _run(self, model, params, batches, key)[0]

    @abstractmethod
    def check(self) -> None:
        """Raise if an option has a value that cannot work."""

    @abstractmethod
    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return better parameters, and what was found. The function is pure, and can be vmapped.

        Args:
          model: the network, traced with the inputs of one batch.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """

    def find_by(
        self, model: Model, runner: LoopRunner, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return what `find` returns; a method without long loops is one program.

        Args:
          model: the network, traced with the inputs of one batch.
          runner: the way to run long loops.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """
        del runner
        return _run(self, model, params, batches, key)

    @abstractmethod
    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return what was found as a report.

        Args:
          model: the network.
          findings: what was found, as NumPy arrays.
          seconds: seconds that it took, compilation included.
        """

    def __repr__(self) -> str:
        options = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != _default(type(self), field.name)
        ]
        return f"{self.name}({', '.join(options)})"


def _default(kind: type[Method], name: str) -> Any:
    """Return the default of an option, as it is kept after reading."""
    (default,) = (field.default for field in fields(kind) if field.name == name)
    return from_spec(str(default)) if name == "init" else default


@partial(jax.jit, static_argnums=(0, 1))
def _run(
    method: Method, model: Model, params: PyTree, batches: DataBatches, key: Array
) -> tuple[PyTree, Findings]:
    find = partial(method.find, model)
    find = sequential_vmap(find) if is_faster_alone(model.graph) else find
    return find(params, batches, key)


def apply_or_keep(
    method: Method,
    model: Any,
    params: Any,
    data: Any,
    key: Any,
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
) -> Any:
    """Return the method if it is given no model; otherwise apply it.

    Args:
      method: the method with its options.
      model: the traced network, or None.
      params: its parameters.
      data: the data.
      key: key of everything that is drawn.
      progress: called with the progress.
      checkpoint: file of unfinished work.

    Raises:
      TypeError: if a model is given without parameters or data, or no model is given and a
        progress or a checkpoint is.
    """
    if model is None:
        if progress is not None or checkpoint is not None:
            raise TypeError(
                f"{method.name}: progress and checkpoint belong to a call with a model, "
                "parameters and data; in a sweep, Sweep.run takes progress"
            )
        return method
    check_model(method.name, model)
    if params is None or data is None:
        raise TypeError(
            f"{method.name}: expected {method.name}(model, params, data, key), got no "
            f"{'parameters' if params is None else 'data'}; without a model, "
            f"{method.name}(...) is a value of the axis init of a sweep"
        )
    return method(model, params, data, key, progress, checkpoint)
