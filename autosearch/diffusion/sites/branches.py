"""Branches: the runs of the network that one evaluation combines."""

from dataclasses import dataclass, field
from typing import Literal

from autosearch.diffusion.sites.gates import Gate
from autosearch.recipe.actions import Action

__all__ = ["COND", "UNCOND", "Branch", "same_run"]


@dataclass(frozen=True)
class Branch:
    """One run of the network, under a name that its stored features are kept by.

    Attributes:
        condition: whether the network is given the condition, or none.
        sites: what is not computed in this run.
        heads: attention heads perturbed towards identity attention, by site.
        strength: how far; 1 replaces the heads' output by their values.
        gate: which rows leave more out than ``sites``, and what.
    """

    name: str
    condition: Literal["cond", "uncond"] = "cond"
    sites: tuple[tuple[str, Action], ...] = ()
    heads: tuple[tuple[str, tuple[int, ...]], ...] = ()
    strength: float = 0.0
    gate: Gate | None = None
    actions: dict[str, Action] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", dict(self.sites))

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        sites = {name: str(action) for name, action in self.sites}
        heads = {site: list(chosen) for site, chosen in self.heads}
        plain: list[object] = [self.name, self.condition, sites, heads, self.strength]
        return plain if self.gate is None else [*plain, self.gate.to_list()]


COND = Branch("cond")
UNCOND = Branch("uncond", "uncond")


def same_run(a: Branch, b: Branch) -> bool:
    """Whether two branches give the same; those that use stored features have each their own."""
    alike = all(
        getattr(a, name) == getattr(b, name)
        for name in ("condition", "sites", "heads", "strength", "gate")
    )
    remembers = a.gate is not None or any(action.remembers for action in a.actions.values())
    return alike and not remembers
