"""Named recipes of the literature: ``SOLVER[-GRID]@STEPS``."""

import re
from collections.abc import Sequence
from typing import Literal

from autosearch.baselines.base import Solver
from autosearch.baselines.zoo import SOLVERS
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.grids import grid, grid_end, grids_for
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError, unknown_name
from autosearch.plan import model_key
from autosearch.recipe import Recipe

__all__ = ["baseline", "baseline_names", "split_name"]


# Where a solver's own grid belongs to another family of models.
_DEFAULT_GRID = {"edm": "edm", "flow": "flow"}
_NAME = re.compile(r"(?P<solver>[a-z0-9_]+)(?:-(?P<grid>[a-z-]+))?@(?P<steps>-?[0-9]{1,9})")


def split_name(name: str) -> tuple[str, str | None, int]:
    """Solver, grid (None for its own) and steps of ``SOLVER[-GRID]@STEPS``."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"baseline {name!r}: write SOLVER[-GRID]@STEPS, such as ddim-trailing@5")
    solver, steps = match["solver"], int(match["steps"])
    if solver not in SOLVERS:
        raise unknown_name("baseline solver", solver, SOLVERS)
    if steps < 1:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at least 1")
    if steps > 1000:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at most 1000")
    return solver, match["grid"], steps


def baseline(name: str, denoiser: Denoiser) -> Recipe:
    """The recipe of a baseline on a model.

    Raises:
        UserError: for unknown names, impossible step counts and grids of another family.
    """
    solver_name, grid_name, count = split_name(name)
    solver = SOLVERS[solver_name]
    schedule = denoiser.schedule
    grid_name = grid_name or _own_grid(solver, schedule)
    points = grid(grid_name, schedule, count, whole=solver.whole_times)
    steps = [
        {"time": time, "log_snr": log_snr, **choices}
        for (time, log_snr), choices in zip(points, solver.steps(count), strict=True)
    ]
    return Recipe.from_dict(
        {
            "version": 1,
            "model": model_key(denoiser).model_dump(),
            "start": {"scale": _start_scale(solver, grid_name, schedule)},
            "steps": steps,
            "end": grid_end(grid_name, schedule, count),
        },
        where=f"baseline {name}",
    )


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
