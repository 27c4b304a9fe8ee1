"""Tasks of Ray as those of a pool."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from jinit.report import explain_missing_extra


class RayExecutor:
    """A pool of the processes of a Ray cluster, for `Sweep.run(directory, executor=...)`.

    Each task trains as many blocks as a process has devices, and Ray runs it again if the process
    or its node is lost. Only the process that runs the sweep needs its directory. On CPUs, a
    process trains on all cores of its node: let a task have them all, as by `num_cpus=16`. A
    process trains many tasks with the programs it has compiled, and keeps its GPU for them.

    Args:
      max_retries: how often Ray runs a task again whose process or node was lost.
      options: other options of `ray.remote`, such as `num_gpus=1` or `resources={"TPU": 4}`.

    Raises:
      MissingExtraError: if Ray is not installed.
      RuntimeError: if Ray is not running in this process.
    """

    def __init__(self, *, max_retries: int = 3, **options: Any) -> None:
        with explain_missing_extra("Training on a Ray cluster", "ray"):
            ray: Any = import_module("ray")
        if not ray.is_initialized():
            raise RuntimeError(
                "Ray is not running: call ray.init() to begin one on this machine, or "
                "ray.init('auto') to join a cluster"
            )
        self._ray, self._options = ray, {"max_retries": max_retries, "max_calls": 0, **options}
        self._sweep: tuple[Any, Any] = None, None
        self._functions: dict[Callable[..., Any], Any] = {}

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "RayTask":
        """Begin to call a function in a process of the cluster.

        Args:
          function: the function.
          *arguments: its arguments. The first one, the sweep, is sent once for all tasks.
        """
        sweep, *others = arguments
        if sweep is not self._sweep[0]:
            self._sweep = sweep, self._ray.put(sweep)
        if function not in self._functions:
            self._functions[function] = self._ray.remote(**self._options)(function)
        return RayTask(self._ray, self._functions[function].remote(self._sweep[1], *others))


class RayTask:
    """A task of Ray that may still run.

    Args:
      ray: the module.
      reference: refers to what the task returns.
    """

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference, self._future = ray, reference, reference.future()

    def done(self) -> bool:
        """Return whether the task has ended."""
        return self._future.done()

    def result(self) -> Any:
        """Return what the task returned, or raise its error."""
        return self._future.result()

    def cancel(self) -> None:
        """End the task, which nobody waits for any longer."""
        self._ray.cancel(self._reference)
