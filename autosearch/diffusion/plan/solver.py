"""Predictor and corrector of each step, with published names resolved and inert choices removed.

What a form stands for is said where it is defined (:mod:`autosearch.diffusion.solvers.forms`). At
order 1 nearly all are DDIM, except from a state that a pseudo corrector moved after its evaluation,
or whose evaluation was compensated: there data and noise are not that state's, and the prediction
decides.

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
the expansion in place of forms that have no stochastic version. Where the framework's released code
deviates from its paper, we do as the paper says: an implicit corrector does evaluate again, and the
data and noise of an analytic first step agree.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from autosearch.diffusion.plan.compensation import is_compensated
from autosearch.diffusion.solvers import FIRST_ORDER, Choice, Corrector, Form, Update, find_form
from autosearch.errors import UserError
from autosearch.recipe import CorrectorStep, Step

__all__ = ["compile_updates", "looks_back_at_start"]


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
        if last and end == past[-1] and step.start_point in (None, -1):  # it stays there
            result.append((FIRST_ORDER, None))
            continue
        form = find_form(step.form)
        history = {-k: value for k, value in enumerate(reversed(past), start=1)}
        # The points that have a state other than the one that was evaluated.
        moved = {j - i for j, (_, one) in enumerate(result) if one and one.kind == "pseudo"}
        moved |= {j - i - 1 for j in range(i + 1) if is_compensated(steps, j)}
        decisive = set(history) if step.eta > 0 else moved
        update = _resolved(form, step, history, end, decisive, where=f"recipe: steps[{i}]")
        if not form.weighted and not history[update.start] < end:
            raise UserError(
                f"recipe: steps[{i}] at time {step.time:g} goes nowhere, as the next step is "
                "there too; let it start further back (start_point -2), or drop it"
            )
        result.append((update, None if last else _corrector(form, step, update, history, end)))
    return _without_idle(result, log_snrs[1:])


def _without_idle(
    updates: Sequence[tuple[Update, Corrector | None]], ends: Sequence[float]
) -> list[tuple[Update, Corrector | None]]:
    """Drop pseudo correctors of states that no step starts from.

    All that follow restart, or the next one goes to clean data, where nothing is left of the state.
    """
    starts = {
        k + update.start
        for k, (update, _) in enumerate(updates)
        if math.isfinite(ends[k]) or update != FIRST_ORDER
    }
    result: list[tuple[Update, Corrector | None]] = []
    for k, (update, corrector) in reversed(list(enumerate(updates))):
        used = corrector if corrector and (corrector.kind == "implicit" or k in starts) else None
        if used is not None:
            starts.add(k + used.update.start)
        result.append((update, used))
    return result[::-1]


def _resolved(
    form: Form,
    step: Step,
    history: Mapping[int, float],
    end: float,
    decisive: Collection[int],
    *,
    where: str,
) -> Update:
    try:
        return form.resolve(step.choice, history, end, decisive)
    except ValueError as error:
        raise UserError(f"{where}.{error}") from None


def _corrector(
    form: Form, step: Step, update: Update, history: Mapping[int, float], end: float
) -> Corrector | None:
    if step.corrector == "none" or math.isinf(end):
        return None
    given = (
        CorrectorStep(kind=step.corrector) if isinstance(step.corrector, str) else step.corrector
    )
    if form.corrector == "own":
        return form.second_look(given.kind, update)
    own = find_form(given.form or (step.form if form.corrects else "taylor"))
    if step.eta > 0 and own.stochastic != "all":
        own = find_form("taylor")
    points = given.points
    if points is None and step.points is not None:
        points = [[*chosen, 0] for chosen in step.points]
    choice = Choice(
        given.order or update.order + 1,
        given.prediction or step.prediction,
        given.start_point or step.start_point,
        points,
        None if given.relaxation is None else given.relaxation.plain,
    )
    resolved = own.resolve(choice, {**history, 0: end}, end)
    # One that starts where it ends has nothing to look at.
    useful = resolved.order > 1 and history[resolved.start] < end
    return Corrector(given.kind, resolved) if useful else None


def looks_back_at_start(updates: Sequence[tuple[Update, Corrector | None]]) -> bool:
    """Whether the level of the first evaluation enters the coefficients of some step.

    It does not in DDIM from there, where pure noise is exact, nor with weights that are given, nor
    in the time of flows. With the model's statistics order 1 is not DDIM.
    """
    return any(
        (each.order > 1 or not find_form(each.form).plain)
        and not find_form(each.form).takes_pure_noise(each)
        and -i - 1 in each.used
        for i, (update, corrector) in enumerate(updates)
        for each in (update, *([corrector.update] if corrector else []))
    )
