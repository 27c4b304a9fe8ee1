"""What the algorithms may see of a network: a pure function, its parameters, and its graph."""

from jinit.model.dependence import Contraction
from jinit.model.expression import Activation
from jinit.model.graph import Graph, Operation
from jinit.model.keys import key_of, path_words
from jinit.model.leaves import Leaf
from jinit.model.model import Model, trace

__all__ = [
    "Activation",
    "Contraction",
    "Graph",
    "Leaf",
    "Model",
    "Operation",
    "key_of",
    "path_words",
    "trace",
]
