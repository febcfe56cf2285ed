"""Branches of each step, with everything removed that has no effect or nothing stored to use."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.guidance import BranchRequest, requested_branches
from autosearch.diffusion.plan.reachability import (
    Actions,
    FeatureCounts,
    asked_actions,
    checked_site,
    reachable,
    saved_macs,
)
from autosearch.diffusion.sites.branches import Branch, RowGate, same_run
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.errors import UserError
from autosearch.recipe import Gate, Recipe, round_float
from autosearch.recipe.actions import Action

__all__ = ["Combination", "compile_branches", "pruned_sites"]


@dataclass(frozen=True)
class Combination:
    """The branches that a step runs, their weights, and the one whose noise stays, if any."""

    branches: tuple[Branch, ...]
    weights: tuple[float, ...]
    renoise: str | None = None

    def without_renoise(self) -> "Combination":
        """A combination of the same prediction without the branch that only gives its noise."""
        kept = [i for i, weight in enumerate(self.weights) if weight]
        return Combination(
            tuple(self.branches[i] for i in kept), tuple(self.weights[i] for i in kept)
        )


@dataclass(frozen=True)
class _StepRequest:
    """The actions, branches and gate that a step asks for, in names that the model has."""

    actions: Actions
    wanted: Sequence[BranchRequest]
    gate: Gate | None
    covers: Actions


def compile_branches(recipe: Recipe, denoiser: Denoiser, sites: SiteTable) -> list[Combination]:
    """The branches that each step runs, and their weights.

    A branch whose weight is 0 is not run, two that give the same are one, and a step that does not
    evaluate the network runs none.

    Raises:
        UserError: for sites, heads or modes that the model lacks.
    """
    pruned = dict.fromkeys(pruned_sites(recipe, sites), Action("skip"))
    asked = [
        _StepRequest(
            asked_actions(step.sites, sites, where=f"recipe: steps[{i}].sites"),
            requested_branches(step.guidance, denoiser, pruned=pruned, where=f"recipe: steps[{i}]"),
            step.gate,
            _covered_actions(step.gate, sites, where=f"recipe: steps[{i}]"),
        )
        for i, step in enumerate(recipe.steps)
    ]
    remembered = _remembered(asked)
    stored = FeatureCounts()
    result = []
    for step, one in zip(recipe.steps, asked, strict=True):
        if step.evaluate != "network":
            result.append(Combination((), ()))
            continue
        runs = [(_compiled(wanted, one, pruned, sites, stored), wanted) for wanted in one.wanted]
        combination = _merged(runs)
        for branch in combination.branches:
            stored.add(branch, remembered, sites, time=step.time)
        result.append(combination)
    return result


def pruned_sites(recipe: Recipe, sites: SiteTable) -> list[str]:
    """The sites that no step runs, ranges by their members.

    Raises:
        UserError: for those that the model lacks.
    """
    names: list[str] = []
    for text in recipe.pruned:
        name = checked_site(text, sites, where="recipe: pruned")
        names += sites[name].members or (name,)
    return names


def _remembered(asked: Sequence[_StepRequest]) -> list[str]:
    """The sites whose features some step asks for."""
    names: dict[str, None] = {}
    for one in asked:
        for actions in (one.actions, one.covers, *(wanted.own for wanted in one.wanted)):
            names |= dict.fromkeys(name for name, action in actions.items() if action.remembers)
        if one.gate is not None:
            names[one.gate.probe] = None
    return list(names)


def _compiled(
    wanted: BranchRequest,
    asked: _StepRequest,
    pruned: Mapping[str, Action],
    sites: SiteTable,
    stored: FeatureCounts,
) -> Branch:
    """The branch with the actions that it can do and the perturbed heads that it computes."""
    branch = wanted.branch
    chosen = {**asked.actions, **wanted.own, **pruned}
    actions = reachable(chosen, sites, branch.name, stored)
    heads = tuple(h for h in branch.heads if branch.strength and sites.runs(h[0], actions))
    return replace(
        branch,
        sites=tuple(sorted(actions.items())),
        heads=heads,
        strength=branch.strength if heads else 0.0,
        gate=_compiled_gate(
            asked.gate, asked.covers, actions, sites=sites, branch=branch.name, stored=stored
        ),
    )


def _merged(runs: Sequence[tuple[Branch, BranchRequest]]) -> Combination:
    """Branches that give the same are run once, under the first one's name."""
    branches: list[Branch] = []
    parts: list[list[float]] = []
    renoise: str | None = None
    for branch, wanted in runs:
        at = next((i for i, earlier in enumerate(branches) if same_run(earlier, branch)), None)
        if at is None:
            at = len(branches)
            branches.append(branch)
            parts.append([])
        parts[at].append(wanted.weight)
        if wanted.renoise:
            renoise = branches[at].name
    weights = [round_float(math.fsum(weights)) for weights in parts]
    kept = [i for i, branch in enumerate(branches) if weights[i] or branch.name == renoise]
    if renoise is not None and len(kept) == 1:
        renoise = None  # guided and unguided predictions are one
    return Combination(tuple(branches[i] for i in kept), tuple(weights[i] for i in kept), renoise)


def _covered_actions(gate: Gate | None, sites: SiteTable, *, where: str) -> Actions:
    """The actions of rows that pass, at the sites that a gate covers.

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
        if sites.position(name) <= sites.position(probe) or probe in sites.parents(name):
            raise UserError(
                f"{where}.gate.covers: {name!r} does not come after the probe {probe!r}, which "
                "decides about it"
            )
    return covers


def _compiled_gate(
    gate: Gate | None,
    covers: Actions,
    failing: Actions,
    *,
    sites: SiteTable,
    branch: str,
    stored: FeatureCounts,
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
        saved_macs(passing, sites) - saved_macs(failing, sites),
    )
