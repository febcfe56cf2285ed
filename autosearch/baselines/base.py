"""What named solvers and policies are: each step's choices, and what recipes leave out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.diffusion.settings import Setting

__all__ = ["Choices", "Policy", "RecipeData", "Rule", "Setting", "Solver"]

Choices = dict[str, Any]
# A recipe in the making, as plain data.
RecipeData = dict[str, Any]


@dataclass(frozen=True)
class Solver:
    """A fixed solver.

    Attributes:
        summary: one line for lists of solvers.
        steps: the choices of each of so many steps; a step's time is the grid's.
        order: declared order of convergence of full steps.
        grid: the grid of its publication.
        scheduler: the class of diffusers that runs it, or the nearest one; a model that came with
            a scheduler has the grid that this class makes of its configuration.
        start: the scale of the initial noise, see :class:`autosearch.recipe.Start`.
        stochastic: whether it adds noise.
        run: after how many steps its pattern begins again.
        whole_times: see :func:`autosearch.diffusion.grids.grid`.
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
