"""What named solvers and policies are: each step's choices, and what recipes leave out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.diffusion.denoiser import Denoiser

__all__ = ["Choices", "Policy", "RecipeData", "Setting", "Solver", "lowered"]

Choices = dict[str, Any]
# A recipe in the making, as plain data.
RecipeData = dict[str, Any]


@dataclass(frozen=True)
class Solver:
    """A fixed solver.

    Attributes:
        steps: the choices of each of so many steps; a step's time is the grid's.
        order: declared order of convergence of full steps.
        grid: the grid of its publication.
        stochastic: whether it adds noise.
        run: after how many steps its pattern begins again.
        whole_times: see :func:`autosearch.diffusion.grids.grid`.
    """

    summary: str
    steps: Callable[[int], list[Choices]]
    order: int
    grid: str = "linspace-ms"
    start: Literal["unit", "sigma", "scheduler"] = "unit"
    stochastic: bool = False
    run: int = 1
    whole_times: bool = True


@dataclass(frozen=True)
class Setting:
    """One number of a policy: its range, and its value where a name leaves it out."""

    name: str
    default: float
    low: float
    high: float
    whole: bool = True


@dataclass(frozen=True)
class Policy:
    """A fixed rule of what a recipe leaves out.

    Attributes:
        settings: in the order in which a name gives them, with the published values.
        apply: changes a recipe's data for a model, given a value for each setting.
        owns: the fields that it decides; two policies of one recipe must not share any.
        repeated: whether a name may give the last setting as often as it likes; then ``apply``
            gets all that were given.
        path: whether it takes the path of a file instead of settings, as text.
    """

    summary: str
    settings: tuple[Setting, ...]
    apply: Callable[[RecipeData, Denoiser, Sequence[Any]], None]
    owns: str
    repeated: bool = False
    path: bool = False


def lowered(order: int, count: int, *, always: bool = False) -> list[int]:
    """Orders of a multistep solver: growing with the history, falling towards the end.

    The last step is of order 1. Below 15 steps (``always``: at any count) the ones before it
    come down by one each, as diffusers does.
    """
    slope = always or count < _FEW
    orders = []
    for i in range(count):
        left = count - i
        orders.append(min(order, i + 1, left if slope or left == 1 else order))
    return orders


# From this count on, diffusers lowers the last step only.
_FEW = 15
