"""Solver: every solver of the zoo, mixed freely per step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.solvers import FORMS, RELAXATIONS, USUAL_FORMS, find_form
from autosearch.diffusion.solvers.forms.base import HIGHEST_ORDER
from autosearch.errors import UserError, unknown_name
from autosearch.spaces import decisions
from autosearch.spaces.base import Family, Genome, Parameter, StepGenome, check_within, clone
from autosearch.spaces.decisions import (
    Choice,
    Compensation,
    CorrectorDecision,
    Decision,
    EstimateDecision,
    Eta,
    KeptChoice,
    Relax,
)

__all__ = ["SolverChoice"]

_WHERE = "space.solver"
# How likely a mutation of the family redraws what the first step does; as published.
_FIRST_RATE = 0.3
# How likely a single decision is drawn for all steps at once.
_ALL_RATE = 0.3
_FIELDS: tuple[str, ...] = (
    "order",
    "prediction",
    "form",
    "relaxation",
    "start_point",
    "points",
    "corrector",
    "evaluate",
    "eta",
)
# At order 1, on a step without eta and corrector.
_WITHOUT_EFFECT = ("prediction", "form", "relaxation", "points")


@dataclass(kw_only=True, eq=False)
class SolverChoice(Family):
    """All that a solver step can choose; what has no effect at a step costs nothing.

    The defaults are the unified sampling framework's search (Liu et al. 2024), and the forms and
    restarts that it lacks.

    Args:
        orders: of a step, from 1 to 4.
        predictions: of a step, ``data`` and ``noise``.
        forms: of a step; by default the usual ones. What needs measurements of the model, as
            ``v3`` does, is only in descendants of recipes that bring them, such as the baseline
            ``unipc+v3``.
        relaxations: kinds of factor on the first derivative; only form ``taylor`` takes one.
        correctors: ``implicit`` is never drawn, only kept from baselines, unless it is the only
            one besides ``none``.
        restarts: start points; -1 is multistep, -2 and -3 go back to earlier states.
        evaluations: what the first step may do; by default analytic first steps too, from the
            data's mean where the model knows it.
        estimates: whether the first derivative may be estimated from fewer evaluations.
        eta: largest eta of a step; 0 keeps the search deterministic.
        compensation: how far from 1 DC-Solver's ratio of a step may be; 0 leaves it alone.
        rate: how likely a mutation draws each decision of each step anew.
    """

    name = "solver"
    summary = "order, form, prediction, corrector and more of each step"
    fields = _FIELDS
    odds = 0.5

    orders: Sequence[int] = tuple(decisions.ORDERS)
    predictions: Sequence[str] = tuple(decisions.PREDICTIONS)
    forms: Sequence[str] = USUAL_FORMS
    relaxations: Sequence[str] = tuple(RELAXATIONS)
    correctors: Sequence[str] = tuple(decisions.CORRECTORS)
    restarts: Sequence[int] = tuple(decisions.RESTARTS)
    evaluations: Sequence[str] | None = None
    estimates: bool = True
    eta: float = 0.0
    compensation: float = 0.0
    rate: float = 0.3

    def __post_init__(self) -> None:
        check_within(f"{_WHERE}.rate", self.rate, 0, 1, above=True)
        check_within(f"{_WHERE}.eta", self.eta, 0, 1)
        check_within(f"{_WHERE}.compensation", self.compensation, 0, 9)
        analytic = dict(decisions.EVALUATIONS)
        if self.denoiser.data_mean is None:
            del analytic["average_x0"]
        # Weights belong to the times that they were fitted at.
        weighted = {name for name, form in FORMS.own.items() if form.weighted}
        all_forms = {name: 1.0 for name in FORMS.names if name not in weighted}
        self._form = Choice("form", "dpmsolver", _among("form", self.forms, all_forms))
        self._order = Choice("order", 1, _among("order", self.orders, decisions.ORDERS))
        prediction_odds = _among("prediction", self.predictions, decisions.PREDICTIONS)
        forms = [FORMS[name] for name in self._form.values]
        kept = ("velocity",) if any("velocity" in form.predictions for form in forms) else ()
        self._prediction = KeptChoice("prediction", "data", prediction_odds, kept)
        corrector_odds = _among("corrector", self.correctors, decisions.CORRECTORS)
        self._corrector = CorrectorDecision("corrector", "none", corrector_odds)
        first = list(analytic) if self.evaluations is None else self.evaluations
        self._evaluation = Choice("evaluate", "network", _among("evaluation", first, analytic))
        _among("relaxation", self.relaxations, dict.fromkeys(RELAXATIONS, 1.0), empty=True)
        self._check_forms()
        # The order comes before what depends on it.
        self.decisions: tuple[Decision, ...] = (
            self._order,
            self._prediction,
            self._form,
            Relax(self.relaxations),
            Choice("start_point", -1, _among("restart", self.restarts, decisions.RESTARTS)),
            EstimateDecision(varies=self.estimates),
            self._corrector,
            Eta(self.eta),
        )
        if self.compensation:
            self.decisions = (*self.decisions, Compensation(self.compensation))
            self.fields = (*self.fields, "compensation")

    def _check_forms(self) -> None:
        """Refuse forms that a step could have at no order, or with nothing measured.

        Raises:
            UserError: for these.
        """
        forms = [find_form(name) for name in self._form.values]
        if all(form.artifact for form in forms):
            raise UserError(
                f"{_WHERE}.forms: {forms[0].name!r} alone has nothing to begin with; add 'taylor'"
            )
        least = min(self._order.values)
        low = [form for form in forms if form.highest < least]
        enough = [form for form in forms if form not in low and not form.artifact]
        for form in low:
            if not form.usual or not enough:
                has = f"orders 1 to {form.highest}" if form.highest != 2 else "orders 1 and 2"
                raise UserError(
                    f"{_WHERE}: form {form.name!r} has {has}; add order {form.highest}, or "
                    "add form 'taylor'"
                )

    def randomize(self, genome: Genome, rng: Rng) -> None:
        """One choice for the whole recipe, drawn anew at half of the steps.

        Fewer, and most random recipes of this family alone would be equal plans.
        """
        common: StepGenome = {}
        self._draw_all(common, rng)
        for step in genome["steps"]:
            if rng.random() < 0.5:
                self._draw_all(step, rng)
            else:
                self._copy(common, step)
        first = genome["steps"][0]
        self._evaluation.put(first, self._evaluation.draw(first, rng))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """Each decision of each step at the family's rate, one at least."""
        steps = genome["steps"]
        chosen = rng.random((len(steps), len(self.decisions))) < self.rate
        chosen[int(rng.integers(len(steps))), int(rng.integers(len(self.decisions)))] = True
        for step, changes in zip(steps, chosen.tolist(), strict=True):
            for decision, change in zip(self.decisions, changes, strict=True):
                if change:
                    decision.put(step, decision.draw(step, rng))
        if rng.random() < _FIRST_RATE:
            self._mutate_first(steps, rng)

    def vary(self, genome: Genome, rng: Rng) -> None:
        """One decision of one step, or the same of all steps: from one solver to another."""
        steps = genome["steps"]
        decision = self.decisions[int(rng.integers(len(self.decisions)))]
        step = steps[int(rng.integers(len(steps)))]
        value = decision.draw(step, rng)
        for one in steps if rng.random() < _ALL_RATE else [step]:
            decision.put(one, clone({"value": value})["value"])

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Whole steps' choices, each from either parent."""
        for mine, theirs in zip(child["steps"], other["steps"], strict=False):
            if rng.random() < 0.5:
                self._copy(theirs, mine)
                self._evaluation.put(mine, self._evaluation.get(theirs))
        known = {FORMS[name].artifact for name in (*FORMS.own, *self._form.values)}
        measured = {name: one for name, one in other.get("artifacts", {}).items() if name in known}
        if measured:
            child["artifacts"] = {**measured, **child.get("artifacts", {})}

    def repair(self, genome: Genome) -> None:
        artifacts = genome.get("artifacts", {})
        for i, step in enumerate(genome["steps"]):
            form = FORMS.get(self._form.get(step))
            if form is not None and form.artifact and form.artifact not in artifacts:
                self._form.put(step, self._plain_form())
            for decision in self.decisions:
                if not decision.allows(decision.get(step)):
                    decision.put(step, decision.fallback(step))
            first = i == 0 and len(genome["steps"]) > 1
            allowed = first and self._evaluation.allows(self._evaluation.get(step))
            if not allowed:
                step.pop("evaluate", None)
            self._agree(step)

    def encodes(self, genome: Genome) -> bool:
        steps = genome["steps"]
        first = self._evaluation.get(steps[0])
        return (first == "network" or self._evaluation.allows(first)) and all(
            decision.allows(decision.get(step))
            for step in steps
            for decision in self.decisions
            if decision.field not in _WITHOUT_EFFECT or not _plain(step)
        )

    def box(self) -> Sequence[Parameter]:
        """What matters most, one choice for all steps: the last ones may be of the lowest order."""
        return (
            Parameter("order", "int", min(self._order.values), max(self._order.values)),
            Parameter("lower_order_last", "int", 0, 3),
            Parameter("prediction", "choice", choices=self._prediction.values),
            # What a point can be without anything measured.
            Parameter(
                "form",
                "choice",
                choices=tuple(f for f in self._form.values if not FORMS[f].artifact),
            ),
            Parameter("corrector", "choice", choices=self._box_correctors()),
            Parameter("evaluate", "choice", choices=self._evaluation.values),
        )

    def _plain_form(self) -> str:
        """A form that any step can have."""
        return next(
            (name for name in self._form.values if FORMS[name].usual and _has_all_orders(name)),
            "dpmsolver",
        )

    def _box_correctors(self) -> tuple[str, ...]:
        """Implicit ones cost a second evaluation a step: only where they are all there is."""
        cheap = tuple(name for name in self._corrector.values if name != "implicit")
        return cheap if cheap and cheap != ("none",) else self._corrector.values

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        steps = genome["steps"]
        high = max(order for order in self._order.values if order <= int(values["order"]))
        full = len(steps) - int(values["lower_order_last"])
        for i, step in enumerate(steps):
            self._order.put(step, high if i < full else min(self._order.values))
            self._prediction.put(step, str(values["prediction"]))
            self._form.put(step, str(values["form"]))
            self._corrector.put(step, str(values["corrector"]))
        self._evaluation.put(steps[0], str(values["evaluate"]))

    def _draw_all(self, step: StepGenome, rng: Rng) -> None:
        for decision in self.decisions:
            decision.put(step, decision.draw(step, rng))

    def _mutate_first(self, steps: list[StepGenome], rng: Rng) -> None:
        """Redraw what the first step does; half the time at the same cost.

        A step that costs nothing comes before the first one, or goes again.
        """
        was = self._evaluation.get(steps[0])
        now = self._evaluation.draw(steps[0], rng)
        same_cost = self.free_length and rng.random() < 0.5
        if same_cost and was == "network" != now:
            schedule = self.denoiser.schedule
            time = steps[0]["time"] + float(rng.random()) * (schedule.first - steps[0]["time"])
            steps.insert(0, {**clone(steps[0]), "time": schedule.rounded(time)})
            steps[0].pop("log_snr", None)
        elif same_cost and was != "network" == now:
            del steps[0]
        self._evaluation.put(steps[0], now)

    def _copy(self, source: StepGenome, target: StepGenome) -> None:
        for decision in self.decisions:
            decision.put(target, decision.get(source))

    def _agree(self, step: StepGenome) -> None:
        """Drop what a recipe refuses: choices that exclude each other."""
        form = find_form(self._form.get(step))
        if not form.relaxed:
            step.pop("relaxation", None)
        if not form.is_stochastic(self._order.get(step)):
            step.pop("eta", None)
        if not form.restarts:
            step.pop("start_point", None)
        if form.corrector == "none":
            step.pop("corrector", None)
        if step.get("prediction") == "velocity" and "velocity" not in form.predictions:
            step.pop("prediction", None)
        self._lower(step, form.highest)

    def _lower(self, step: StepGenome, most: int) -> None:
        """An order that the form has, or another form where the space has none."""
        if self._order.get(step) <= most:
            return
        below = [order for order in self._order.values if order <= most]
        if below:
            self._order.put(step, max(below))
        else:
            self._form.put(step, self._plain_form())


def _plain(step: StepGenome) -> bool:
    """Whether a step is DDIM whatever its form says."""
    ddim = step.get("order", 1) == 1 and find_form(step.get("form", "dpmsolver")).plain
    return ddim and not step.get("eta") and "corrector" not in step


def _has_all_orders(name: str) -> bool:
    return FORMS[name].highest == HIGHEST_ORDER


def _among(
    kind: str, given: Sequence[Any], odds: Mapping[Any, float], *, empty: bool = False
) -> dict[Any, float]:
    """The odds of what is given."""
    if not given and not empty:
        raise UserError(f"{_WHERE}.{kind}s: the list is empty; leave the key out for all")
    for value in given:
        if value not in odds:
            raise unknown_name(kind, str(value), map(str, odds), where=_WHERE)
    return {value: odds[value] for value in given}
