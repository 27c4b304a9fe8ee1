"""What the algorithms may see of a network: a pure function, its parameters, and its graph."""

from jinit.model.dependence import Contraction
from jinit.model.graph import Graph
from jinit.model.model import Leaf, Model, trace

__all__ = ["Contraction", "Graph", "Leaf", "Model", "trace"]
