"""Methods that take many steps."""

from abc import abstractmethod
from functools import partial
from typing import ClassVar

import jax
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.loop import Loop, LoopBody, LoopEnd, LoopRunner, OneProgram
from jinit.calibrate.method import Findings, Method
from jinit.model import Model, PyTree


class LongMethod(Method):
    """A method with long loops, which are given to a LoopRunner."""

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return better parameters, and what was found, as one program.

        Args:
          model: the network, traced with the inputs of one batch.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """
        return self.find_by(model, OneProgram(), params, batches, key)

    @abstractmethod
    def find_by(
        self, model: Model, runner: LoopRunner, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return what `find` returns, with the loops run by a runner.

        Args:
          model: the network, traced with the inputs of one batch.
          runner: the way to run long loops.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """


class SearchMethod(LongMethod):
    """A method that is one loop over steps, such as a descent."""

    steps: int
    numbers: ClassVar[tuple[str, ...]]
    """Names of the numbers of a step; progress shows the first one."""

    @abstractmethod
    def body(self, model: Model, params: PyTree, batches: DataBatches, key: Array) -> LoopBody:
        """Return the first state, and the step of the search.

        Args:
          model: the network, traced with the inputs of one batch.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """

    @abstractmethod
    def finish(
        self, model: Model, params: PyTree, batches: DataBatches, end: LoopEnd
    ) -> tuple[PyTree, Findings]:
        """Return better parameters, and what was found.

        Args:
          model: the network.
          params: its parameters as they were.
          batches: the data.
          end: the last state, and the numbers of all steps.
        """

    def find_by(
        self, model: Model, runner: LoopRunner, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return what `find` returns, with the steps run by a runner.

        Args:
          model: the network, traced with the inputs of one batch.
          runner: the way to run the steps.
          params: its parameters.
          batches: the data.
          key: key of everything that is drawn.
        """
        loop = Loop(type(self).body, (self, model), self.steps, self.numbers)
        end = runner.run(loop, (params, batches, key))
        return _finish(self, model, params, batches, end)


@partial(jax.jit, static_argnums=(0, 1))
def _finish(
    method: SearchMethod, model: Model, params: PyTree, batches: DataBatches, end: LoopEnd
) -> tuple[PyTree, Findings]:
    return method.finish(model, params, batches, end)
