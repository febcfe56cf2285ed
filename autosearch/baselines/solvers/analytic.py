"""Solvers whose first step does not ask the network (Dockhorn et al. 2022; Liu et al. 2024).

At the noisiest time the data's prediction is nearly their mean, so K steps cost K - 1 evaluations.
"""

import functools

from autosearch.baselines.base import Choices, Solver
from autosearch.baselines.solvers.first_order import SOLVERS as FIRST_ORDER
from autosearch.baselines.solvers.multistep import SOLVERS as MULTISTEP

__all__ = ["SOLVERS"]


def _analytic(count: int, *, solver: Solver, data: str) -> list[Choices]:
    first, *rest = solver.steps(count)
    return [{**first, "evaluate": data}, *rest] if rest else [first]


def _made(name: str, solver: Solver, data: str) -> Solver:
    steps = functools.partial(_analytic, solver=solver, data=data)
    taken = {"zero_x0": "0", "average_x0": "their mean"}[data]
    return Solver(f"{name}, the first step taking the data to be {taken}", steps, solver.order)


_DDIM, _DPMPP_2M = FIRST_ORDER["ddim"], MULTISTEP["dpmpp_2m"]

SOLVERS = {
    "ddim_afs": _made("DDIM", _DDIM, "zero_x0"),
    "ddim_afs_mean": _made("DDIM", _DDIM, "average_x0"),
    "dpmpp_2m_afs": _made("DPM-Solver++(2M)", _DPMPP_2M, "zero_x0"),
    "dpmpp_2m_afs_mean": _made("DPM-Solver++(2M)", _DPMPP_2M, "average_x0"),
}
