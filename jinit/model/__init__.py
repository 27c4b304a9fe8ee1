"""What the algorithms may see of a network: a pure function, its parameters, and its graph."""

from jinit.model.contractions import Contraction
from jinit.model.enter import Scan
from jinit.model.expression import Activation
from jinit.model.graph import Graph, Operation
from jinit.model.keys import key_of, path_words
from jinit.model.leaves import Leaf
from jinit.model.model import Model, check_model, trace
from jinit.model.naming import names_of
from jinit.model.paths import glob, paths_of
from jinit.model.primitives import ELEMENTWISE
from jinit.model.tapped import Place, Tap, tapped
from jinit.model.told import give_axes

__all__ = [
    "ELEMENTWISE",
    "Activation",
    "Contraction",
    "Graph",
    "Leaf",
    "Model",
    "Operation",
    "Place",
    "Scan",
    "Tap",
    "check_model",
    "give_axes",
    "glob",
    "key_of",
    "names_of",
    "path_words",
    "paths_of",
    "tapped",
    "trace",
]
