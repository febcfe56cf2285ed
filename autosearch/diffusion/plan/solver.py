"""Solver choices of a recipe, with published names resolved and inert choices removed.

    form          what it stands for, at the order that the history allows
    taylor        the exact expansion; with a relaxation, if given
    dpmsolver     order 2: taylor relaxed by unipc_bh2. Order 3, multistep: as published, with
                  half the second derivative, which makes it of second order. Order 3 from 3
                  points back or more (singlestep): one difference, between its ends
    unipc_bh1/2   order 2: taylor relaxed by its name. Above: taylor, where B(h) cancels
    deis          noise prediction in taylor form: polynomials in the log of sigma/alpha
    deis_t, _rho  noise prediction, polynomials in time or in sigma/alpha, through all the points
                  of the first derivative

At order 1 all of these are DDIM, except from a state that a pseudo corrector moved after its
evaluation, or whose evaluation was compensated: there data and noise are not that state's, and the
prediction decides. Forms of another kind differ from DDIM at order 1 too:

    v3            the model's statistics take the place of the prediction
    evodiff       looks at the newest evaluation and the one before, and is DDIM without; its
                  corrector is its own second look
    linear        weights of the first state and of all evaluations, whatever the order says

One form more integrates noise less data: ``velocity``, polynomials in the time of flows through all
the points of the first derivative, Adams' methods and the trapezoidal rule there.

Pure noise, a half log-SNR of minus infinity, is a point like others: a state to start from and
history for later steps. Where levels enter the coefficients it has a large finite one, as in
diffusers (:attr:`autosearch.diffusion.schedules.NoiseSchedule.pure_noise`). A step above order 1
starts there, or next to there, only where its coefficients stay bounded as that level goes to minus
infinity. They do in data prediction for the expansion and for ``unipc_bh2``; they grow without
bound in noise prediction, for the polynomials of DEIS and for ``unipc_bh1``, and such steps start
from the newest state instead; those of ``v3`` are those of the expansion there. ``evodiff`` does
not look there at all.

Correctors follow the unified sampling framework (Liu et al. 2024) and, in the UniPC forms, UniC
(Zhao et al. 2023): one order more, no relaxation but bh1 and bh2. On stochastic steps they take
the expansion in place of deis_t and deis_rho. Where the framework's released code deviates from
its paper, we do as the paper says: an implicit corrector does evaluate again, and the data and
noise of an analytic first step agree.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from autosearch.diffusion.plan.compensation import is_compensated
from autosearch.diffusion.solvers import FIRST_ORDER, Corrector, Update
from autosearch.errors import UserError
from autosearch.recipe import CorrectorStep, Relaxation, Step, round_float

__all__ = ["compile_updates", "looks_back_at_start"]

Points = tuple[tuple[int, ...], ...]
# A corrector in these forms keeps the form; in the others it is the plain expansion.
_CORRECTOR_FORMS = ("unipc_bh1", "unipc_bh2", "deis", "deis_t", "deis_rho", "v3", "velocity")
# One polynomial through all points, without a stochastic version.
_POLYNOMIALS = ("deis_t", "deis_rho", "velocity")
# Made for levels far from it.
_WITHOUT_PURE_NOISE = ("evodiff",)
# Up to this half log-SNR a state counts as pure noise: sigma/alpha, with which steps of noise
# prediction magnify, is 60,000 and more, and single precision has nothing left.
_PURE_NOISE = -11.0
# Factors on the first derivative that grow with the length of the step.
_GROWING = ("unipc_bh1", "linear")
# From so far back a dpmsolver step of order 3 is the singlestep one.
_SINGLESTEP = -3


@dataclass(frozen=True)
class _Choice:
    """The choices that a predictor and a corrector share."""

    order: int
    prediction: Literal["noise", "data"]
    form: str
    start: int
    points: Sequence[Sequence[int]] | None
    relaxation: Relaxation | None


def compile_updates(
    steps: Sequence[Step], log_snrs: Sequence[float]
) -> list[tuple[Update, Corrector | None]]:
    """Predictor and corrector of each step.

    Args:
        steps: those of a recipe.
        log_snrs: half log-SNR at the start of each step and at the end of the last; may be infinite
            at the ends of the list. A step to an infinite half log-SNR, or a last one to its own,
            is of order 1. Of levels that stand there twice, the newest evaluation counts.

    Raises:
        UserError: for weights that are not as many as the evaluations so far and one, or a step
            that ends at the level it starts from, but for a last one.
    """
    result: list[tuple[Update, Corrector | None]] = []
    for i, step in enumerate(steps):
        past, end = log_snrs[: i + 1], log_snrs[i + 1]
        last = i == len(steps) - 1
        if last and end == past[-1] and step.start_point == -1:  # it stays there
            result.append((FIRST_ORDER, None))
            continue
        choice = _Choice(
            step.order, step.prediction, step.form, step.start_point, step.points, step.relaxation
        )
        history = {-k: value for k, value in enumerate(reversed(past), start=1)}
        # The points that have a state other than the one that was evaluated.
        moved = {j - i for j, (_, one) in enumerate(result) if one and one.kind == "pseudo"}
        moved |= {j - i - 1 for j in range(i + 1) if is_compensated(steps, j)}
        decisive = set(history) if step.eta > 0 else moved
        if step.weights is None:
            update = _resolve(choice, history, end, decisive)
            if not history[update.start] < end:
                raise UserError(
                    f"recipe: steps[{i}] at time {step.time:g} goes nowhere, as the next step is "
                    "there too; let it start further back (start_point -2), or drop it"
                )
        else:
            update = _linear(i, step.weights, step.prediction)
        result.append((update, None if last else _corrector(step, update, history, end)))
    return _without_idle(result, log_snrs[1:])


def _without_idle(
    updates: Sequence[tuple[Update, Corrector | None]], ends: Sequence[float]
) -> list[tuple[Update, Corrector | None]]:
    """Drop pseudo correctors of states that no step starts from.

    All that follow restart, or the next one goes to clean data, where nothing is left of the state.
    """
    starts = {k + update.start for k, (update, _) in enumerate(updates) if math.isfinite(ends[k])}
    result: list[tuple[Update, Corrector | None]] = []
    for k, (update, corrector) in reversed(list(enumerate(updates))):
        used = corrector if corrector and (corrector.kind == "implicit" or k in starts) else None
        if used is not None:
            starts.add(k + used.update.start)
        result.append((update, used))
    return result[::-1]


def _corrector(
    step: Step, update: Update, history: Mapping[int, float], end: float
) -> Corrector | None:
    if step.corrector == "none" or math.isinf(end):
        return None
    if step.form == "evodiff":
        kind = step.corrector if isinstance(step.corrector, str) else step.corrector.kind
        second = Update(3, "data", "evodiff", -1, ((-2, 0),))
        return Corrector(kind, second) if update.order == 2 else None
    given = (
        CorrectorStep(kind=step.corrector) if isinstance(step.corrector, str) else step.corrector
    )
    form = given.form or (step.form if step.form in _CORRECTOR_FORMS else "taylor")
    if step.eta > 0 and form in _POLYNOMIALS:
        form = "taylor"
    points = given.points
    if points is None and step.points is not None:
        points = [[*chosen, 0] for chosen in step.points]
    choice = _Choice(
        given.order or update.order + 1,
        given.prediction or step.prediction,
        form,
        given.start_point or step.start_point,
        points,
        given.relaxation,
    )
    resolved = _resolve(choice, {**history, 0: end}, end)
    # One that starts where it ends has nothing to look at.
    useful = resolved.order > 1 and history[resolved.start] < end
    return Corrector(given.kind, resolved) if useful else None


def _linear(i: int, weights: Sequence[float], prediction: Literal["noise", "data"]) -> Update:
    if len(weights) != i + 2:
        raise UserError(
            f"recipe: steps[{i}].weights has {len(weights)} numbers; there are {i + 2} to weigh: "
            "the first state and every evaluation so far"
        )
    others = tuple(range(-i, 0))
    rounded = tuple(map(round_float, weights))
    return Update(i + 1, prediction, "linear", -i - 1, (others,) * bool(i), weights=rounded)


def looks_back_at_start(updates: Sequence[tuple[Update, Corrector | None]]) -> bool:
    """Whether the level of the first evaluation enters the coefficients of some step.

    It does not in DDIM from there, where pure noise is exact, nor with weights that are given, nor
    in the time of flows. With the model's statistics order 1 is not DDIM.
    """
    return any(
        (each.order > 1 or each.form == "v3")
        and each.form not in ("linear", "velocity")
        and -i - 1 in each.used
        for i, (update, corrector) in enumerate(updates)
        for each in (update, *([corrector.update] if corrector else []))
    )


def _resolve(
    choice: _Choice, history: Mapping[int, float], end: float, decisive: Collection[int] = ()
) -> Update:
    """The canonical form of what can be done with the evaluations so far.

    ``decisive``: the start points from which the prediction decides even at order 1.
    """
    if math.isinf(end):
        return FIRST_ORDER
    before = {index for index, value in history.items() if value < end}
    known = history
    if choice.form in _WITHOUT_PURE_NOISE:
        known = {index: value for index, value in history.items() if value > _PURE_NOISE}
    for start in (choice.start, -1):
        if start in known and start in before:
            update = _from_start(choice, known, start, decisive)
            if known[start] > _PURE_NOISE or _is_bounded(update):
                return update
    return Update(start=choice.start) if choice.start in before else FIRST_ORDER


def _is_bounded(update: Update) -> bool:
    """Whether the coefficients stay bounded as the start goes to pure noise."""
    if update.prediction == "data" and update.form in ("taylor", "v3"):
        return update.relaxation is None or update.relaxation[0] not in _GROWING
    return update.prediction == "velocity"


def _from_start(
    choice: _Choice, history: Mapping[int, float], start: int, decisive: Collection[int]
) -> Update:
    others = _others(history, start)
    points = _points(choice, others, start)
    if choice.form == "v3":
        return Update(len(points) + 1, "data", choice.form, start, points)
    if choice.form == "evodiff":  # the one before, whatever the order
        full = Update(min(choice.order, 2), "data", choice.form, start, ((-2,),))
        return full if -2 in others else FIRST_ORDER
    if points:
        return _above_first(choice, points, start)
    prediction = _prediction(choice)
    if start not in decisive or prediction == "data":
        return Update(start=start)
    form = "velocity" if prediction == "velocity" else "taylor"
    return Update(prediction=prediction, form=form, start=start)


def _above_first(choice: _Choice, points: Points, start: int) -> Update:
    """The update of order 2 and more through some points."""
    order, prediction = len(points) + 1, _prediction(choice)
    if choice.form in _POLYNOMIALS:
        return Update(len(points[0]) + 1, prediction, choice.form, start, points[:1])
    if choice.form == "dpmsolver" and order == 3:
        singlestep = start <= _SINGLESTEP and choice.points is None
        whole = Update(order, prediction, "dpmsolver", start, points)
        return Update(2, prediction, "taylor", start, ((-1,),)) if singlestep else whole
    relaxation = _relaxation(choice, order)
    return Update(order, prediction, "taylor", start, points, relaxation)


def _prediction(choice: _Choice) -> Literal["noise", "data", "velocity"]:
    if choice.form == "velocity":
        return "velocity"
    return "noise" if choice.form.startswith("deis") else choice.prediction


def _others(history: Mapping[int, float], start: int) -> set[int]:
    """The evaluations besides the start's own, one for each level: the newest."""
    levels, kept = {history[start]}, set()
    for index in sorted(history, reverse=True):
        if index != start and history[index] not in levels:
            levels.add(history[index])
            kept.add(index)
    return kept


def _points(choice: _Choice, others: set[int], start: int) -> Points:
    """For each derivative the points that estimate it; as many derivatives as can be."""
    nearest = sorted(i for i in others if i > start) + sorted(
        (i for i in others if i < start), reverse=True
    )
    if 0 in others:  # a corrector's new evaluation comes first
        nearest = [0] + [i for i in nearest if i != 0]
    order = min(choice.order, len(nearest) + 1)
    given = choice.points or ()
    points: list[tuple[int, ...]] = []
    for i in range(1, order):
        explicit = given[i - 1] if i <= len(given) else nearest[: order - 1]
        chosen = tuple(sorted(set(explicit) & others))
        if len(chosen) < i:
            break
        points.append(chosen)
    return tuple(points)


def _relaxation(choice: _Choice, order: int) -> tuple[str, float] | None:
    if choice.form == "dpmsolver":
        return ("unipc_bh2", 0.0)
    if choice.form in ("unipc_bh1", "unipc_bh2"):
        return (choice.form, 0.0) if order == 2 else None
    if choice.relaxation is None:
        return None
    kind, coefficient = choice.relaxation.kind, choice.relaxation.coefficient
    return (kind, coefficient) if coefficient or kind.startswith("unipc") else None
