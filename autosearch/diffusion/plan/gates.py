"""Gates of a step, for each branch."""

from autosearch.diffusion.plan.reachability import (
    Actions,
    Stored,
    asked_actions,
    checked_site,
    reachable,
    saved,
)
from autosearch.diffusion.sites.branches import RowGate
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.errors import UserError
from autosearch.recipe import Gate

__all__ = ["compiled_gate", "covered_actions"]


def covered_actions(gate: Gate | None, sites: SiteTable, *, where: str) -> Actions:
    """What rows that pass do at the sites that a gate covers.

    Raises:
        UserError: for sites that the model lacks, or that do not come after the probe.
    """
    if gate is None:
        return {}
    probe = checked_site(gate.probe, sites, where=f"{where}.gate.probe")
    if sites[probe].members:
        raise UserError(f"{where}.gate.probe: {probe!r} is a range; name one site")
    covers = asked_actions(gate.covers, sites, where=f"{where}.gate.covers")
    for name in covers:
        if sites.position(name) <= sites.position(probe) or _inside(name, probe, sites):
            raise UserError(
                f"{where}.gate.covers: {name!r} does not come after the probe {probe!r}, which "
                "decides about it"
            )
    return covers


def compiled_gate(
    gate: Gate | None,
    covers: Actions,
    failing: Actions,
    *,
    sites: SiteTable,
    branch: str,
    stored: Stored,
) -> RowGate | None:
    """The gate of one branch; None where it changes nothing or cannot decide.

    It needs the probe computed now and before, and something stored of all that it covers, in
    every row. What the step skips stays skipped.
    """
    if gate is None or not gate.threshold or not stored.least[branch, gate.probe]:
        return None
    if not sites.runs(gate.probe, failing):
        return None
    chosen = {
        name: action
        for name, action in covers.items()
        if name not in failing or failing[name].kind != "skip"
    }
    if any(action.remembers and not stored.least[branch, name] for name, action in chosen.items()):
        return None
    passing = reachable({**failing, **chosen}, sites, branch, stored)
    if passing == dict(failing):
        return None
    return RowGate(
        gate.probe,
        gate.threshold,
        gate.measure,
        min(gate.order, stored.most[branch, gate.probe] - 1),
        tuple(sorted(passing.items())),
        saved(passing, sites) - saved(failing, sites),
    )


def _inside(name: str, probe: str, sites: SiteTable) -> bool:
    parents: list[str] = []
    here = sites[name].parent
    while here is not None:
        parents.append(here)
        here = sites[here].parent
    return probe in parents
