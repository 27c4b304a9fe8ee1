"""The pure functions of one trial, as any training can be written."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jinit.model import PyTree
from jinit.sweep.recent import Recent

Hyper = Mapping[str, Any]
"""One value of every axis: a traced number, or the value itself if it is compiled."""

Metrics = Mapping[str, Any]
"""Numbers by name; `evaluate` may return `Mean`s."""


class Start(NamedTuple):
    """The recorded part of a diagnosis before the first step."""

    verdict: str
    layers: tuple[str, ...]
    statistics: Mapping[str, Any]
    """One list of numbers per column of the record, one number per layer."""


_RESULTS = "Trial: step must return a state and a dictionary of metrics"


@dataclass(frozen=True, eq=False)
class Trial:
    """A training as pure functions, of which a sweep runs many at once as lanes of one program.

    `init(key, hyper) -> state` draws the state, any tree of arrays. `step(state, hyper, batch, key)
    -> (state, metrics)` trains on one batch; `key` differs in every step. `evaluate(state, hyper,
    batch) -> metrics` scores a batch of the data to validate or to test on. Metrics are
    dictionaries of numbers; those of `evaluate` are means over the batch, or `Mean`s. A metric that
    is not finite (`loss`, if there is one, else any) means that the lane has diverged.

    `hyper` maps every axis of the space to a value. Numbers are traced, so that their values share
    one program, wherever the functions can be traced with them; all other values are Python values.

    Args:
      init: draws the state.
      step: trains on one batch.
      evaluate: scores a batch; None if the trial has no metrics but those of its steps.
      measure: `measure(state, hyper, batch)`, statistics of a state at the steps `measure_at` of
        the sweep: arrays by name, such as one number per layer. `batch` is the first 256 training
        examples, or the first batch of a stream.
      diagnose: `diagnose(state, hyper)`, judges a state before the first step; not traced. It
        returns a `Start`, or a function of no arguments that returns it once it is needed.
      program: names the computation of `step` and `evaluate` for one `hyper`: values with equal
        names share programs. By default the computations themselves are compared, which takes a
        trace of each.
      params: `params(state)`, the parameters to save; the whole state by default.
      compiled: axes whose values are never traced.

    Raises:
      TypeError: if one of the functions is not callable.

    >>> import jax, jax.numpy as jnp
    >>> def step(state, hyper, batch, key):
    ...     return state - hyper["lr"] * 2 * state, {"loss": state**2}
    >>> trial = Trial(lambda key, hyper: jax.random.normal(key), step)
    >>> float(trial.step(jnp.ones(()), {"lr": 0.5}, None, None)[0])
    0.0
    """

    init: Callable[[jax.Array, Hyper], PyTree]
    step: Callable[[PyTree, Hyper, Any, jax.Array], tuple[PyTree, Metrics]]
    evaluate: Callable[[PyTree, Hyper, Any], Metrics] | None = None
    measure: Callable[[PyTree, Hyper, Any], Mapping[str, Any]] | None = None
    diagnose: Callable[[PyTree, Hyper], Start | Callable[[], Start]] | None = None
    program: Callable[[Hyper], Hashable] | None = None
    params: Callable[[PyTree], PyTree] | None = None
    compiled: tuple[str, ...] = ()
    programs: Recent[Any] = field(default_factory=Recent, init=False, repr=False)
    """Programs that were compiled for it, which later sweeps of the same trial use again."""

    def __post_init__(self) -> None:
        for name in ("init", "step"):
            if not callable(getattr(self, name)):
                raise TypeError(f"Trial: {name} must be a function, got {getattr(self, name)!r}")
        for name in ("evaluate", "measure", "diagnose", "program", "params"):
            if (value := getattr(self, name)) is not None and not callable(value):
                raise TypeError(f"Trial: {name} must be a function or None, got {value!r}")

    def run_step(
        self, state: PyTree, hyper: Hyper, batch: Any, key: jax.Array
    ) -> tuple[PyTree, dict[str, Any]]:
        """Run `step`, and check what it returns.

        Raises:
          TypeError: if it is not a state like the one given, and a dictionary of metrics.
        """
        results = self.step(state, hyper, batch, key)
        if not isinstance(results, tuple | list) or len(results) != 2:
            raise TypeError(f"{_RESULTS}, got {_shapes(results)}")
        after, metrics = results
        if not isinstance(metrics, Mapping):
            raise TypeError(f"{_RESULTS}, got {_shapes(metrics)} for the metrics")
        if (seen := _shapes(after)) != (expected := _shapes(state)):
            raise TypeError(
                f"Trial: step returns another state than init: init has {expected}, step has "
                f"{seen}; the loop over steps needs equal structures, shapes and dtypes"
            )
        return after, dict(metrics)

    @classmethod
    def from_train(cls, train: Callable[[jax.Array, Hyper], Metrics]) -> "Trial":
        """Return the trial of one function that trains from beginning to end.

        It is one step of a sweep: run it with `steps=1`.

        Args:
          train: `train(key, hyper) -> metrics`. A metric is a number, or a curve, an array whose
            last value counts.

        >>> import jax
        >>> trial = Trial.from_train(lambda key, hyper: {"loss": hyper["lr"] ** 2})
        >>> trial.step(jax.random.key(0), {"lr": 3.0}, None, None)[1]
        {'loss': 9.0}
        """

        def step(key: jax.Array, hyper: Hyper, batch: Any, step_key: jax.Array) -> Any:
            del batch, step_key
            return key, train(key, hyper)

        return cls(lambda key, hyper: key, step)


def _shapes(tree: PyTree) -> str:
    """Return a tree as text, with dtypes and shapes in place of its arrays."""
    return str(jax.tree.map(lambda leaf: jax.typeof(leaf).str_short(), tree))
