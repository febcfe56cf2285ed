"""Branches, the runs of the network that one evaluation combines, and the gates of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from autosearch.diffusion.sites.sites import SiteTable
from autosearch.recipe.actions import Action, output_feature

__all__ = [
    "COND",
    "UNCOND",
    "Branch",
    "RowGate",
    "perturbed_branch",
    "same_run",
    "weakened_branch",
]


@dataclass(frozen=True)
class RowGate:
    """A decision for each row, once the probe was computed: the rows that pass act otherwise.

    Two published measures of how little the probe's feature moved since it was last stored:

        forecast  mean |forecast - output| / mean |output|: the error of the probe's forecast
                  (CG-Taylor; Liu et al. 2025)
        change    mean |feature - stored| / mean |stored|, of what the probe adds to its input
                  (first-block cache of ParaAttention, cache-dit and diffusers)

    The published ones take means over the whole batch, so that a sample depends on its
    neighbours. These are over a row's own numbers.

    Attributes:
        probe: the site that decides; always computed. Stored where a row did not pass.
        threshold: rows below it pass.
        order: of the probe's forecast, where there is so much stored.
        sites: everything that rows which pass do not compute.
        saves: multiply-accumulates of one such row beyond what the step saves anyway.
    """

    probe: str
    threshold: float
    measure: Literal["forecast", "change"]
    order: int
    sites: tuple[tuple[str, Action], ...]
    saves: int

    @property
    def feature(self) -> str:
        """The name under which the probe's feature is stored."""
        return output_feature(self.probe) if self.measure == "forecast" else self.probe

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        sites = {name: str(action) for name, action in self.sites}
        return [self.probe, self.threshold, self.measure, self.order, sites]

    def passes(self, computed: Tensor, expected: Tensor) -> Tensor:
        """Which rows pass [B], from the probe's feature and its forecast, each [B, ...]."""
        error = (computed - expected).flatten(1).abs().mean(dim=1)
        scale = (computed if self.measure == "forecast" else expected).flatten(1).abs().mean(dim=1)
        return error < self.threshold * scale


@dataclass(frozen=True)
class Branch:
    """One run of the network, under a name that its stored features are kept by.

    The name says what the run changes, so that runs of two steps that change the same share their
    memory, and others never do: see :func:`perturbed_branch` and :func:`weakened_branch`.

    Attributes:
        condition: whether the network is given the condition, or none.
        sites: what is not computed in this run.
        heads: attention heads perturbed towards identity attention, by site.
        strength: how far; 1 replaces the heads' output by their values.
        gate: which rows leave more out than ``sites``, and what.
        actions: ``sites`` by name.
        passing_actions: those of rows that pass the gate; without one, ``actions``.
    """

    name: str
    condition: Literal["cond", "uncond"] = "cond"
    sites: tuple[tuple[str, Action], ...] = ()
    heads: tuple[tuple[str, tuple[int, ...]], ...] = ()
    strength: float = 0.0
    gate: RowGate | None = None
    actions: dict[str, Action] = field(init=False, compare=False, repr=False)
    passing_actions: dict[str, Action] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", dict(self.sites))
        passing = self.actions if self.gate is None else dict(self.gate.sites)
        object.__setattr__(self, "passing_actions", passing)

    def computes(self, site: str, sites: SiteTable) -> tuple[bool, bool]:
        """Whether a site's feature is stored of rows that fail the gate, and of those that pass.

        Without a gate both are the same; with one, the probe is not stored of rows that pass.
        """
        failing = sites.runs(site, self.actions)
        if self.gate is None:
            return failing, failing
        return failing, site != self.gate.probe and sites.runs(site, self.passing_actions)

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        sites = {name: str(action) for name, action in self.sites}
        heads = {site: list(chosen) for site, chosen in self.heads}
        plain: list[object] = [self.name, self.condition, sites, heads, self.strength]
        return plain if self.gate is None else [*plain, self.gate.to_list()]


COND = Branch("cond")
UNCOND = Branch("uncond", "uncond")


def perturbed_branch(heads: Mapping[str, Sequence[int]], strength: float) -> Branch:
    """The run with these attention heads perturbed, by site; the plain one where none are."""
    chosen = tuple(sorted((site, tuple(which)) for site, which in heads.items() if which))
    if not chosen or not strength:
        return COND
    texts = (f"{site}[{','.join(map(str, which))}]" for site, which in chosen)
    return Branch(f"pag {' '.join(texts)} x{strength:.9g}", heads=chosen, strength=strength)


def weakened_branch(actions: Mapping[str, Action]) -> Branch:
    """The run that does these actions whatever its step does; the plain one where there are none.

    They are not yet its ``sites``, which a step decides.
    """
    texts = (f"{site}={action}" for site, action in sorted(actions.items()))
    return Branch(f"weak {' '.join(texts)}") if actions else COND


def same_run(a: Branch, b: Branch) -> bool:
    """Whether two branches give equal predictions.

    Those that use stored features do where they are one by name.
    """
    if a.name == b.name:
        return True
    alike = all(
        getattr(a, name) == getattr(b, name)
        for name in ("condition", "sites", "heads", "strength", "gate")
    )
    remembers = a.gate is not None or any(action.remembers for action in a.actions.values())
    return alike and not remembers
