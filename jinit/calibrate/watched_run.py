"""Long work in parts of about a second, which show progress and can be resumed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jinit.calibrate.checkpoint import Checkpoint, CheckpointFile, check_checkpoint_file
from jinit.calibrate.checkpoint_identity import identify
from jinit.calibrate.loop import Loop, LoopEnd, LoopRunner, OneProgram, Result
from jinit.calibrate.method_progress import LayerPlace, MethodProgress, ShowProgress
from jinit.model import PyTree

_SHORT_SECONDS = 0.5
"""Parts that take less are followed by parts of twice as many steps."""


class _Position(NamedTuple):
    """The state of a loop after some steps, and the numbers so far."""

    steps: int
    end: LoopEnd


class WatchedRunner(LoopRunner):
    """Runs loops in parts, all of which are calls of one program.

    The number of steps of a part does not change the results: they are those of an uninterrupted
    call, bit for bit.

    Args:
      name: name of the method, for messages.
      show_progress: called before the first part and after each one, or None.
      checkpoint: the file of unfinished work, or None.
    """

    def __init__(
        self, name: str, show_progress: ShowProgress | None, checkpoint: Checkpoint | None
    ) -> None:
        self._name, self._show_progress, self._checkpoint = name, show_progress, checkpoint
        earlier = 0.0 if checkpoint is None else checkpoint.seconds
        self._begin_time = time.perf_counter() - earlier
        self._place = 0
        self._show(MethodProgress(name, seconds=earlier))

    @property
    def seconds(self) -> float:
        """Seconds so far, those of interrupted calls included."""
        return time.perf_counter() - self._begin_time

    def run(
        self, loop: Loop, arrays: tuple[PyTree, ...], layer: LayerPlace | None = None
    ) -> LoopEnd:
        """Run the steps of a loop that are not done yet.

        Args:
          loop: the loop.
          arrays: the arrays that it reads.
          layer: the layer that it trains, for messages.
        """
        try:
            return self._run_parts(loop, arrays, layer)
        except BaseException:
            if self._checkpoint is not None:
                self._checkpoint.write()
            raise
        finally:
            self._place += 1

    def choose(
        self, condition: Array, first: Callable[[], Result], second: Callable[[], Result]
    ) -> Result:
        """Return the result of one of two functions; the other one is not called.

        Args:
          condition: whether it is that of the first one.
          first: the first function.
          second: the second function.
        """
        return first() if bool(condition) else second()

    def _run_parts(
        self, loop: Loop, arrays: tuple[PyTree, ...], layer: LayerPlace | None
    ) -> LoopEnd:
        progress = MethodProgress(self._name, layer, loop.unit, total=loop.total)
        position = self._begin(loop, arrays)
        self._show_position(progress, loop, position)
        count = 1
        while position.steps < loop.total:
            part_time, stop = time.perf_counter(), min(position.steps + count, loop.total)
            end = jax.block_until_ready(_advance(loop, arrays, position.end, position.steps, stop))
            position = _Position(stop, end)
            if time.perf_counter() - part_time < _SHORT_SECONDS:
                count *= 2
            self._note(loop, position)
            self._show_position(progress, loop, position)
        return position.end

    def _begin(self, loop: Loop, arrays: tuple[PyTree, ...]) -> _Position:
        """Return the first state, or the state that was saved."""
        if self._checkpoint is not None:
            structs = jax.eval_shape(partial(_begin, loop), arrays)
            saved = self._checkpoint.restore(self._place, loop.total, structs)
            if saved is not None:
                return _Position(*saved)
        return _Position(0, _begin(loop, arrays))

    def _note(self, loop: Loop, position: _Position) -> None:
        if self._checkpoint is not None:
            is_end = position.steps == loop.total
            self._checkpoint.note(self._place, *position, self.seconds, is_end=is_end)

    def _show_position(self, progress: MethodProgress, loop: Loop, position: _Position) -> None:
        latest = None
        if self._show_progress is not None and position.steps:
            name = loop.numbers[0]
            latest = name, float(np.asarray(position.end[1][name])[position.steps - 1])
        self._show(replace(progress, done=position.steps, seconds=self.seconds, latest=latest))

    def _show(self, progress: MethodProgress) -> None:
        if self._show_progress is not None:
            self._show_progress(progress)


@partial(jax.jit, static_argnums=0)
def _begin(loop: Loop, arrays: tuple[PyTree, ...]) -> LoopEnd:
    """Return the first state of a loop, and room for the numbers of all steps."""
    state = jax.tree.map(
        # Saved arrays do not have the weak types that constants have.
        lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype),
        loop.body(arrays).state,
    )
    return state, {name: jnp.zeros(loop.total) for name in loop.numbers}


@partial(jax.jit, static_argnums=0)
def _advance(
    loop: Loop, arrays: tuple[PyTree, ...], end: LoopEnd, first: int, stop: int
) -> LoopEnd:
    """Return the state of a loop after the steps from `first` to `stop`, and the numbers so far."""
    step = loop.body(arrays).step

    def run_step(number: Array, end: LoopEnd) -> LoopEnd:
        state, numbers = step(end[0], number)
        return state, {name: row.at[number].set(numbers[name]) for name, row in end[1].items()}

    return jax.lax.fori_loop(first, stop, run_step, end)


def run_watched(
    name: str,
    options: str,
    function: Callable[..., Result],
    arrays: Mapping[str, PyTree],
    progress: ShowProgress | None,
    checkpoint: CheckpointFile | None,
) -> tuple[Result, float]:
    """Return the result of work with long loops, which shows progress and can be resumed.

    With traced arrays, all loops are parts of the program that is traced.

    Args:
      name: name of the function, for messages.
      options: the function with its options, as text.
      function: `function(runner, *arrays)`, which runs its loops by a LoopRunner.
      arrays: its arrays by name.
      progress: called with a MethodProgress every second or so, or None.
      checkpoint: file of unfinished work, from which an equal call goes on, or None. It is removed
        when the work is done.

    Returns:
      The result, and the seconds that it took, those of interrupted calls included.

    Raises:
      OSError: if the checkpoint cannot be written.
      ValueError: if the checkpoint belongs to other work or is damaged, or its folder does not
        exist, or arrays are traced and there is something to show or to write.
    """
    pure = partial(function, OneProgram())
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(dict(arrays))):
        _check_not_watched(name, progress, checkpoint)
        return pure(*arrays.values()), 0.0
    file = None
    if checkpoint is not None:
        check_checkpoint_file(name, checkpoint)
        file = Checkpoint(name, checkpoint, partial(identify, options, pure, arrays))
    runner = WatchedRunner(name, progress, file)
    result = jax.block_until_ready(function(runner, *jax.device_put(tuple(arrays.values()))))
    if file is not None:
        file.remove()
    return result, runner.seconds


def _check_not_watched(
    name: str, progress: ShowProgress | None, checkpoint: CheckpointFile | None
) -> None:
    if progress is not None or checkpoint is not None:
        option = "checkpoint" if progress is None else "progress"
        raise ValueError(
            f"{name}: {option} is given inside jit or vmap, where nothing can be shown or written; "
            "leave it out, or call the function outside of them"
        )
