"""Residual branches that make their residual stream explode."""

import math
from collections.abc import Sequence
from statistics import median

from jinit.diagnostics.judging.cures import initializer_text
from jinit.diagnostics.judging.finding import Finding, factor_text
from jinit.diagnostics.judging.interval import log_or_infinity, power_law_growth
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import LARGE_BRANCH_RATIO
from jinit.diagnostics.measuring.measure import BranchStatistics
from jinit.gains import shape_fan_in
from jinit.model import Leaf


def find_unscaled_branches(rows: Sequence[LayerRow]) -> dict[int, Finding]:
    """Return a finding for each residual branch that makes the residual stream explode.

    Args:
      rows: the layers in execution order.

    Returns:
      The findings by number of the layer that ends the branch.
    """
    branches = {number: row.branch for number, row in enumerate(rows) if row.branch is not None}
    branches = {n: branch for n, branch in branches.items() if branch.residual_stream > 0}
    sums = list(branches.values())
    count = len(sums)
    if count < 2:
        return {}
    final = sums[-1].residual_stream + sums[-1].branch
    growth = log_or_infinity(final / sums[0].residual_stream)
    if not min(growth, _compound_growth(sums)) > power_law_growth(1 + count):
        return {}
    return {
        number: Finding(
            verdict="exploding",
            cause=f"{count} residual branches are not scaled: this one adds "
            f"{branch.branch / branch.residual_stream:.2g} times the mean square of the residual "
            f"stream, whose RMS grows to {factor_text(growth)} its first value",
            cure=_branch_cure(rows[number].leaf, count),
        )
        for number, branch in branches.items()
        if branch.branch > LARGE_BRANCH_RATIO * branch.residual_stream
    }


def _compound_growth(sums: Sequence[BranchStatistics]) -> float:
    """Return the log growth of a residual stream that its branches multiply.

    A branch multiplies the residual stream if it grows with it. A branch that reads or ends in a
    normalization adds the same amount wherever it is: its share decreases, the residual stream
    grows by a constant per block and the logarithm of the gradient by the logarithm of the depth,
    which trains (De & Smith, "Batch normalization biases residual blocks towards the identity
    function in deep networks", 2020). Where shortcuts are normalized or pooled, its share is large
    again and again, so that the growth of the branches themselves counts too.
    """
    count = len(sums)
    late = sorted(math.log1p(each.branch / each.residual_stream) for each in sums[count // 2 :])
    branches = [log_or_infinity(each.branch) for each in sums]
    half = count // 2
    change = median(branches[count - half :]) - median(branches[:half])
    grown = change * count / (count - half)
    return min(count * late[len(late) // 2], grown)


def _branch_cure(leaf: Leaf, count: int) -> str:
    if leaf.activation is not None and leaf.activation.has_normalization and leaf.rescaled_by:
        return (
            f"initialize {leaf.rescaled_by} with jinit.constant({count**-0.5:.4g}): the "
            "normalization removes the scale of the kernel before it"
        )
    if leaf.fan_in != shape_fan_in(leaf.shape):
        return f"kernel_init={initializer_text(leaf, 1 / count)}"
    return f'kernel_init=jinit.variance_scaling(1 / {count}, "fan_in", "truncated_normal")'
