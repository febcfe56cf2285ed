"""Site actions of a recipe, with everything removed that nothing stored makes possible."""

from collections.abc import Mapping, Sequence

from autosearch.diffusion.sites import Action, Site
from autosearch.errors import unknown_name
from autosearch.recipe import Step, parse_action

__all__ = ["compile_sites", "saved"]


def compile_sites(steps: Sequence[Step], sites: Sequence[Site]) -> list[dict[str, Action]]:
    """What each step does instead of computing, by site.

    A step that does not evaluate the network has no actions and stores nothing.

    Raises:
        UserError: for sites that the model lacks.
    """
    by_name = {site.name: site for site in sites}
    stored = dict.fromkeys(by_name, 0)
    result = []
    for i, step in enumerate(steps):
        for name in step.sites:
            if name not in by_name:
                raise unknown_name("site", name, by_name, where=f"recipe: steps[{i}].sites")
        actions: dict[str, Action] = {}
        result.append(actions)
        if step.evaluate != "network":
            continue
        for site in sites:  # parents come before children
            if _inside_uncomputed(site, by_name, actions):
                continue
            action = _reachable(step.sites.get(site.name), stored[site.name])
            if action is None:
                stored[site.name] += 1
            else:
                actions[site.name] = action
    return result


def _inside_uncomputed(
    site: Site, by_name: Mapping[str, Site], actions: Mapping[str, Action]
) -> bool:
    parent = site.parent
    while parent is not None:
        if parent in actions:
            return True
        parent = by_name[parent].parent
    return False


def _reachable(text: str | None, stored: int) -> Action | None:
    """The action that can be done with what is stored; None computes."""
    if text is None:
        return None
    action = parse_action(text)
    if action.kind == "skip":
        return action
    if stored == 0:
        return None
    order = min(action.order, stored - 1)
    return Action("forecast", order) if order else Action("reuse")


def saved(actions: Mapping[str, Action], sites: Sequence[Site]) -> int:
    """Multiply-accumulates that the actions of one step avoid; they never nest."""
    return sum(site.macs for site in sites if site.name in actions)
