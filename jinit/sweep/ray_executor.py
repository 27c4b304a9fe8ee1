"""Tasks of Ray as those of a pool."""

from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from jinit.report import explain_missing_extra


class RayExecutor:
    """A pool of the processes of a Ray cluster, for `Sweep.run(directory, executor=...)`.

    Each task trains as many blocks as a process has devices, and Ray runs it again if the process
    or its node is lost. Only the process that runs the sweep needs its directory.

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
        self._ray, self._options = ray, {"max_retries": max_retries, **options}
        self._kept: dict[int, tuple[Any, Any]] = {}

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        """Begin to call a function in a process of the cluster.

        Args:
          function: the function.
          *arguments: its arguments. Each large one is sent once.
        """
        sweep, *others = arguments
        if id(sweep) not in self._kept:
            self._kept[id(sweep)] = sweep, self._ray.put(sweep)
        task = self._ray.remote(**self._options)(function)
        return task.remote(self._kept[id(sweep)][1], *others).future()
