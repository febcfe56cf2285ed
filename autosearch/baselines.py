"""Named recipes of the literature: ``SOLVER[-GRID]@STEPS``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.grids import grid, grids_for
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError, unknown_name
from autosearch.plan import model_key
from autosearch.recipe import Recipe

__all__ = ["SOLVERS", "Solver", "baseline", "baseline_names", "split_name"]


@dataclass(frozen=True)
class Solver:
    """A fixed solver: its order on all steps that allow it, and the grid of its publication.

    Attributes:
        whole_times: see :func:`autosearch.diffusion.grids.grid`.
    """

    summary: str
    order: int
    grid: str
    prediction: Literal["noise", "data"] = "data"
    form: str = "dpmsolver"
    start: Literal["unit", "sigma", "scheduler"] = "unit"
    eta: float = 0.0
    lower_order_final: bool = True
    whole_times: bool = True


SOLVERS: dict[str, Solver] = {
    "ddim": Solver("DDIM (Song et al. 2021), no clipping", 1, "leading"),
    "ddpm": Solver("DDIM with eta 1: ancestral sampling", 1, "leading", eta=1.0),
    "euler": Solver(
        "Euler in sigma (Karras et al. 2022)", 1, "linspace", start="sigma", whole_times=False
    ),
    "dpmpp_2m": Solver("DPM-Solver++(2M) (Lu et al. 2022b)", 2, "linspace-ms"),
    "dpm_2m": Solver("DPM-Solver-2M in noise prediction", 2, "linspace-ms", "noise"),
    "taylor_2m": Solver("the exact second-order multistep form", 2, "linspace-ms", form="taylor"),
}

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
    steps = []
    for i, (time, log_snr) in enumerate(points):
        last = i == count - 1 and solver.lower_order_final
        order = 1 if last else min(solver.order, i + 1)
        step: dict[str, Any] = {"time": time, "log_snr": log_snr, "order": order, "eta": solver.eta}
        if order > 1:
            step |= {"prediction": solver.prediction, "form": solver.form}
        steps.append(step)
    return Recipe.from_dict(
        {
            "version": 1,
            "model": model_key(denoiser).model_dump(),
            "start": {"scale": _start_scale(solver, grid_name, schedule)},
            "steps": steps,
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
