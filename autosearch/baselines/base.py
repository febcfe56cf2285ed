"""What a named solver is: the choices of each step at any number of steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Choices", "Solver", "lowered"]

Choices = dict[str, Any]


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
