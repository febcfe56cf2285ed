"""Named recipes of the literature: ``SOLVER[-GRID][+POLICY...]@STEPS``."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from autosearch.baselines.base import Solver
from autosearch.baselines.rules import apply_policies
from autosearch.baselines.solvers import SOLVERS
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.grids import grid, grid_end, grids_for
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Recipe

__all__ = ["BaselineName", "baseline", "baseline_names", "split_name"]


# Where a solver's own grid belongs to another family of models.
_DEFAULT_GRID = {"edm": "edm", "flow": "flow"}
_NAME = re.compile(
    r"(?P<solver>[a-z0-9_]+)(?:-(?P<grid>[a-z-]+))?"
    r"(?P<policies>(?:\+[^+@]*)*)@(?P<steps>-?[0-9]{1,9})"
)


class BaselineName(NamedTuple):
    """The parts of a name; ``grid`` is None for the solver's own."""

    solver: str
    grid: str | None
    steps: int
    policies: tuple[str, ...] = ()


def split_name(name: str) -> BaselineName:
    """The parts of ``SOLVER[-GRID][+POLICY...]@STEPS``."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(
            f"baseline {name!r}: write SOLVER[-GRID]@STEPS, such as ddim-trailing@5, or with a "
            "policy, such as ddim+fora:3@20"
        )
    solver, steps = match["solver"], int(match["steps"])
    if solver not in SOLVERS:
        raise unknown_name("baseline solver", solver, SOLVERS)
    if steps < 1:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at least 1")
    if steps > 1000:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at most 1000")
    return BaselineName(solver, match["grid"], steps, tuple(match["policies"].split("+")[1:]))


def baseline(name: str, denoiser: Denoiser) -> Recipe:
    """The recipe of a baseline on a model.

    Raises:
        UserError: for unknown names, impossible step counts, grids of another family, and policies
            whose settings are wrong or that the model has no sites for.
    """
    parts = split_name(name)
    solver, count = SOLVERS[parts.solver], parts.steps
    schedule = denoiser.schedule
    grid_name = parts.grid or _own_grid(solver, schedule)
    points = grid(grid_name, schedule, count, whole=solver.whole_times)
    scale = denoiser.guidance_scale
    guided = {} if scale is None else {"guidance": {"rule": "cfg", "scale": scale}}
    steps = [
        {"time": time, "log_snr": log_snr, **guided, **choices}
        for (time, log_snr), choices in zip(points, solver.steps(count), strict=True)
    ]
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "start": {"scale": _start_scale(solver, grid_name, schedule)},
        "steps": steps,
        "end": grid_end(grid_name, schedule, count),
    }
    apply_policies(data, parts.policies, denoiser, where=f"baseline {name!r}")
    return Recipe.from_dict(data, where=f"baseline {name}")


def baseline_names(
    schedule: NoiseSchedule, *, solvers: Sequence[str] = tuple(SOLVERS)
) -> list[str]:
    """Every ``SOLVER[-GRID]`` of a schedule; a solver's own grid is left out of its name."""
    names = []
    for solver in solvers:
        own = _own_grid(SOLVERS[solver], schedule)
        names.append(solver)
        names += [f"{solver}-{name}" for name in grids_for(schedule) if name != own]
    return names


def _start_scale(
    solver: Solver, grid_name: str, schedule: NoiseSchedule
) -> Literal["unit", "sigma", "scheduler"]:
    # Diffusers starts EDM models from the marginal, and so does its Euler on leading grids,
    # which do not reach the noisiest time.
    leading = solver.start == "sigma" and grid_name.startswith("leading")
    return "scheduler" if leading or schedule.family == "edm" else solver.start


def _own_grid(solver: Solver, schedule: NoiseSchedule) -> str:
    return _DEFAULT_GRID.get(schedule.family, solver.grid)
