"""What a named grid is: how its points are made, on which models, where it ends and starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from autosearch.diffusion.schedules import NoiseSchedule, ScheduleFamily
from autosearch.diffusion.settings import Setting

__all__ = ["Grid", "GridPoint", "OwnGrids", "SamplingGrid", "StartInSigma"]

# Time for the network; half log-SNR, log(alpha/sigma), for the solver, or None for the schedule's
# at that time.
GridPoint = tuple[float, float | None]
StartInSigma = Literal["unit", "sigma", "scheduler"]


@dataclass(frozen=True)
class Grid:
    """A grid by name.

    Attributes:
        name: what baselines call it: ``SOLVER-NAME@STEPS``.
        summary: one line for lists of grids.
        families: of the schedules that it is defined for.
        points: of a schedule and a number of steps, followed by a value for each setting: the
            points from noise to clean. It raises :class:`UserError` for a number of steps that the
            grid cannot have.
        source: where it was published, or whose code defines it.
        settings: numbers that a name may give after colons: ``SOLVER-NAME:1.1@STEPS``.
        real: the same as ``points`` with real times, for solvers whose reference does not round
            those of the network where others' do; None: no reference rounds.
        end: the half log-SNR, log(alpha/sigma), at which the last step ends, of a schedule and a
            number of steps; None: the clean end.
        start_in_sigma: see :class:`SamplingGrid`.
        usual: whether a search that names no baselines tries it.
    """

    name: str
    summary: str
    families: tuple[ScheduleFamily, ...]
    points: Callable[..., Sequence[GridPoint]]
    source: str
    settings: tuple[Setting, ...] = ()
    real: Callable[..., Sequence[GridPoint]] | None = None
    end: Callable[[NoiseSchedule, int], float] | None = None
    start_in_sigma: StartInSigma = "sigma"
    usual: bool = False


@dataclass(frozen=True)
class SamplingGrid:
    """A grid with its two ends.

    Attributes:
        points: from noise to clean.
        end: where the last step ends: the clean end, or a half log-SNR, log(alpha/sigma).
        start_in_sigma: the scale of the initial noise of solvers in sigma, such as Euler's, see
            :class:`autosearch.recipe.Start`; others start as they always do.
    """

    points: tuple[GridPoint, ...]
    end: float | Literal["clean"]
    start_in_sigma: StartInSigma


class OwnGrids(Protocol):
    """The grids that a model's own scheduler makes."""

    def __call__(self, scheduler: str, steps: int) -> SamplingGrid:
        """The grid of so many steps.

        Args:
            scheduler: the class of diffusers that runs the solver.
            steps: how many.

        Raises:
            UserError: for a number of steps that it cannot have.
        """
        ...
