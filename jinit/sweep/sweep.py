"""The sweep as users build it."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jinit.report import Results
from jinit.sweep.data import Data
from jinit.sweep.definition import define_sweep
from jinit.sweep.engine import SweepRun
from jinit.sweep.estimate import Estimate
from jinit.sweep.halving import Halving
from jinit.sweep.optimizers import OptimizerLike
from jinit.sweep.pool_run import PoolExecutor, PoolRun
from jinit.sweep.progress import Progress
from jinit.sweep.space import Space
from jinit.sweep.store import check_directory
from jinit.sweep.trial import Trial
from jinit.sweep.worker import WorkerRun


class Sweep:
    """Train every configuration of a space with every seed, as lanes of few compiled programs.

    Configurations whose trainings trace to the same computation share one training program, because
    initializers only draw initial parameters, and the learning rate, weight decay, l1 and l2 are
    traced numbers. So are the axes of the initialization `gain`, a factor of the kernels, and
    `sigma_w` and `sigma_b`, which draw kernels from N(0, sigma_w^2 / fan_in) and biases from N(0,
    sigma_b^2) whatever `build` says. The axis `rules` draws all parameters: "own" as `build` says,
    "recommended" by `jinit.recommend`, or by rules, a recipe, or a function of the Model. A seed
    has the same key, `jax.random.key(seed)`, the same order of the data and the same keys of the
    steps in every configuration, so that configurations can be compared in pairs. If a lane reaches
    NaN or infinity, the step is recorded and other lanes are not affected.

    Args:
      task: the data to train on; a `jinit.Data` or None for a trial of your own.
      build: `build(config)` returns a Linen module, a pair `(init, apply)` or a triple
        `(init, train, evaluate)` of pure functions; `build(config, rngs)` returns an NNX module.
        `config` has the axes that are not axes of training. Or a `jinit.Trial`.
      space: the axes and their values, from `jinit.grid`, `jinit.random_search`, `jinit.sobol` or
        `jinit.halving`.
      optimizer: function of the learning rate (and of options that are axes), or a built optimizer;
        by default Adam, or the values of the axis `optimizer`.
      seeds: number of seeds, or the seeds themselves.
      steps: optimizer steps.
      record_every: steps from one recording to the next; a tenth of the steps by default.
      steps_per_call: most steps of one call of the compiled program; the batches of a stream for
        one call are in memory at once.
      lanes: lanes of a block, which one device trains, or one core of a CPU. The last bit of the
        results depends on it.
      executor: how the lanes of a block are computed: `map` (one after the other), `vmap` or
        `vmap(8)` (together), `loop` (Python dispatches every step), `measured` (the fastest of
        these, timed for some steps), or `auto` (a rule; timed if the sweep is long).
      data_seed: seed of the order of the data and of dropout, for all lanes; by default that of
        each lane.
      bootstrap: whether each seed trains on a sample of its own, as many training examples drawn
        with replacement (Efron, Bootstrap methods: another look at the jackknife, 1979), so that
        the spread over seeds contains that over data sets. It is drawn from the seed of the order.
      metric: column by which runs are compared, such as `validation_loss`; chosen by the task by
        default.
      maximize: whether more of the metric is better; not needed for a loss or an accuracy.
      patience: recordings without improvement of the metric after which a lane stops; by default
        only diverged lanes stop.
      measure_start: whether each distinct initialization is measured and judged, as by
        `jinit.diagnose`, before the first step.
      measure_at: later steps at which the layers of every run are measured, on the first 256
        training examples: ends of recordings. `Results.layers` reads the statistics.
      checkpoint_minutes: minutes after which the state of a block in training is saved, again and
        again, so that an interrupted sweep goes on from there.
      save: runs whose trained parameters are saved: the `best` one by the final metric, `all`, or
        `none`; `Results.params` reads them.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument has a value that cannot work.

    >>> import jinit, optax
    >>> def build(config):
    ...     return jinit.sweep.mlp(64, 10, depth=2, width=16, init=config["init"])
    >>> space = jinit.grid(init=["zeros", "he_normal"], lr=[1e-2])
    >>> sweep = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=2, steps=20)
    >>> sweep.total_lanes
    4
    """

    def __init__(
        self,
        task: Data | None,
        build: Callable[..., Any] | Trial,
        space: Space | Halving,
        *,
        optimizer: OptimizerLike | None = None,
        seeds: int | Sequence[int] = 8,
        steps: int = 500,
        record_every: int | None = None,
        steps_per_call: int | None = None,
        lanes: int | None = None,
        executor: str = "auto",
        data_seed: int | None = None,
        bootstrap: bool = False,
        metric: str | None = None,
        maximize: bool | None = None,
        patience: int | None = None,
        measure_start: bool = True,
        measure_at: Sequence[int] = (),
        checkpoint_minutes: float = 10.0,
        save: str = "best",
    ) -> None:
        self.definition = define_sweep(
            task,
            build,
            space,
            optimizer=optimizer,
            seeds=seeds,
            steps=steps,
            record_every=record_every,
            steps_per_call=steps_per_call,
            lanes=lanes,
            executor=executor,
            data_seed=data_seed,
            bootstrap=bootstrap,
            metric=metric,
            maximize=maximize,
            patience=patience,
            measure_start=measure_start,
            measure_at=measure_at,
            checkpoint_minutes=checkpoint_minutes,
            save=save,
        )

    @property
    def task(self) -> Data | None:
        """The data to train on."""
        return self.definition.data

    @property
    def space(self) -> Space:
        """The axes and their values."""
        return self.definition.space

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every configuration."""
        return self.definition.seeds

    @property
    def steps(self) -> int:
        """Optimizer steps of every run."""
        return self.definition.steps

    @property
    def total_lanes(self) -> int:
        """Number of configurations times number of seeds."""
        return len(self.space) * len(self.seeds)

    def estimate(self) -> Estimate:
        """Return what the sweep will cost: programs, memory and seconds, from a short calibration.

        The first program is compiled for a few steps and timed, which takes some seconds.

        Raises:
          ValueError: if the sweep cannot run.
        """
        return SweepRun(self.definition, lambda _: None).estimate()

    def run(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None = None,
        *,
        executor: PoolExecutor | None = None,
    ) -> Results:
        """Train everything and record it in a directory.

        Blocks of lanes are written when they are finished, so an interrupted sweep keeps them. The
        processes of an initialized `jax.distributed` share the blocks as workers do (see `work`):
        each uses its own devices, none waits for another, and the directory may hold a part of this
        sweep.

        Args:
          directory: the output directory; created if it does not exist.
          progress: called with the progress after every stage and recording, and once per second
            in between: `print` shows one line each time, None nothing.
          executor: a pool of processes that train the blocks, such as a `ProcessPoolExecutor` that
            spawns, one of Dask or submitit, or `jinit.sweep.RayExecutor`; they need not share the
            directory. None to train in this process.

        Returns:
          The results, read from the directory.

        Raises:
          ValueError: if the directory cannot be written to or already holds a sweep, or `build`
            returns a network that cannot be trained on the task.
          TypeError: if `build` does not return a network.
        """
        return self._run(directory, progress, executor, resumes=False)

    def resume(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None = None,
        *,
        executor: PoolExecutor | None = None,
    ) -> Results:
        """Train what an interrupted `run` of this sweep has not recorded yet, or begin one.

        However the run ended, the records are those of an uninterrupted one, bit for bit, on any
        number of devices of one kind. A block in training goes on where it was saved last, every
        `checkpoint_minutes` and when the sweep was interrupted. A sweep by halving begins its race
        anew, and writes what is missing.

        Args:
          directory: the output directory.
          progress: as for `run`.
          executor: as for `run`.

        Returns:
          The results, read from the directory.

        Raises:
          ValueError: if the directory holds another sweep, its files are damaged, another process
            writes to it, or `run` raises.
          TypeError: if `build` does not return a network.

        >>> import jinit, tempfile
        >>> def build(config):
        ...     return jinit.sweep.mlp(64, 10, depth=1, width=8, init=config["init"])
        >>> space = jinit.grid(init=["he_normal"], lr=[1e-2])
        >>> sweep = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=1, steps=2)
        >>> directory = tempfile.mkdtemp()
        >>> len(sweep.resume(directory).frame()), len(sweep.resume(directory).frame())
        (1, 1)
        """
        return self._run(directory, progress, executor, resumes=True)

    def work(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None = None,
        *,
        lease_seconds: float = 120.0,
    ) -> Results:
        """Train blocks of this sweep, together with any number of other processes.

        Each worker leases one block after the other in a directory that all of them share, on one
        machine or on many. Workers may come, go and be killed at any time; none waits for another,
        and the first one begins the sweep. A worker returns when all runs are recorded, and the
        records are those of one process, bit for bit.

        Args:
          directory: the directory that workers share.
          progress: as for `run`.
          lease_seconds: seconds without a sign of life after which the blocks of a worker are
            trained by others; at least twice as long as the file system may show old files, which
            is 60 seconds on NFS by default.

        Returns:
          The results of all workers.

        Raises:
          ValueError: if the sweep is one by halving, the directory holds another sweep, its files
            are damaged, or a process writes to it that does not share it.
          TypeError: if `build` does not return a network.

        >>> import jinit, tempfile
        >>> def build(config):
        ...     return jinit.sweep.mlp(64, 10, depth=1, width=8, init=config["init"])
        >>> space = jinit.grid(init=["he_normal"], lr=[1e-2])
        >>> sweep = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=1, steps=2)
        >>> len(sweep.work(tempfile.mkdtemp()).frame())
        1
        """
        run = WorkerRun(self.definition, progress or (lambda _: None), lease_seconds)
        return run.work(check_directory(directory, resumes=True))

    def _run(
        self,
        directory: str | os.PathLike[str],
        progress: Callable[[Progress], None] | None,
        executor: PoolExecutor | None,
        *,
        resumes: bool,
    ) -> Results:
        show = progress or (lambda _: None)
        if executor is None and jax.process_count() > 1:
            return self.work(directory, progress)
        if executor is None:
            return SweepRun(self.definition, show).run(directory, resumes=resumes)
        path = check_directory(directory, resumes=resumes)
        return PoolRun(self.definition, executor, show).run(path, resumes=resumes)
