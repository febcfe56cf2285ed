"""Branches of each step, with everything removed that has no effect or nothing stored to use."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from autosearch.compiler.guidance import Wanted, wanted_branches
from autosearch.diffusion.branches import Branch, same_run
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites import Action, Site
from autosearch.errors import unknown_name
from autosearch.recipe import Step, parse_action, round_float

__all__ = ["Combination", "compile_branches", "saved"]

# How many features are stored, by branch and site.
Stored = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Combination:
    """The branches that a step runs, their weights, and the one whose noise stays, if any."""

    branches: tuple[Branch, ...]
    weights: tuple[float, ...]
    renoise: str | None = None

    def without_renoise(self) -> "Combination":
        """The same prediction; a branch that only gave its noise is not run."""
        kept = [i for i, weight in enumerate(self.weights) if weight]
        return Combination(
            tuple(self.branches[i] for i in kept), tuple(self.weights[i] for i in kept)
        )


def compile_branches(steps: Sequence[Step], denoiser: Denoiser) -> list[Combination]:
    """What each step runs.

    A branch whose weight is 0 is not run, two that give the same are one, and a step that does not
    evaluate the network runs none.

    Raises:
        UserError: for sites, heads or modes that the model lacks.
    """
    by_name = {site.name: site for site in denoiser.sites}
    stored: Stored = Counter()
    result = []
    for i, step in enumerate(steps):
        where = f"recipe: steps[{i}]"
        for name in step.sites:
            if name not in by_name:
                raise unknown_name("site", name, by_name, where=f"{where}.sites")
        wanted = wanted_branches(step.guidance, denoiser, where=where)
        if step.evaluate != "network":
            result.append(Combination((), ()))
            continue
        own = {name: parse_action(text) for name, text in step.sites.items()}
        found = [(_compiled(one, own, by_name, stored), one) for one in wanted]
        combination = _merged(found)
        for branch in combination.branches:
            stored.update((branch.name, name) for name in _computed(by_name, branch.actions))
        result.append(combination)
    return result


def _compiled(
    wanted: Wanted, own: Mapping[str, Action], sites: Mapping[str, Site], stored: Stored
) -> Branch:
    """The branch with the actions that it can do and the perturbed heads that it computes."""
    branch = wanted.branch
    asked = {**own, **wanted.own}
    actions: dict[str, Action] = {}
    for name, site in sites.items() if asked else ():  # parents come before children
        if not _inside_uncomputed(site, sites, actions):
            action = _reachable(asked.get(name), stored[branch.name, name])
            if action is not None:
                actions[name] = action
    computed = _computed(sites, actions) if branch.heads and branch.strength else ()
    heads = tuple(h for h in branch.heads if h[0] in computed)
    return replace(
        branch,
        sites=tuple(sorted(actions.items())),
        heads=heads,
        strength=branch.strength if heads else 0.0,
    )


def _merged(found: Sequence[tuple[Branch, Wanted]]) -> Combination:
    """Branches that give the same are run once, under the first one's name."""
    branches: list[Branch] = []
    weights: list[float] = []
    renoise: str | None = None
    for branch, wanted in found:
        at = next((i for i, known in enumerate(branches) if same_run(known, branch)), None)
        if at is None:
            at = len(branches)
            branches.append(branch)
            weights.append(0.0)
        weights[at] = round_float(weights[at] + wanted.weight)
        if wanted.renoise:
            renoise = branches[at].name
    kept = [i for i, branch in enumerate(branches) if weights[i] or branch.name == renoise]
    if renoise is not None and len(kept) == 1:
        renoise = None  # guided and unguided predictions are one
    return Combination(tuple(branches[i] for i in kept), tuple(weights[i] for i in kept), renoise)


def _computed(sites: Mapping[str, Site], actions: Mapping[str, Action]) -> Collection[str]:
    """The sites whose features a run has."""
    if not actions:
        return sites.keys()
    return {
        name
        for name, site in sites.items()
        if name not in actions and not _inside_uncomputed(site, sites, actions)
    }


def _inside_uncomputed(
    site: Site, sites: Mapping[str, Site], actions: Mapping[str, Action]
) -> bool:
    parent = site.parent
    while parent is not None:
        if parent in actions:
            return True
        parent = sites[parent].parent
    return False


def _reachable(action: Action | None, stored: int) -> Action | None:
    """The action that can be done with what is stored; None computes."""
    if action is None or action.kind == "skip":
        return action
    if stored == 0:
        return None
    order = min(action.order, stored - 1)
    return Action("forecast", order) if order else Action("reuse")


def saved(branch: Branch, sites: Sequence[Site]) -> int:
    """Multiply-accumulates that a branch avoids; its actions never nest."""
    return sum(site.macs for site in sites if site.name in branch.actions)
