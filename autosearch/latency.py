"""Seconds of a plan, predicted from a table that is measured once, alone.

The table is made of whole runs, not of modules by themselves: the same recipe with a kind of site
skipped, reused or forecast everywhere, and with one branch more. So it knows what interception
and the sampler cost, on whatever device the workers have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from autosearch.baselines import baseline
from autosearch.compiler import compile_recipe
from autosearch.diffusion.branches import Branch
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites import Action, Site, SiteTable
from autosearch.plan import Plan, evaluations
from autosearch.recipe import Recipe

__all__ = ["LatencyTable", "latency_table"]

_STEPS = 6
_BASE = f"ddim@{_STEPS}"
_ORDERS = (0, 1, 2, 3, 4)
_CFG = {"rule": "cfg", "scale": 2.0}

# Seconds of one sample under a plan, measured alone.
Measured = Callable[[Plan], float]


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
            macs: what samples executed on average, where gates decide; by default nobody passes.
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
                opened -= count * share * self._saved(_when_passed(branch), table)
        if macs is None or closed == opened:
            return closed
        passed = (plan.macs - macs) / _most_saved(plan, counts)
        return closed - passed * (closed - opened)

    def _saved(self, actions: Mapping[str, Action], table: SiteTable) -> float:
        saved = 0.0
        for name, action in actions.items():
            site = table[name]
            saved += sum(self.sites.get(member, 0.0) for member in site.members or (name,))
            if action.remembers:
                saved -= self.features.get(action.order, 0.0) * site.elements
        return saved


def _when_passed(branch: Branch) -> Mapping[str, Action]:
    return branch.actions if branch.gate is None else dict(branch.gate.sites)


def _most_saved(plan: Plan, counts: Sequence[int]) -> int:
    return sum(
        count * branch.gate.saves
        for count, step in zip(counts, plan.steps, strict=True)
        for branch in step.branches
        if branch.gate is not None
    )


def latency_table(denoiser: Denoiser, measured: Measured) -> LatencyTable:
    """Measure a model's table.

    Sites of one size are taken to cost the same: all of a kind are left out together, which is
    measured better than any one of them.
    """
    whole = measured(_plan(denoiser))
    evaluation = whole / _STEPS
    guided = _plan(denoiser, guidance=_CFG) if "uncond" in denoiser.conditions else None
    # On a busy machine more may seem to take less.
    more = whole if guided is None else max(measured(guided) - whole, 0.0)
    branch = evaluation if guided is None else more / _STEPS
    saved: dict[str, float] = {}
    for kind in _kinds(denoiser.sites):
        skipped = measured(_plan(denoiser, dict.fromkeys(kind, "skip")))
        saved |= dict.fromkeys(kind, (whole - skipped) / _STEPS / len(kind))
    table = LatencyTable(evaluation, branch, saved)
    return LatencyTable(evaluation, branch, saved, _features(denoiser, table, measured))


def _features(denoiser: Denoiser, table: LatencyTable, measured: Measured) -> dict[int, float]:
    """From the parts of all blocks, or whatever is innermost, made up for at most steps."""
    kinds = _kinds(denoiser.sites)
    if not kinds:
        return {}
    names = min(kinds, key=lambda kind: table.sites[kind[0]])
    elements = sum(site.elements for site in denoiser.sites if site.name in names)
    found: dict[int, float] = {}
    for order in _ORDERS:
        action = f"forecast:{order}"
        plan = _plan(denoiser, dict.fromkeys(names, action), computed=order + 1)
        acting = _STEPS - order - 1
        without = table.seconds(plan, denoiser.sites)
        found[order] = max((measured(plan) - without) / acting / elements, 0.0)
    return found


def _kinds(sites: Sequence[Site]) -> list[list[str]]:
    """Names of the sites that are alike, kind by kind."""
    kinds: dict[tuple[object, ...], list[str]] = {}
    for site in sites:
        key = (site.macs, site.elements, site.residual, site.parent is None)
        kinds.setdefault(key, []).append(site.name)
    return list(kinds.values())


def _plan(
    denoiser: Denoiser,
    sites: Mapping[str, str] | None = None,
    *,
    computed: int = 0,
    guidance: Mapping[str, Any] | None = None,
) -> Plan:
    """A plain recipe with these actions at every step but the first few."""
    data = baseline(_BASE, denoiser).to_dict()
    for i, step in enumerate(data["steps"]):
        if sites and i >= computed:
            step["sites"] = dict(sites)
        if guidance:
            step["guidance"] = dict(guidance)
    return compile_recipe(Recipe.from_dict(data), denoiser)
