"""The actions at sites that are possible with the features that are stored by then."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.sites import RANGE, SiteTable
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import parse_action
from autosearch.recipe.actions import Action

__all__ = [
    "Actions",
    "FeatureCounts",
    "asked_actions",
    "branch_macs",
    "checked_site",
    "reachable",
    "saved_macs",
]

Actions = Mapping[str, Action]


@dataclass
class FeatureCounts:
    """How many features are stored, by branch and site: of every row, and of some rows at most.

    The two differ after a gate, where rows that passed have computed less.
    """

    least: Counter[tuple[str, str]] = field(default_factory=Counter)
    most: Counter[tuple[str, str]] = field(default_factory=Counter)
    _times: dict[tuple[str, str, bool], float] = field(default_factory=dict)

    def add(self, branch: Branch, names: Iterable[str], sites: SiteTable, *, time: float) -> None:
        """Count what a run of a branch computes of some sites.

        At the time of the run before it, a feature takes the place of that run's.
        """
        for name in names:
            failing, passing = branch.computes(name, sites)
            if failing:
                self.most[branch.name, name] += self._is_new((branch.name, name, False), time)
            if failing and passing:
                self.least[branch.name, name] += self._is_new((branch.name, name, True), time)

    def _is_new(self, key: tuple[str, str, bool], time: float) -> bool:
        known, self._times[key] = self._times.get(key), time
        return known != time


def checked_site(name: str, sites: SiteTable, *, where: str) -> str:
    """The canonical name of a site or range.

    Raises:
        UserError: for one that the model lacks.
    """
    for part in name.split(RANGE):
        if part not in sites:
            raise unknown_name("site", part, sites, where=where)
    try:
        return sites.canonical(name)
    except KeyError:
        raise UserError(
            f"{where}: {name!r} is no range: it goes from a site whose output contains its input "
            "to a later one beside it, such as block.2..block.5"
        ) from None


def asked_actions(asked: Mapping[str, str], sites: SiteTable, *, where: str) -> dict[str, Action]:
    """Actions by canonical names; a range that is skipped is its members skipped.

    Raises:
        UserError: for sites that the model lacks.
    """
    actions: dict[str, Action] = {}
    for text, what in asked.items():
        name, action = checked_site(text, sites, where=where), parse_action(what)
        members = sites[name].members
        if members and action.kind == "skip":
            actions |= dict.fromkeys(members, action)
        else:
            actions[name] = action
    return actions


def reachable(
    asked: Actions, sites: SiteTable, branch: str, stored: FeatureCounts
) -> dict[str, Action]:
    """The actions that have an effect, as far as features are stored; the rest computes.

    Of sites that share something the outermost acts; of ranges the first, then the longest.
    """
    actions: dict[str, Action] = {}
    for name in sorted(asked, key=sites.position):
        if not sites.covered(name, actions):
            action = _reachable(asked[name], (branch, name), stored, sites)
            if action is not None:
                actions[name] = action
    return actions


def _reachable(
    action: Action, key: tuple[str, str], stored: FeatureCounts, sites: SiteTable
) -> Action | None:
    if not action.remembers:
        return action
    if not stored.least[key]:
        return None
    order = min(action.order, stored.most[key] - 1)
    if action.kind == "output" and sites[key[1]].residual:
        return Action("output", order)
    return Action("forecast", order) if order else Action("reuse")


def saved_macs(actions: Actions, sites: SiteTable) -> int:
    """Multiply-accumulates that actions avoid; they never nest."""
    return sum(sites[name].macs for name in actions)


def branch_macs(branches: Iterable[Branch], whole: int, sites: SiteTable) -> int:
    """Multiply-accumulates of one sample in some branches, whatever gates leave out.

    Args:
        branches: what is run.
        whole: multiply-accumulates of one full forward of the network.
        sites: those of the network.
    """
    return sum(whole - saved_macs(branch.actions, sites) for branch in branches)
