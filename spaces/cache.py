"""Cache: what each step leaves out at each site, as ECAD searches it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.recipe import parse_action
from autosearch.spaces.base import Genome, StepGenome, check_within, checked_ends
from autosearch.spaces.site_masks import OwnedSites, chosen_sites, cut_points, paired_steps

__all__ = ["Cache"]

_WHERE = "space.cache"
_LARGEST_RATE = 0.5
_MOST_POINTS = 10_000

Mask = NDArray[np.bool_]


@dataclass(kw_only=True, eq=False)
class Cache(OwnedSites):
    """A mask over steps and sites: each computes, or acts (ECAD; Aggarwal et al. 2025).

    The first step has nothing to reuse and computes. When the number of steps varies, a mask stays
    with its step; crossover pairs steps by their times.

    Operators as ECAD's released code has them in pymoo: random masks are drawn bit by bit,
    crossover is at ``points`` places of the flattened mask, step after step, and mutation flips
    each bit at a small rate. How likely a child is mutated at all is the algorithm's setting.

    Args:
        sites: ``parts`` (attention, cross-attention, feed-forward), ``blocks``, or a list of these
            and of names, of ranges too. What acts as a whole makes its parts' bits inert.
        actions: what a site may do instead of computing; the published search has ``reuse``.
        points: of a crossover.
        rate: how likely a mutation flips each bit; by default one bit of all on average.
        whole: the share of mutations that set a whole step, a whole site, or a step's sites to
            those of the step before, where single bits would take long; published: 0.
        share: the least and the largest share of a random mask that acts, itself drawn between
            these; published: a half.

    Raises:
        UserError: for sites that the model lacks and impossible settings.
    """

    name = "cache"
    summary = "what each step reuses, forecasts or skips at each site (ECAD's masks)"
    odds = 0.8

    sites: str | Sequence[str] = "parts"
    actions: Sequence[str] = ("reuse",)
    points: int = 4
    rate: float | None = None
    whole: float = 0.0
    share: Sequence[float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        self.sites = chosen_sites(self.denoiser, self.sites, where=f"{_WHERE}.sites")
        self.actions = _checked_actions(self.actions)
        self._skips = [name for name in self.actions if name == "skip"]
        check_within(f"{_WHERE}.points", self.points, 1, _MOST_POINTS)
        if self.rate is not None:
            check_within(f"{_WHERE}.rate", self.rate, 0, _LARGEST_RATE, above=True)
        check_within(f"{_WHERE}.whole", self.whole, 0, 1)
        self.share = checked_ends(f"{_WHERE}.share", self.share, 0, 1)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        steps = genome["steps"]
        low, high = self.share
        acting = rng.random((len(steps), len(self.sites))) < rng.uniform(low, high)
        for step, row in zip(steps, acting, strict=True):
            step["sites"] = {
                site: str(rng.choice(self.actions))
                for site, acts in zip(self.sites, row.tolist(), strict=True)
                if acts
            }

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """Flip bits; what acts and stays so may act otherwise."""
        steps = genome["steps"]
        if self.whole and rng.random() < self.whole:
            self._mutate_whole(steps, rng)
        else:
            shape = (len(steps), len(self.sites))
            rate = self.rate or min(_LARGEST_RATE, 1 / max(shape[0] * shape[1], 1))
            for i, j in np.argwhere(rng.random(shape) < rate).tolist():
                self._flip(steps[i], self.sites[j], rng)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Crossover at a few points of the masks."""
        steps = child["steps"]
        pairs = paired_steps(steps, other["steps"])
        width = len(self.sites)
        taken = cut_points(len(steps) * width, self.points, rng).reshape(len(steps), width)
        for step, partner, row in zip(steps, pairs, taken, strict=True):
            mine, theirs = step.get("sites", {}), partner.get("sites", {})
            step["sites"] = {
                site: (theirs if takes else mine)[site]
                for site, takes in zip(self.sites, row.tolist(), strict=True)
                if site in (theirs if takes else mine)
            }

    def repair(self, genome: Genome) -> None:
        for i, step in enumerate(genome["steps"]):
            allowed = self.actions if i else self._skips
            given = step.pop("sites", {})
            kept = {site: given[site] for site in self.sites if given.get(site) in allowed}
            if kept:
                step["sites"] = kept

    def encodes(self, genome: Genome) -> bool:
        return all(
            site in self.sites and action in (self.actions if i else self._skips)
            for i, step in enumerate(genome["steps"])
            for site, action in step.get("sites", {}).items()
        )

    def _flip(self, step: StepGenome, site: str, rng: Rng) -> None:
        given = dict(step.get("sites", {}))
        # With several actions, one flip in so many only changes the action.
        if site in given and rng.random() < 1 / len(self.actions):
            del given[site]
        else:
            others = [action for action in self.actions if action != given.get(site)]
            given[site] = str(rng.choice(others))
        step["sites"] = given

    def _mutate_whole(self, steps: Sequence[StepGenome], rng: Rng) -> None:
        """One step's or one site's choices all alike, or a step like the one before it."""
        kind = int(rng.integers(3))
        at = int(rng.integers(min(1, len(steps) - 1), len(steps)))
        action = str(rng.choice(self.actions)) if rng.random() < 0.5 else None
        if kind == 0:
            steps[at]["sites"] = {} if action is None else dict.fromkeys(self.sites, action)
        elif kind == 1:
            steps[at]["sites"] = dict(steps[at - 1].get("sites", {}))
        else:
            site = str(rng.choice(self.sites))
            stop = int(rng.integers(at + 1, len(steps) + 1))
            for step in steps[at:stop]:
                given = {k: v for k, v in step.get("sites", {}).items() if k != site}
                step["sites"] = given if action is None else {**given, site: action}


def _checked_actions(actions: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(actions))
    if not chosen:
        raise UserError(f"{_WHERE}.actions: the list is empty; name at least one, such as reuse")
    for name in chosen:
        try:
            parse_action(name)
        except ValueError as error:
            raise UserError(f"{_WHERE}.actions: {error}") from None
    return chosen
