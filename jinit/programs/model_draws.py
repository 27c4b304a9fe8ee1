"""How a model draws its own parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr

from jinit.model import Graph, Model, PyTree, leaf_paths
from jinit.programs.draws import Draw, OutputDraws, draw_graph
from jinit.programs.keys import key_aval
from jinit.programs.slices import output_slicer


@dataclass(frozen=True, eq=False)
class ModelDraws:
    """The draws of a model's own initialization function."""

    output_draws: OutputDraws
    output_numbers: dict[str, int]
    """Number of the output that is a parameter, by path."""
    copy_sources: dict[str, str]
    """Path of the parameter that an array copies, by path of the copy, such as a moving average."""

    def draw(self, path: str) -> Draw:
        """Return the draw of the parameter with this path."""
        return self.output_draws[self.output_numbers[path]]


_MODEL_DRAWS: WeakKeyDictionary[Model, ModelDraws] = WeakKeyDictionary()


def find_model_draws(model: Model) -> ModelDraws:
    """Return the draws of a model's own initialization function, which is traced once.

    Raises:
      ValueError: if the model has no initialization function, or one for other parameters.
    """
    if model not in _MODEL_DRAWS:
        if model.init is None:
            raise ValueError(
                "init: this model does not know its own initializers; give rules, such as "
                '{"**": jinit.lecun_normal()}, or trace it with init=, a function of a key'
            )
        graph = draw_graph(model.init_jaxpr or _trace_init(model, model.init))
        cut = output_slicer(graph)
        _MODEL_DRAWS[model] = ModelDraws(
            output_draws=OutputDraws(lambda output: cut(output).parameter_key_slice),
            output_numbers={path: number for number, path in enumerate(model.paths)},
            copy_sources=_find_copy_sources(model, graph),
        )
    return _MODEL_DRAWS[model]


def _find_copy_sources(model: Model, graph: Graph) -> dict[str, str]:
    """Return the path of the trained parameter that is copied, by path of the copy."""
    named = [
        (path, output)
        for path, output in zip(model.paths, graph.outputs, strict=True)
        if type(output) is int
    ]
    first: dict[int, str] = {}
    for path, output in named:
        if path not in model.untrained_paths:
            first.setdefault(output, path)
    return {path: first[output] for path, output in named if first.get(output, path) != path}


def _trace_init(model: Model, init: Callable[[Array], PyTree]) -> ClosedJaxpr:
    closed, tree = jax.make_jaxpr(init, return_shape=True)(key_aval())
    paths = leaf_paths(model.unwrap(tree))
    if paths != model.paths:
        difference = sorted(set(paths) ^ set(model.paths)) or "another order"
        raise ValueError(
            "init: the function that the model was traced with as init= makes other parameters "
            f"than the model has; the difference is {difference}"
        )
    return closed
