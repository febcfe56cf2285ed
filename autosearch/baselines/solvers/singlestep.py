"""Singlestep DPM-Solver and DPM-Solver++: short runs that start again from their first state.

The intermediate points are the grid's own, so the ratios r1 and r2 are what the grid makes of
them; on log-SNR-uniform grids they are 1/2, and 1/3 and 2/3, as published. The inner step of order
3 takes the second-order update, as diffusers does; the authors' code takes the exact one there.
"""

import functools

from autosearch.baselines.base import Choices, Solver

__all__ = ["SOLVERS"]


def _orders(order: int, count: int) -> list[int]:
    """Runs of 1, 2, ..., the last ones shorter, so that the very last step is of order 1."""
    whole, rest = divmod(count, order)
    if rest == 0:  # the last run gives its last step away
        whole, ends = whole - 1, [order - 1, 1]
    else:
        ends = [1] * rest
    runs = [order] * whole + ends
    return [i for run in runs for i in range(1, run + 1)]


def _singlestep(count: int, *, order: int, prediction: str, form: str) -> list[Choices]:
    return [
        {"order": used, "prediction": prediction, "form": form, "start_point": -used}
        if used > 1
        else {"order": 1}
        for used in _orders(order, count)
    ]


def _made(summary: str, order: int, prediction: str, form: str) -> Solver:
    steps = functools.partial(_singlestep, order=order, prediction=prediction, form=form)
    return Solver(summary, steps, order, run=order)


SOLVERS = {
    "dpmpp_2s": _made("DPM-Solver++(2S) (Lu et al. 2022b)", 2, "data", "dpmsolver"),
    "dpmpp_3s": _made("DPM-Solver++(3S)", 3, "data", "dpmsolver"),
    "dpm_2s": _made("DPM-Solver-2 (Lu et al. 2022a)", 2, "noise", "dpmsolver"),
    "dpm_3s": _made("DPM-Solver-3", 3, "noise", "dpmsolver"),
    "taylor_3s": _made("DPM-Solver++(3S) in the exact form", 3, "data", "taylor"),
}
