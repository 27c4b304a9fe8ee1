"""Configurations grouped by the training program and by the initial states that they share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
from jax import Array

from jinit.model import Graph, PyTree
from jinit.record import axes_text
from jinit.sweep.data import Data
from jinit.sweep.lane_program import LaneProgram
from jinit.sweep.space import Config, Space, record_value
from jinit.sweep.step_cost import StepCost
from jinit.sweep.traced_axes import find_traced_axes, number_dtype, run_abstractly
from jinit.sweep.trial import Trial


@dataclass(frozen=True, eq=False)
class Member:
    """One configuration of a group."""

    number: int
    """Place of the configuration in the space."""
    config: Config
    numbers: dict[str, Any]
    """The traced numbers."""
    init: Callable[[Array, Mapping[str, Any]], PyTree]
    """Draws the initial state from a key and the traced numbers."""
    init_fingerprint: str
    """Fingerprint of `init`: members with equal ones have equal initial states."""
    init_numbers: tuple[str, ...]
    """The traced numbers that `init` uses."""

    @cached_property
    def axes_text(self) -> str:
        """The axes of the configuration as text."""
        return axes_text({name: record_value(value) for name, value in self.config.items()})


@dataclass(frozen=True, eq=False)
class Group:
    """Configurations that share one training program."""

    kind: tuple
    """Names the computation: equal for equal ones of one trial."""
    program: LaneProgram
    members: tuple[Member, ...]
    batch_size: int | None
    """Examples per step; None for a stream or without data."""
    state: PyTree
    """Abstract state of one lane."""
    dtypes: Mapping[str, Any]
    """Dtypes of the traced numbers."""
    batch: PyTree
    """Abstract batch of a step; None without data."""
    validation: PyTree
    """Abstract batch to validate on; None without data."""

    def metric_names(self) -> tuple[str, ...]:
        """Return the names of the metrics of validation, or of a step if there is no validation."""
        trial, key = self.program.trial, jax.eval_shape(lambda: jax.random.key(0))
        numbers = {name: jax.ShapeDtypeStruct((), dtype) for name, dtype in self.dtypes.items()}

        def run(state: PyTree, numbers: Mapping[str, Any], key: Array, batch: PyTree) -> Any:
            hyper = {**self.program.compiled, **numbers}
            if trial.evaluate is not None and self.is_evaluated:
                return dict(trial.evaluate(state, hyper, batch))
            return dict(trial.step(state, hyper, batch, key)[1])

        batch = self.validation if self.is_evaluated else self.batch
        return tuple(jax.eval_shape(run, self.state, numbers, key, batch))

    @property
    def is_evaluated(self) -> bool:
        """Whether lanes are scored on validation data."""
        return self.program.trial.evaluate is not None and self.validation is not None

    @cached_property
    def step_cost(self) -> StepCost:
        """The work of a step of one lane."""
        numbers = {name: jax.ShapeDtypeStruct((), dtype) for name, dtype in self.dtypes.items()}

        def step(state: PyTree, numbers: Mapping[str, Any], batch: PyTree, key: Array) -> Any:
            hyper = {**self.program.compiled, **numbers}
            return self.program.trial.step(state, hyper, batch, key)

        key = jax.eval_shape(lambda: jax.random.key(0))
        return StepCost.of(jax.make_jaxpr(step)(self.state, numbers, self.batch, key))


def group_configs(
    space: Space,
    trial: Trial,
    data: Data | None,
    *,
    can_stop: bool = False,
    note: Callable[[int], None] = lambda _: None,
) -> tuple[Group, ...]:
    """Group configurations by the computations of their trials.

    Args:
      space: the configurations.
      trial: the trial.
      data: its data; None if it has none.
      can_stop: whether lanes can stop early.
      note: called with the number of configurations that have been traced.

    Returns:
      The groups, in the order of their first configurations.

    Raises:
      ValueError: if two configurations are equal trials, because the trial ignores an axis.
    """
    return _Grouping(space, trial, data, can_stop).groups(note)


class _Start(NamedTuple):
    """The initial state of a configuration, which many share."""

    state: PyTree
    """Abstract state."""
    form: tuple
    """Its structure, shapes and dtypes as text."""
    fingerprint: str
    """Fingerprint of its draw."""
    used: tuple[str, ...]
    """Names of the traced numbers that it depends on."""


class _Grouping:
    """The search for equal computations among configurations."""

    def __init__(self, space: Space, trial: Trial, data: Data | None, can_stop: bool) -> None:
        self.space, self.trial, self.data, self.can_stop = space, trial, data, can_stop
        self.validation = None if data is None else data.validation_struct()
        self.batch = None if data is None else data.batch_struct()
        self.evaluated = None if data is None else data.evaluated_struct()
        self.traced = find_traced_axes(trial, space, self.batch, self.evaluated)
        self.dtypes = {
            name: number_dtype(values) for name, values in space.axes if name in self.traced
        }
        self.starts: dict[tuple, _Start] = {}
        self.programs: dict[tuple, Any] = {}

    def groups(self, note: Callable[[int], None]) -> tuple[Group, ...]:
        """Return the groups."""
        members: dict[Any, list[tuple[Member, _Start]]] = {}
        for number, config in enumerate(self.space.configs()):
            note(number)
            compiled = {name: each for name, each in config.items() if name not in self.traced}
            numbers = {name: config[name] for name in self.traced if name in config}
            member, start = self._member(number, config, compiled, numbers)
            kind = (self._program(compiled, numbers), *start.form)
            dtypes = tuple((name, self.dtypes[name].__name__) for name in numbers)
            kind = (*kind, dtypes, record_value(compiled.get("batch_size")))
            members.setdefault(kind, []).append((member, start))
        for group in members.values():
            _check_distinct([member for member, _ in group])
        return tuple(self._group(kind, group) for kind, group in members.items())

    def _group(self, kind: tuple, members: Sequence[tuple[Member, _Start]]) -> Group:
        first, start = members[0]
        compiled = {name: each for name, each in first.config.items() if name not in self.traced}
        batch_size = None
        if self.data is not None and not self.data.is_stream:
            batch_size = self.data.check_batch_size(
                compiled.get("batch_size", self.data.batch_size)
            )
        return Group(
            kind=(*kind, self.can_stop),
            program=LaneProgram(self.trial, compiled, self.can_stop),
            members=tuple(member for member, _ in members),
            batch_size=batch_size,
            state=start.state,
            dtypes={name: self.dtypes[name] for name in first.numbers},
            batch=self.batch,
            validation=self.validation,
        )

    def _member(
        self, number: int, config: Config, compiled: Config, numbers: dict[str, Any]
    ) -> tuple[Member, _Start]:
        def init(key: Array, traced: Mapping[str, Any]) -> PyTree:
            return self.trial.init(key, {**compiled, **traced})

        label = (_label(compiled), tuple(numbers))
        if label not in self.starts:
            self.starts[label] = self._read_start(init, numbers)
        start = self.starts[label]
        return Member(number, config, numbers, init, start.fingerprint, start.used), start

    def _read_start(self, init: Callable, numbers: Mapping[str, Any]) -> _Start:
        structs = self._structs(numbers)
        closed, state = jax.make_jaxpr(init, return_shape=True)(jax.random.key(0), structs)
        graph = Graph.from_jaxpr(closed).prune()
        structure = str(jax.tree.structure(state))
        form = structure, tuple(str((leaf.shape, leaf.dtype)) for leaf in jax.tree.leaves(state))
        used = _used_names(graph, structs)
        return _Start(state, form, f"{graph.fingerprint} {structure}", used)

    def _program(self, compiled: Config, numbers: Mapping[str, Any]) -> Any:
        """Return a name of the computation of a configuration."""
        if self.trial.program is not None:
            return self.trial.program({**compiled, **numbers})
        label = (_label(compiled), tuple(numbers))
        if label not in self.programs:
            self.programs[label] = self._fingerprint(compiled, numbers)
        return self.programs[label]

    def _fingerprint(self, compiled: Config, numbers: Mapping[str, Any]) -> str:
        state = self.starts[_label(compiled), tuple(numbers)].state

        def run(state: PyTree, numbers: Mapping[str, Any]) -> Any:
            functions = self.trial.step, self.trial.evaluate, self.trial.measure
            drawn = Trial(lambda key, hyper: state, *functions)
            merge = partial(_merge, compiled)
            return run_abstractly(drawn, merge, self.batch, self.evaluated)(numbers)

        structs = self._structs(numbers)
        graph = Graph.from_function(run, state, structs).prune()
        used = {*self.starts[_label(compiled), tuple(numbers)].used, *_used_names(graph, structs)}
        for name in numbers:
            if name not in used and len(dict(self.space.axes)[name]) > 1:
                raise ValueError(
                    f"axis {name!r} changes nothing: no function of the trial uses "
                    f"hyper[{name!r}]; use it, or leave the axis out"
                )
        return graph.fingerprint

    def _structs(self, numbers: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: jax.ShapeDtypeStruct((), self.dtypes[name]) for name in numbers}


def _merge(compiled: Config, numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {**compiled, **numbers}


def _used_names(graph: Graph, numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the traced numbers, the last inputs of a graph, that it uses."""
    operands = [each for operation in graph.operations for each in operation.operands]
    read = {each for each in (*operands, *graph.outputs) if isinstance(each, int)}
    names = sorted(numbers)  # the order of the leaves of a dictionary
    inputs = graph.inputs[len(graph.inputs) - len(names) :]
    return tuple(name for name, value in zip(names, inputs, strict=True) if value in read)


def _label(config: Config) -> tuple:
    return tuple((name, record_value(value)) for name, value in config.items())


def _check_distinct(members: Sequence[Member]) -> None:
    """Raise if two configurations have equal programs, initial states and numbers."""
    seen: dict[tuple, Config] = {}
    for member in members:
        trial = (member.init_fingerprint, tuple(member.numbers.items()))
        other = seen.setdefault(trial, member.config)
        if other is not member.config:
            first = {name: record_value(value) for name, value in other.items()}
            second = {name: record_value(value) for name, value in member.config.items()}
            names = dict.fromkeys((*first, *second))
            axes = [name for name in names if first.get(name) != second.get(name)]
            raise ValueError(
                f"axis {' and '.join(map(repr, axes))} changes nothing: build returns the same "
                "network with the same initial parameters (or a Trial computes the same) for "
                f"{_pairs_text(first, axes)} and {_pairs_text(second, axes)}; "
                "use it in build, such as kernel_init=config['init'], or in the Trial's functions"
            )


def _pairs_text(config: Config, axes: Sequence[str]) -> str:
    return ", ".join(f"{name}={config[name]}" for name in axes if name in config)
