"""Forecast: which steps compute, and with which order the others forecast (TaylorSeer's shape)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.baselines.policies.caches import action_text
from autosearch.errors import UserError
from autosearch.recipe import parse_action
from autosearch.spaces.base import Genome, StepGenome, check_within
from autosearch.spaces.site_masks import OwnedSites, chosen_sites, cut_points, paired_steps

__all__ = ["Forecast"]

_WHERE = "space.forecast"
_ORDERS = (0, 1, 2, 3, 4)
_POINTS = 2


@dataclass(kw_only=True, eq=False)
class Forecast(OwnedSites):
    """Each step computes everything, or forecasts every site with an order of its own.

    Contains FORA (order 0: reuse) and TaylorSeer (Liu et al. 2025) at any interval. Orders beyond
    what is stored by then are lowered when the recipe is compiled.

    Args:
        sites: ``parts``, ``blocks`` or names; what is left out together.
        orders: of a forecast; 0 reuses.
        rate: how likely a mutation draws each step anew; by default one step on average.

    Raises:
        UserError: for sites that the model lacks and impossible settings.
    """

    name = "forecast"
    summary = "which steps compute, and the order of the others' forecasts (TaylorSeer)"
    odds = 0.8

    sites: str | Sequence[str] = "parts"
    orders: Sequence[int] = _ORDERS
    rate: float | None = None

    def __post_init__(self) -> None:
        self.sites = chosen_sites(self.denoiser, self.sites, where=f"{_WHERE}.sites")
        if not self.orders or not set(self.orders) <= set(_ORDERS):
            raise UserError(f"{_WHERE}.orders: expected some of 0 to 4, got {list(self.orders)}")
        self.orders = tuple(sorted(set(self.orders)))
        if self.rate is not None:
            check_within(f"{_WHERE}.rate", self.rate, 0, 1, above=True)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        share = rng.random()
        for step in genome["steps"]:
            self._set(step, self._draw_order(rng) if rng.random() < share else None)

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """Steps drawn anew: one that computes forecasts, one that forecasts does one or other."""
        steps = genome["steps"]
        rate = self.rate or 1 / len(steps)
        for step in steps:
            if rng.random() < rate:
                computing = self._order(step) is None
                anew = computing or (len(self.orders) > 1 and rng.random() < 0.5)
                self._set(step, self._draw_order(rng) if anew else None)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Crossover of the steps at two points."""
        steps = child["steps"]
        taken = cut_points(len(steps), _POINTS, rng).tolist()
        for step, partner, takes in zip(
            steps, paired_steps(steps, other["steps"]), taken, strict=True
        ):
            if takes:
                self._set(step, self._order(partner))

    def repair(self, genome: Genome) -> None:
        for i, step in enumerate(genome["steps"]):
            order = self._order(step)
            nearest = min(self.orders, key=lambda known: abs(known - (order or 0)))
            self._set(step, None if order is None or i == 0 else nearest)

    def encodes(self, genome: Genome) -> bool:
        for i, step in enumerate(genome["steps"]):
            given = step.get("sites", {})
            if given and (
                i == 0
                or set(given) != set(self.sites)
                or len(set(given.values())) > 1
                or self._order(step) not in self.orders
            ):
                return False
        return True

    def _order(self, step: StepGenome) -> int | None:
        """The order of a step's forecast; None where it computes, or does something else."""
        for text in step.get("sites", {}).values():
            action = parse_action(text)
            return action.order if action.kind in ("reuse", "forecast") else None
        return None

    def _set(self, step: StepGenome, order: int | None) -> None:
        step.pop("sites", None)
        if order is not None:
            step["sites"] = dict.fromkeys(self.sites, action_text(order))

    def _draw_order(self, rng: Rng) -> int:
        order: Any = rng.choice(self.orders)
        return int(order)
