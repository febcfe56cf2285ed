"""Multistep solvers of Adams and Bashforth, which keep their order up to the clean end.

In sigma/alpha on models whose states scale with alpha, in time on flows: as k-diffusion and its
users run them, who take the velocity of a flow where others have the noise.
"""

from collections.abc import Mapping
from typing import Any

from autosearch.baselines.base import Choices, Layout, Solver

__all__ = ["SOLVERS"]

_EULER_START: Mapping[str, Any] = {"grid": "linspace", "start": "sigma", "whole_times": False}


def _solver(
    summary: str, form: str, order: int, *, declared: int | None = None, **settings: Any
) -> Solver:
    """The first steps have the orders that their history allows, all others the full one."""

    def steps(count: int) -> list[Choices]:
        return [
            {"order": min(order, i + 1), "prediction": "noise", "form": form} if i else {"order": 1}
            for i in range(count)
        ]

    return Solver(summary, steps, declared or order, adapt=_of_flows, usual=False, **settings)


def _of_flows(layout: Layout) -> Layout:
    """On flows, the velocity in place of the noise."""
    if layout.schedule.family != "flow":
        return layout
    return layout.with_choices([_of_velocity(choices) for choices in layout.choices])


def _of_velocity(choices: Choices) -> Choices:
    if choices.get("prediction") == "noise":
        choices = {**choices, "prediction": "velocity"}
    if "corrector" in choices:
        choices = {**choices, "corrector": _TRAPEZOID_OF_FLOWS}
    return choices


def _ipndm(order: int, summary: str) -> Solver:
    # Of second order on any smooth grid, of the full one on steps that are even in sigma/alpha.
    return _solver(summary, "ipndm", order, declared=2)


_TRAPEZOID = {"kind": "implicit", "order": 2, "prediction": "noise", "form": "deis_rho"}
_TRAPEZOID_OF_FLOWS = {"kind": "implicit", "order": 2, "form": "velocity"}


def _plms(count: int) -> list[Choices]:
    """PNDM without Runge-Kutta steps, as diffusers and latent diffusion run it.

    Its first step is done again with the mean of its two ends, and the network asked once more
    there, so that K steps cost K + 1 evaluations; iPNDM goes on from it.
    """
    first, *rest = _IPNDM.steps(count)
    return [{**first, "corrector": _TRAPEZOID}, *rest]


def _flow_ab(order: int) -> Solver:
    def steps(count: int) -> list[Choices]:
        return [
            {"order": min(order, i + 1), "prediction": "velocity", "form": "lms"} if i else {}
            for i in range(count)
        ]

    summary = f"Adams-Bashforth of order {order} in the time of flows, with true step lengths"
    return Solver(summary, steps, order, usual=False)


_IPNDM = _ipndm(4, "iPNDM of order 4 (Zhang & Chen 2023): Adams-Bashforth with constant weights")

SOLVERS: Mapping[str, Solver] = {
    "ipndm": _IPNDM,
    "ipndm_3": _ipndm(3, "iPNDM of order 3"),
    "ipndm_2": _ipndm(2, "iPNDM of order 2"),
    "plms": Solver(
        "PLMS (Liu et al. 2022), as diffusers' PNDM without Runge-Kutta steps; one evaluation more",
        _plms,
        2,
        "leading",
        # Whose times PNDM has, one of them twice.
        "DDIMScheduler",
        adapt=_of_flows,
        usual=False,
    ),
    "lms": _solver(
        "LMS of order 4 (k-diffusion): Adams-Bashforth with true step lengths",
        "lms",
        4,
        scheduler="LMSDiscreteScheduler",
        **_EULER_START,
    ),
    "flow_ab2": _flow_ab(2),
    "flow_ab3": _flow_ab(3),
    "flow_ab4": _flow_ab(4),
}
