"""Which scheduler of stock diffusers takes a recipe's times and steps as they are, if any does.

A scheduler is asked for the recipe that it would run at those times; it will do when that compiles
to the same steps.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.schedules import get_schedule
from autosearch.errors import UserError
from autosearch.export.apply.replay_denoiser import solver_plan
from autosearch.recipe import Recipe, round_float

__all__ = ["StockSolver", "stock_solver"]

# Below so many steps, diffusers' multistep solvers lower the order of the last ones.
_FEW = 15
_MULTISTEP = "DPMSolverMultistepScheduler"


@dataclass(frozen=True)
class StockSolver:
    """A scheduler with its settings, and what it is handed."""

    scheduler: str
    settings: Mapping[str, Any]
    argument: Literal["timesteps", "sigmas"]
    values: Sequence[float]


def stock_solver(recipe: Recipe, *, scales_start: bool) -> StockSolver | str:
    """Find the scheduler that runs a recipe, or say why there is none.

    Args:
        recipe: the recipe.
        scales_start: whether the pipeline scales its first noise as the scheduler asks; without
            that, schedulers that work in sigma do not fit.
    """
    plan = solver_plan(recipe)
    reason = _beyond_all(recipe, plan)
    if reason:
        return reason
    flow = recipe.model.family == "flow"
    times = [step.time for step in plan.steps]
    whole = all(float(time).is_integer() for time in times)
    for scheduler, settings, choices in _candidates(len(times), flow=flow):
        if scheduler == _MULTISTEP and not whole:
            continue
        if scheduler == "EulerDiscreteScheduler" and not scales_start:
            continue
        if _steps(recipe, choices) == plan.steps:
            if scheduler == _MULTISTEP:
                return StockSolver(scheduler, settings, "timesteps", [int(time) for time in times])
            return StockSolver(scheduler, settings, "sigmas", _sigmas(recipe, times))
    return _no_scheduler(plan, whole=whole, flow=flow)


def _beyond_all(recipe: Recipe, plan: Plan) -> str | None:
    """What no stock scheduler does at all."""
    schedule = get_schedule(recipe.model.family, recipe.model.schedule)
    if any(step.evaluate != "network" for step in plan.steps):
        return "no stock scheduler begins with an analytic step"
    if plan.stochastic:
        return "no stock scheduler adds this noise at times of one's own"
    if plan.start_scale != 1.0 or recipe.end != "clean":
        return "stock schedulers choose the scale of the start and the end themselves"
    if any(step.clip is not None for step in plan.steps):
        return "clipping by step is not a scheduler's setting"
    levels = [(step.log_snr, schedule.log_snr(step.time)) for step in plan.steps]
    if any(level != own for level, own in levels if math.isfinite(own)):
        return "the solver's noise levels stand apart from the times that the network is given"
    return None


# A scheduler, its settings, and what each step of a recipe chooses that means the same.
_Candidate = tuple[str, Mapping[str, Any], Sequence[Mapping[str, Any]]]


def _candidates(count: int, *, flow: bool) -> Iterator[_Candidate]:
    """For flows Euler; for discrete schedules Euler at any times, DPM-Solver++ at whole ones."""
    plain: list[Mapping[str, Any]] = [{}] * count
    if flow:
        settings: dict[str, Any] = {"shift": 1.0, "use_dynamic_shifting": False}
        yield "FlowMatchEulerDiscreteScheduler", settings, plain
        return
    # This spacing makes the start the marginal's, whatever the sigmas are.
    settings = {"timestep_spacing": "leading", "use_karras_sigmas": False}
    yield "EulerDiscreteScheduler", settings, plain
    for order in (1, 2, 3):
        for kind, form in (("midpoint", "dpmsolver"), ("heun", "taylor")):
            for lowers in (True, False):
                settings = {
                    "algorithm_type": "dpmsolver++",
                    "solver_order": order,
                    "solver_type": kind,
                    "lower_order_final": lowers,
                    "euler_at_final": False,
                    "final_sigmas_type": "zero",
                    "use_karras_sigmas": False,
                    "thresholding": False,
                    "variance_type": None,
                }
                # Its two types differ at order 2 only.
                choices = [
                    {"order": used, "form": "dpmsolver" if used == 3 else form}
                    for used in _orders(count, order, lowers=lowers)
                ]
                yield _MULTISTEP, settings, choices


def _orders(count: int, order: int, *, lowers: bool) -> list[int]:
    """Orders that DPM-Solver++ really takes when it ends at a sigma of 0."""
    orders = []
    for i in range(count):
        used = min(order, i + 1)
        if i == count - 1:
            used = 1
        elif i == count - 2 and lowers and count < _FEW:
            used = min(used, 2)
        orders.append(used)
    return orders


def _steps(recipe: Recipe, choices: Sequence[Mapping[str, Any]]) -> Any:
    """The steps of a recipe with the same times and these choices."""
    data = recipe.to_dict()
    steps = [
        {"time": step["time"], **chosen}
        for step, chosen in zip(data["steps"], choices, strict=True)
    ]
    kept = {key: data[key] for key in ("version", "model")}
    try:
        return solver_plan(Recipe.from_dict({**kept, "steps": steps})).steps
    except UserError:
        return None


def _sigmas(recipe: Recipe, times: Sequence[float]) -> list[float]:
    schedule = get_schedule(recipe.model.family, recipe.model.schedule)
    if schedule.family == "flow":
        return list(times)
    # Euler wants the closing 0; without it, it stops one step early.
    return [*(round_float(schedule.edm_sigma(time)) for time in times), 0.0]


def _no_scheduler(plan: Plan, *, whole: bool, flow: bool) -> str:
    first = all(step.order == 1 and step.corrector is None for step in plan.steps)
    if flow:
        return "stock flow schedulers of higher order take no times of one's own"
    if not whole and first:
        return "this pipeline needs a scheduler whose times are whole numbers"
    if not whole:
        return "stock schedulers of higher order take whole numbers as times only"
    return "no stock scheduler has these orders, forms and correctors step by step"
