"""The tables of one problem: rates and ratios, the matmul rate, and whether the losses agree."""

import measure
import tables
from rich.table import Table
from trials import mlp_flops_per_step

from sweeps.contenders import Contender


class Comparison:
    """What the rounds of a problem say.

    Ratios are formed within the rounds in which both took part.
    """

    def __init__(self, results: dict, contenders: dict[str, Contender]):
        """Take the raw results."""
        self.results, self.contenders = results, contenders
        self.ours = [
            name for name, each in contenders.items() if each.is_ours and self._turns(name)
        ]

    def _turns(self, name: str) -> list[dict]:
        return [turn["turns"][name] for turn in self.results["rounds"] if name in turn["turns"]]

    def rates(self, name: str, key: str = "seconds") -> list[float]:
        """Trials per second, round by round; `whole_seconds` is that of the whole run of jinit."""
        trials = self.contenders[name].trials
        return [trials / turn.get(key, turn["seconds"]) for turn in self._turns(name)]

    def ratios(self, ours: str, name: str, key: str = "seconds") -> list[float]:
        """Trials per second of a sweep of jinit over those of a contender."""
        rounds = [turn["turns"] for turn in self.results["rounds"]]
        both = [turn for turn in rounds if ours in turn and name in turn]
        rival, trials = self.contenders[name], self.contenders[ours].trials
        mine = [trials / turn[ours].get(key, turn[ours]["seconds"]) for turn in both]
        theirs = [rival.trials / turn[name].get(key, turn[name]["seconds"]) for turn in both]
        return measure.paired_ratios(mine, theirs)

    def matmul_shares(self, name: str) -> list[float]:
        """The arithmetic of a sweep of the MLP over the matmul rate of its round."""
        flops = mlp_flops_per_step() * self.results["steps"]
        matmul = [measure.median(turn["matmul"]) for turn in self.results["rounds"]]
        return measure.paired_ratios([rate * flops for rate in self.rates(name)], matmul)

    def table(self) -> Table:
        """One row per contender."""
        steps = self.results["steps"]
        found = Table(title=f"{self.results['text']}, batch 64, {steps} Adam steps")
        found.add_column("what")
        for column in ("lane-steps/s", "trials/min", "whole run"):
            found.add_column(column, justify="right")
        for name in self.ours:
            found.add_column(f"{self.contenders[name].label} over it", justify="right")
        for column in ("goal", "mean loss", "Δ loss", "peak RSS"):
            found.add_column(column, justify="right")
        for name, contender in self.contenders.items():
            if why := self.results["missing"].get(name):
                found.add_row(contender.label, why)
            else:
                found.add_row(contender.label, *self._cells(name))
        return found

    def _cells(self, name: str) -> list[str]:
        contender, rate = self.contenders[name], measure.median(self.rates(name))
        whole = measure.median(self.rates(name, "whole_seconds"))
        loss, difference = self._losses(name)
        return [
            f"{rate * self.results['steps']:,.0f}",
            f"{60 * rate:,.0f}",
            f"{60 * whole:,.0f}" if contender.is_ours else "",
            *(self._ratio_cell(ours, name) for ours in self.ours),
            self._goal_cell(name),
            f"{loss:.4f}",
            f"{difference:.1e}" if name != self.ours[0] else "",
            tables.size(self.results["peak_resident"][contender.worker]),
        ]

    def _ratio_cell(self, ours: str, name: str) -> str:
        if ours == name:
            return ""
        cell = tables.ratio(self.ratios(ours, name))
        if not self.contenders[name].whole:
            return cell
        whole = measure.median(self.ratios(ours, name, "whole_seconds"))
        return f"{cell}, whole run {whole:.2f}×"

    def _goal_cell(self, name: str) -> str:
        contender = self.contenders[name]
        ours = contender.against or self.ours[0]
        if contender.goal is None or ours not in self.ours:
            return ""
        key = "whole_seconds" if contender.whole else "seconds"
        reached = measure.median(self.ratios(ours, name, key))
        return f"≥ {contender.goal:g} {tables.mark(reached >= contender.goal)}"

    def _losses(self, name: str) -> tuple[float, float]:
        """Mean loss of its trials, and the median difference from jinit's, relative, by trial."""
        losses = self._turns(name)[0]["losses"]
        ours = self._turns(self.ours[0])[0]["losses"]
        pairs = zip(losses, ours, strict=False)
        differences = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs]
        return sum(losses) / len(losses), measure.median(differences)
