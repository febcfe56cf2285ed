"""Branches: the runs of the network that one evaluation combines."""

from dataclasses import dataclass, field
from typing import Literal

from autosearch.diffusion.sites import Action

__all__ = ["COND", "UNCOND", "Branch", "same_run"]


@dataclass(frozen=True)
class Branch:
    """One run of the network, under a name that its stored features are kept by.

    Attributes:
        condition: whether the network is given the condition, or none.
        sites: what is not computed in this run.
        heads: attention heads perturbed towards identity attention, by site.
        strength: how far; 1 replaces the heads' output by their values.
    """

    name: str
    condition: Literal["cond", "uncond"] = "cond"
    sites: tuple[tuple[str, Action], ...] = ()
    heads: tuple[tuple[str, tuple[int, ...]], ...] = ()
    strength: float = 0.0
    actions: dict[str, Action] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", dict(self.sites))

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        sites = {name: str(action) for name, action in self.sites}
        heads = {site: list(chosen) for site, chosen in self.heads}
        return [self.name, self.condition, sites, heads, self.strength]


COND = Branch("cond")
UNCOND = Branch("uncond", "uncond")


def same_run(a: Branch, b: Branch) -> bool:
    """Whether two branches give the same; those that use stored features have each their own."""
    return (
        (a.condition, a.sites, a.heads, a.strength) == (b.condition, b.sites, b.heads, b.strength)
    ) and all(action.kind == "skip" for action in a.actions.values())
