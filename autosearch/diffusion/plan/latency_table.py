"""Seconds of a plan, predicted from a table that is measured once, alone.

The table is made of whole runs, not of modules by themselves: the same recipe with a kind of site
skipped, reused or forecast everywhere, and with one branch more. So it knows what interception
and the sampler cost, on whatever device the workers have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.recipe.actions import Action

__all__ = ["LatencyTable"]


@dataclass(frozen=True)
class LatencyTable:
    """Seconds for one sample in a batch.

    Attributes:
        evaluation: of one evaluation with one branch, all computed, its share of a step included.
        branch: what each further branch adds to an evaluation.
        sites: what leaving a site out saves of a branch.
        features: for each order of forecast, what making up for one stored number costs.
    """

    evaluation: float
    branch: float
    sites: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LatencyTable":
        """Read what :meth:`to_dict` wrote."""
        features = {int(order): seconds for order, seconds in data["features"].items()}
        return cls(data["evaluation"], data["branch"], dict(data["sites"]), features)

    def to_dict(self) -> dict[str, Any]:
        """Plain data as JSON has it: orders are texts."""
        features = {str(order): seconds for order, seconds in self.features.items()}
        return {**asdict(self), "features": features}

    def seconds(self, plan: Plan, sites: Sequence[Site], macs: float | None = None) -> float:
        """Seconds of one sample.

        Args:
            plan: what is run.
            sites: those of the model.
            macs: multiply-accumulates that samples executed on average, where gates decide; by
                default no row passes.
        """
        table = SiteTable(sites)
        counts = evaluations(plan.steps)
        closed = opened = 0.0
        for count, step in zip(counts, plan.steps, strict=True):
            if not step.branches:
                continue
            whole = self.evaluation + self.branch * (len(step.branches) - 1)
            # Further branches cost less or more than the first, and so do their sites.
            share = whole / len(step.branches) / self.evaluation
            closed += count * whole
            opened += count * whole
            for branch in step.branches:
                closed -= count * share * self._saved(branch.actions, table)
                opened -= count * share * self._saved(branch.passing_actions, table)
        if macs is None or closed == opened:
            return closed
        most_saved = sum(
            count * branch.gate.saves
            for count, step in zip(counts, plan.steps, strict=True)
            for branch in step.branches
            if branch.gate is not None
        )
        passed = (plan.macs - macs) / most_saved
        return closed - passed * (closed - opened)

    def _saved(self, actions: Mapping[str, Action], table: SiteTable) -> float:
        saved = 0.0
        for name, action in actions.items():
            site = table[name]
            saved += sum(self.sites.get(member, 0.0) for member in site.members or (name,))
            if action.remembers:
                saved -= self.features.get(action.order, 0.0) * site.elements
        return saved
