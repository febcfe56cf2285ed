"""What named solvers and policies are: each step's choices, and what recipes leave out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from autosearch.diffusion.grids import GridPoint, SamplingGrid
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["Choices", "Layout", "Policy", "RecipeData", "Rule", "Setting", "Solver"]

Choices = dict[str, Any]
# A recipe in the making, as plain data.
RecipeData = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """A solver's steps laid out on a model's grid.

    Attributes:
        schedule: the model's.
        points: where each step starts: the network's time and the half log-SNR,
            log(alpha/sigma), None for the schedule's at that time.
        end: where the last step ends: the clean end, or a half log-SNR.
        choices: of each step.
    """

    schedule: NoiseSchedule
    points: tuple[GridPoint, ...]
    end: float | Literal["clean"]
    choices: tuple[Choices, ...]

    @property
    def log_snrs(self) -> list[float]:
        """Half log-SNR at the start of each step and at the end of the last; may be infinite."""
        starts = [
            self.schedule.log_snr(time) if log_snr is None else log_snr
            for time, log_snr in self.points
        ]
        return [*starts, math.inf if self.end == "clean" else float(self.end)]

    def with_choices(self, choices: Sequence[Choices]) -> "Layout":
        """The same points with other choices, one for each."""
        return replace(self, choices=tuple(choices))


@dataclass(frozen=True)
class Solver:
    """A fixed solver.

    Attributes:
        summary: one line for lists of solvers.
        steps: the choices of each of so many steps; a step's time is the grid's.
        order: declared order of convergence of full steps; 0 of a solver that more steps do not
            take to the truth.
        grid: the grid of its publication.
        scheduler: the class of diffusers that runs it, or the nearest one; a model that came with
            a scheduler has the grid that this class makes of its configuration.
        start: the scale of the initial noise, see :class:`autosearch.recipe.Start`.
        stochastic: whether it adds noise.
        run: after how many steps its pattern begins again.
        whole_times: see :func:`autosearch.diffusion.grids.grid`.
        own_points: the points of a solver that is made for times of its own, by the model's
            schedule and the number of steps; it takes no other grid.
        adapt: changes the layout of the steps where they depend on the model's schedule or on the
            levels of the points; it may add points.
        usual: whether it is a baseline of every search unless told otherwise.
    """

    summary: str
    steps: Callable[[int], list[Choices]]
    order: int
    grid: str = "linspace-ms"
    scheduler: str = "DPMSolverMultistepScheduler"
    start: Literal["unit", "sigma", "scheduler"] = "unit"
    stochastic: bool = False
    run: int = 1
    whole_times: bool = True
    own_points: Callable[[NoiseSchedule, int], SamplingGrid] | None = None
    adapt: Callable[[Layout], Layout] | None = None
    usual: bool = True

    def lay_out(
        self,
        schedule: NoiseSchedule,
        points: Sequence[GridPoint],
        end: float | Literal["clean"] = "clean",
    ) -> Layout:
        """The solver's steps from each of some points to the next, and to the end.

        Args:
            schedule: the model's.
            points: time and half log-SNR of each, from noise to clean.
            end: where the last step ends.
        """
        layout = Layout(schedule, tuple(points), end, tuple(self.steps(len(points))))
        return layout if self.adapt is None else self.adapt(layout)


@dataclass(frozen=True)
class Rule:
    """What a baseline's name may add to a solver: ``NAME[:SETTING...]``.

    Attributes:
        summary: one line for lists of rules.
        settings: in the order in which a name gives them, with the published values.
        apply: a function whose last positional arguments are a value for each setting.
        owns: the fields that it decides; two rules of one recipe must not share any.
        repeated: whether a name may give the last setting as often as it likes; then ``apply``
            gets all that were given.
        path: whether it takes the path of a file instead of settings, as text.
    """

    summary: str
    settings: tuple[Setting, ...]
    apply: Callable[..., Any]
    owns: str
    repeated: bool = False
    path: bool = False


@dataclass(frozen=True)
class Policy(Rule):
    """A fixed rule of what a recipe leaves out.

    ``apply(data, denoiser, *values)`` changes a recipe's data for a model in place.
    """

    apply: Callable[..., None]
