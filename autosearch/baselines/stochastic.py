"""Solvers that add noise, how much of it by the levels of the grid."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

from autosearch.baselines.base import Choices, Layout, Solver
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["SOLVERS"]

# SA-Solver is stochastic in the middle: at these shares of the model's times and between, as
# released; at these sigmas of EDM's models, where larger ones make few steps diverge.
_MIDDLE = (0.2, 0.8)
_MIDDLE_SIGMAS = (0.05, 1.0)
# Times on these bounds count as inside, however they were rounded.
_NEAR = 1e-6
_LOG_10 = math.log(10.0)


def _plain(count: int) -> list[Choices]:
    return [{} for _ in range(count)]


def _all_new(count: int) -> list[Choices]:
    return [{"form": "fresh_noise", "eta": 1.0} for _ in range(count)]


def _with_kept(layout: Layout, kept: Callable[[float, float], float]) -> Layout:
    """Steps that keep a share of the predicted noise, by half log-SNR at their start and end."""
    choices = []
    for here, there in pairwise(layout.log_snrs):
        # Nothing is kept at the clean end, where there is no noise.
        share = kept(here, there) if math.isfinite(there) else 1.0
        new = math.sqrt(max(1.0 - share**2, 0.0))
        choices.append({"form": "fresh_noise", "eta": new} if new else {})
    return layout.with_choices(choices)


def _ancestral(layout: Layout) -> Layout:
    """On flows Euler goes down further, and the state is scaled and noised to the next level.

    As several samplers of flows do it (ComfyUI's among them): with ``t`` the time of a flow, down
    to ``t' (t'/t)``, then by ``(1 - t')`` over 1 less that.
    """
    if layout.schedule.family != "flow":
        return layout

    def kept(here: float, there: float) -> float:
        (_, time), (_, end) = (layout.schedule.alpha_sigma(value) for value in (here, there))
        down = end * end / time
        return down * (1 - end) / (end * (1 - down))

    return _with_kept(layout, kept)


def _er_sde(layout: Layout) -> Layout:
    """The share of noise that stays is that of ``phi(rho) / rho``, with ``rho = sigma/alpha``."""
    return _with_kept(layout, lambda here, there: math.exp(_log_slope(there) - _log_slope(here)))


def _log_slope(log_snr: float) -> float:
    """Of ``phi(rho) / rho = exp(rho ** 0.3) + 10``, the authors' choice; infinite at pure noise."""
    power = math.exp(-0.3 * log_snr) if math.isfinite(log_snr) else math.inf
    return max(power, _LOG_10) + math.log1p(math.exp(-abs(power - _LOG_10)))


def _sa_solver(predictor: int, corrector: int) -> Callable[[int], list[Choices]]:
    """Orders that grow with the history, and fall to the end by one each."""

    def steps(count: int) -> list[Choices]:
        choices = []
        for i in range(count):
            left = count - i
            second = {"kind": "pseudo", "order": min(corrector, i + 2, left + 1)}
            order = min(predictor, i + 1, left)
            choices.append({"order": order, "form": "unipc_bh1", "corrector": second})
        return choices

    return steps


def _stochastic_in_the_middle(layout: Layout) -> Layout:
    """Steps from the middle times are stochastic, with the intensity of the model's own SDE."""
    return layout.with_choices(
        [
            {**choices, "eta": 1.0} if _in_the_middle(layout.schedule, time) else choices
            for choices, (time, _) in zip(layout.choices, layout.points, strict=True)
        ]
    )


def _in_the_middle(schedule: NoiseSchedule, time: float) -> bool:
    low, high = _MIDDLE_SIGMAS if schedule.family == "edm" else _MIDDLE
    whole = schedule.train_steps if schedule.family == "vp" else 1
    return low - _NEAR <= time / whole <= high + _NEAR


def _sa(summary: str, predictor: int, corrector: int) -> Solver:
    return Solver(
        summary,
        _sa_solver(predictor, corrector),
        1,
        scheduler="SASolverScheduler",
        stochastic=True,
        adapt=_stochastic_in_the_middle,
        usual=False,
    )


SOLVERS: Mapping[str, Solver] = {
    "euler_a": Solver(
        "Euler ancestral (k-diffusion): DDIM with eta 1 in sigma; on flows as ComfyUI runs it",
        lambda count: [{"eta": 1.0} for _ in range(count)],
        1,
        "linspace",
        "EulerAncestralDiscreteScheduler",
        start="sigma",
        stochastic=True,
        whole_times=False,
        adapt=_ancestral,
        usual=False,
    ),
    # The predictor's term of second order is UniPC's with B(h) = h, for few steps, as released.
    "sa_solver": _sa(
        "SA-Solver of orders 2 and 2 (Xue et al. 2023), stochastic at the middle times", 2, 2
    ),
    "sa_solver_3": _sa("SA-Solver of orders 3 and 4, as advised for little or no guidance", 3, 4),
    "er_sde": Solver(
        "ER-SDE of order 1 (Cui et al. 2023)",
        _plain,
        1,
        stochastic=True,
        adapt=_er_sde,
        usual=False,
    ),
    "consistency": Solver(
        "multistep consistency sampling (Song et al. 2023), diffusers' stochastic Euler of flows: "
        "all noise is new; for distilled models",
        _all_new,
        0,
        stochastic=True,
        usual=False,
    ),
}
