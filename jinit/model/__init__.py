"""What the algorithms may see of a network: a pure function, its parameters, and its graph."""

from jinit.model.graph import Contraction, Graph
from jinit.model.model import Leaf, Model, trace

__all__ = ["Contraction", "Graph", "Leaf", "Model", "trace"]
