"""A network as data: a pure function, its abstract parameters, and the graph of its computation."""

from jinit.model.activation import PATH_ENDS, Activation, PathEnd
from jinit.model.activation_names import activation_names
from jinit.model.attention import ATTENTION_ROLES, AttentionPart, UnitBlocks
from jinit.model.axis_roles import AXIS_ROLES, BATCH, STACKED, AxisRole
from jinit.model.contractions import Contraction, LayerUse
from jinit.model.control_flow import Scan
from jinit.model.convolutions import canonical_convolutions, fast_convolutions, is_faster_alone
from jinit.model.dataflow import Dataflow, FlowValue
from jinit.model.default_platform import default_platform
from jinit.model.feeds import Feeds
from jinit.model.graph import Graph
from jinit.model.inputs import abstract_inputs
from jinit.model.keys import parameter_key, path_bits
from jinit.model.leaves import Leaf
from jinit.model.model import Model, check_model
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, Place, bodies
from jinit.model.params import PyTree
from jinit.model.paths import closest_paths, compile_glob, leaf_paths
from jinit.model.primitives import ELEMENTWISE, VALUE_PRESERVING
from jinit.model.retrace import trace_for
from jinit.model.roles import ROLES, Role
from jinit.model.stated_axes import axes_hint
from jinit.model.taps import Tap, apply_taps
from jinit.model.tracing import trace

__all__ = [
    "ATTENTION_ROLES",
    "AXIS_ROLES",
    "BATCH",
    "CONTRACTION_PRIMITIVES",
    "ELEMENTWISE",
    "PATH_ENDS",
    "ROLES",
    "STACKED",
    "VALUE_PRESERVING",
    "Activation",
    "AttentionPart",
    "AxisRole",
    "Contraction",
    "Dataflow",
    "Feeds",
    "FlowValue",
    "Graph",
    "LayerUse",
    "Leaf",
    "Model",
    "Operation",
    "PathEnd",
    "Place",
    "PyTree",
    "Role",
    "Scan",
    "Tap",
    "UnitBlocks",
    "abstract_inputs",
    "activation_names",
    "apply_taps",
    "axes_hint",
    "bodies",
    "canonical_convolutions",
    "check_model",
    "closest_paths",
    "compile_glob",
    "default_platform",
    "fast_convolutions",
    "is_faster_alone",
    "leaf_paths",
    "parameter_key",
    "path_bits",
    "trace",
    "trace_for",
]
