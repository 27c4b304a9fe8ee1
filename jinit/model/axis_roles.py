"""Roles of the axes of a parameter."""

from typing import Literal, get_args

AxisRole = Literal["in", "out", "spatial", "batch", "stacked", "lookup", "unit"]
"""`in` is summed over, `out` enumerates units, `spatial` is a window of a convolution, `batch`
enumerates independent kernels (groups, heads, experts), `stacked` enumerates copies such as the
layers of a scan, `lookup` is indexed, and `unit` has size one."""
AXIS_ROLES: tuple[AxisRole, ...] = get_args(AxisRole)

IN: AxisRole = "in"
OUT: AxisRole = "out"
SPATIAL: AxisRole = "spatial"
BATCH: AxisRole = "batch"
STACKED: AxisRole = "stacked"
LOOKUP: AxisRole = "lookup"
UNIT: AxisRole = "unit"
