"""Multistep solvers of DPM-Solver's family: one form and prediction throughout.

DPM-Solver and DPM-Solver++ (Lu et al. 2022a, 2022b) as published, the exact expansion of the same
orders, and DEIS (Zhang & Chen 2023) as diffusers runs it, in its logarithmic version.
"""

import functools

from autosearch.baselines.base import Choices, Solver, lowered

__all__ = ["SOLVERS"]


def _multistep(
    count: int, *, order: int, prediction: str, form: str, eta: float = 0.0
) -> list[Choices]:
    steps = []
    for used in lowered(order, count):
        full = {"prediction": prediction, "form": form} if used > 1 or eta else {}
        steps.append({"order": used, "eta": eta, **full})
    return steps


def _made(
    summary: str, order: int, prediction: str, form: str, *, declared: int | None = None
) -> Solver:
    steps = functools.partial(_multistep, order=order, prediction=prediction, form=form)
    return Solver(summary, steps, declared or order)


def _sde(summary: str, order: int, prediction: str) -> Solver:
    steps = functools.partial(
        _multistep, order=order, prediction=prediction, form="dpmsolver", eta=1.0
    )
    return Solver(summary, steps, min(order, 2), stochastic=True)


SOLVERS = {
    "dpmpp_2m": _made("DPM-Solver++(2M) (Lu et al. 2022b)", 2, "data", "dpmsolver"),
    # Its second difference lacks a factor of 2, which makes it of second order.
    "dpmpp_3m": _made(
        "DPM-Solver++(3M) as published, of second order", 3, "data", "dpmsolver", declared=2
    ),
    "dpm_2m": _made("DPM-Solver-2M in noise prediction", 2, "noise", "dpmsolver"),
    "dpm_3m": _made(
        "DPM-Solver-3M as published, of second order", 3, "noise", "dpmsolver", declared=2
    ),
    "taylor_2m": _made("the exact second-order multistep form", 2, "data", "taylor"),
    "taylor_3m": _made("the exact third-order multistep form", 3, "data", "taylor"),
    "taylor_4m": _made("the exact fourth-order multistep form", 4, "data", "taylor"),
    "deis": _made("DEIS of order 2 in log rho (Zhang & Chen 2023)", 2, "noise", "deis"),
    "deis_3": _made("DEIS of order 3 in log rho", 3, "noise", "deis"),
    "deis_t_2": _made("tAB-DEIS of order 2: polynomials in time", 2, "noise", "deis_t"),
    "deis_t_3": _made("tAB-DEIS of order 3", 3, "noise", "deis_t"),
    "deis_rho_2": _made("rhoAB-DEIS of order 2: polynomials in rho", 2, "noise", "deis_rho"),
    "deis_rho_3": _made("rhoAB-DEIS of order 3", 3, "noise", "deis_rho"),
    "dpmpp_2m_sde": _sde("SDE-DPM-Solver++(2M)", 2, "data"),
    "dpmpp_3m_sde": _sde("SDE-DPM-Solver++(3M), second difference as published", 3, "data"),
    "dpm_2m_sde": _sde("SDE-DPM-Solver-2M in noise prediction", 2, "noise"),
}
