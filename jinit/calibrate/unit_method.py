"""Methods that normalize every unit of the layers they choose."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number
from jinit.calibrate.method import Findings, Method
from jinit.calibrate.report import Report
from jinit.calibrate.unit_statistics import measure_units, normalize_units
from jinit.calibrate.units import UnitSite, read_units
from jinit.model import Model, PyTree

_PASSES = 3
"""Passes that measure the units before, normalize them, and measure them after."""


@dataclass(frozen=True, kw_only=True, repr=False)
class UnitMethod(Method):
    """A method that scales and shifts every unit to a mean of 0 and a standard deviation."""

    scale: float = 1.0

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_number(self.name, "scale", self.scale)

    @abstractmethod
    def reason(self, site: UnitSite) -> str:
        """Return why the method leaves a layer alone; empty if it does not.

        Args:
          site: the layer.
        """

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters with normalized units, and statistics before and after."""
        del key
        sites = read_units(model)
        chosen = [site for site in sites if not self.reason(site)]
        before = measure_units(model, params, batches, sites, self.scale)
        found = normalize_units(model, params, batches, chosen, self.scale)
        after = measure_units(model, found, batches, sites, self.scale)
        statistics = {
            "mean before": before.mean,
            "mean after": after.mean,
            "std error before": before.std_error,
            "std error after": after.std_error,
            "dead units": after.dead,
        }
        return found, Findings(statistics, {}, float(_PASSES))

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which layers and units that were left as they were are named."""
        sites = read_units(model)
        names = [(name, site) for site in sites for name in site.row_names()]
        skipped: dict[str, str] = {}
        for (name, site), dead in zip(names, findings.layers["dead units"], strict=True):
            reasons = [self.reason(site)] if self.reason(site) else _unit_reasons(site, int(dead))
            if reasons:
                skipped[name] = "; ".join([*filter(None, [skipped.get(name)]), *reasons])
        statistics: dict[str, Any] = dict(findings.layers)
        return Report(
            repr(self),
            tuple(name for name, _ in names),
            statistics,
            skipped,
            passes=float(findings.passes),
            seconds=seconds,
        )


def _unit_reasons(site: UnitSite, dead: int) -> Sequence[str]:
    units = site.last.unit_count
    counted = f"{dead} of {units} units {'has' if dead == 1 else 'have'} no variance"
    kept = f"{counted}, and {'keeps its' if dead == 1 else 'keep their'} scale"
    return [reason for reason in (site.offset_reason, kept if dead else "") if reason]
