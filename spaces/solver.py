"""Solver: order, prediction and form of each step."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.solvers import WEIGHTS
from autosearch.errors import UserError, unknown_name
from autosearch.spaces.base import Family, Genome, Parameter, Rng, StepGenome

__all__ = ["SolverChoice"]

_PREDICTIONS = ("data", "noise")


class SolverChoice(Family):
    """Order and, above order 1, prediction and form of each step.

    Args:
        orders, predictions, forms: what may be chosen.
    """

    name = "solver"
    summary = "order, prediction and form of each step"
    fields = ("order", "prediction", "form")
    odds = 0.3

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        orders: Sequence[int] = (1, 2),
        predictions: Sequence[str] = _PREDICTIONS,
        forms: Sequence[str] = tuple(WEIGHTS),
    ) -> None:
        super().__init__(denoiser)
        for kind, given, valid in (
            ("order", orders, (1, 2)),
            ("prediction", predictions, _PREDICTIONS),
            ("form", forms, tuple(WEIGHTS)),
        ):
            if not given:
                raise UserError(
                    f"space.solver.{kind}s: the list is empty; leave the key out for all"
                )
            for value in given:
                if value not in valid:
                    raise unknown_name(kind, str(value), map(str, valid), where="space.solver")
        self.orders = tuple(orders)
        self.predictions = tuple(predictions)
        self.forms = tuple(forms)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        """One choice for the whole recipe, drawn anew at half of the steps.

        Fewer, and most random recipes of this family alone would be equal plans.
        """
        common = self._draw(rng)
        for step in genome["steps"]:
            self._set(step, *(self._draw(rng) if rng.random() < 0.5 else common))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        steps = genome["steps"]
        chosen = rng.random(len(steps)) < 1.0 / len(steps)
        chosen[int(rng.integers(len(steps)))] = True
        for step, change in zip(steps, chosen, strict=True):
            if not change:
                continue
            self._set(step, *self._get(step))
            which = int(rng.integers(len(self.fields)))
            step[self.fields[which]] = self._draw(rng)[which]

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        for mine, theirs in zip(child["steps"], other["steps"], strict=False):
            if rng.random() < 0.5:
                self._set(mine, *self._get(theirs))

    def repair(self, genome: Genome) -> None:
        for step in genome["steps"]:
            order, prediction, form = self._get(step)
            self._set(
                step,
                order if order in self.orders else self.orders[0],
                prediction if prediction in self.predictions else self.predictions[0],
                form if form in self.forms else self.forms[0],
            )

    def encodes(self, genome: Genome) -> bool:
        return all(
            order in self.orders
            and (order == 1 or (prediction in self.predictions and form in self.forms))
            for order, prediction, form in map(self._get, genome["steps"])
        )

    def box(self) -> Sequence[Parameter]:
        """One order, prediction and form, but the lowest order for a number of last steps."""
        return (
            Parameter("order", "int", min(self.orders), max(self.orders)),
            Parameter("lower_order_last", "int", 0, 3),
            Parameter("prediction", "choice", choices=self.predictions),
            Parameter("form", "choice", choices=self.forms),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        steps = genome["steps"]
        high = max(order for order in self.orders if order <= int(values["order"]))
        full = len(steps) - int(values["lower_order_last"])
        for i, step in enumerate(steps):
            order = high if i < full else min(self.orders)
            self._set(step, order, str(values["prediction"]), str(values["form"]))

    def _draw(self, rng: Rng) -> tuple[int, str, str]:
        """The highest order and the first prediction more often: they win at few steps."""
        return (
            int(rng.choice(sorted(self.orders, reverse=True), p=_favouring(len(self.orders), 0.7))),
            str(rng.choice(self.predictions, p=_favouring(len(self.predictions), 0.8))),
            str(rng.choice(self.forms)),
        )

    def _get(self, step: StepGenome) -> tuple[int, str, str]:
        return (
            int(step.get("order", 1)),
            str(step.get("prediction", "data")),
            str(step.get("form", "dpmsolver")),
        )

    def _set(self, step: StepGenome, order: int, prediction: str, form: str) -> None:
        for field, value in zip(self.fields, (order, prediction, form), strict=True):
            step[field] = value


def _favouring(count: int, share: float) -> list[float]:
    """Odds that give the first of ``count`` a share, and the others the rest in equal parts."""
    return [share, *[(1 - share) / (count - 1)] * (count - 1)] if count > 1 else [1.0]
