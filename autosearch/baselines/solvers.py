"""Named solvers of the literature, by the choices of each of their steps.

Multistep: DPM-Solver and DPM-Solver++ (Lu et al. 2022a, 2022b) as published, the exact expansion of
the same orders, and DEIS (Zhang & Chen 2023) as diffusers runs it, in its logarithmic version.

Singlestep: short runs that start again from their first state. The intermediate points are the
grid's own, so the ratios r1 and r2 are what the grid makes of them; on grids even in log-SNR they
are 1/2, and 1/3 and 2/3, as published. The inner step of order 3 takes the second-order update, as
diffusers does; the authors' code takes the exact one there.
"""

from collections.abc import Mapping

from autosearch.baselines import adams, midpoint, neural_solver, stochastic
from autosearch.baselines.base import Choices, Solver
from autosearch.registry import Parts

__all__ = ["SOLVERS"]

# From this count on, diffusers lowers the order of the last step only.
_FEW = 15


def _multistep_orders(order: int, count: int, *, always: bool = False) -> list[int]:
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


def _multistep(
    summary: str,
    order: int,
    prediction: str,
    form: str,
    *,
    eta: float = 0.0,
    declared: int | None = None,
    scheduler: str = "DPMSolverMultistepScheduler",
) -> Solver:
    def steps(count: int) -> list[Choices]:
        choices = []
        for used in _multistep_orders(order, count):
            full = {"prediction": prediction, "form": form} if used > 1 or eta else {}
            choices.append({"order": used, "eta": eta, **full})
        return choices

    return Solver(summary, steps, declared or order, stochastic=eta > 0, scheduler=scheduler)


def _singlestep(summary: str, order: int, prediction: str, form: str) -> Solver:
    def steps(count: int) -> list[Choices]:
        return [
            {"order": used, "prediction": prediction, "form": form, "start_point": -used}
            if used > 1
            else {"order": 1}
            for used in _singlestep_orders(order, count)
        ]

    return Solver(summary, steps, order, run=order, scheduler="DPMSolverSinglestepScheduler")


def _singlestep_orders(order: int, count: int) -> list[int]:
    """Runs of 1, 2, ..., the last ones shorter, so that the very last step is of order 1."""
    whole, rest = divmod(count, order)
    if rest == 0:  # the last run gives its last step away
        whole, ends = whole - 1, [order - 1, 1]
    else:
        ends = [1] * rest
    runs = [order] * whole + ends
    return [i for run in runs for i in range(1, run + 1)]


def _unipc(summary: str, order: int, form: str, prediction: str = "data") -> Solver:
    """UniPC: a multistep predictor, and a corrector that costs no evaluation."""

    def steps(count: int) -> list[Choices]:
        return [
            {"order": used, "form": form, "prediction": prediction, "corrector": "pseudo"}
            for used in _multistep_orders(order, count, always=True)
        ]

    # The corrector raises the order of accuracy by one.
    summary = f"{summary} (Zhao et al. 2023)"
    return Solver(summary, steps, order + 1, scheduler="UniPCMultistepScheduler")


def _heun(count: int) -> list[Choices]:
    """Karras et al. (2022), algorithm 1: 2 K - 1 evaluations for K steps.

    An Euler step, corrected by the trapezoidal rule in sigma/alpha with a second evaluation at its
    end, and evaluated once more there.
    """
    return _trapezoids(count, prediction="noise", form="deis_rho")


def _flow_heun(count: int) -> list[Choices]:
    """Heun's method in the time of flows, as diffusers' scheduler of that name runs it.

    The trapezoidal rule for noise less data, which is what a flow predicts, again 2 K - 1
    evaluations; it begins at pure noise. Models of other kinds are flows once the state is divided
    by alpha + sigma.
    """
    return _trapezoids(count, form="velocity")


def _trapezoids(count: int, **choices: str) -> list[Choices]:
    """Euler steps, each but the last followed by a trapezoidal rule and a second evaluation."""
    corrector = {"kind": "implicit", "order": 2, **choices}
    return [{"corrector": corrector}] * (count - 1) + [{}]


def _evodiff(count: int) -> list[Choices]:
    """Li et al. (2025): second-order multistep with factors from the data's own directions.

    The first step is DDIM and the last one the released code's; to the clean end, where that would
    draw the data beyond themselves, it is DDIM too. See
    :mod:`autosearch.diffusion.solvers.evodiff`.
    """
    full = {"order": 2, "form": "evodiff", "corrector": "pseudo"}
    last = {"order": 1, "form": "evodiff"}
    return [{}, *[dict(full) for _ in range(count - 2)], last][:count]


def _analytic(name: str, solver: Solver, data: str) -> Solver:
    """A solver whose first step does not ask the network (Dockhorn et al. 2022; Liu et al. 2024).

    At the noisiest time the data's prediction is nearly their mean, so K steps cost K - 1
    evaluations.
    """

    def steps(count: int) -> list[Choices]:
        first, *rest = solver.steps(count)
        return [{**first, "evaluate": data}, *rest] if rest else [first]

    taken = {"zero_x0": "0", "average_x0": "their mean"}[data]
    summary = f"{name}, the first step taking the data to be {taken}"
    return Solver(summary, steps, solver.order, scheduler=solver.scheduler)


_DDIM = Solver(
    "DDIM (Song et al. 2021), no clipping",
    lambda count: [{}] * count,
    1,
    "leading",
    "DDIMScheduler",
)
_DEIS = "DEISMultistepScheduler"
_DPMPP_2M = _multistep("DPM-Solver++(2M) (Lu et al. 2022b)", 2, "data", "dpmsolver")

_BUILTIN: Mapping[str, Solver] = {
    "ddim": _DDIM,
    "ddpm": Solver(
        "DDIM with eta 1: ancestral sampling",
        lambda count: [{"eta": 1.0}] * count,
        1,
        "leading",
        "DDPMScheduler",
        stochastic=True,
    ),
    "euler": Solver(
        "Euler in sigma (Karras et al. 2022)",
        _DDIM.steps,
        1,
        "linspace",
        "EulerDiscreteScheduler",
        start="sigma",
        whole_times=False,
    ),
    "dpmpp_2m": _DPMPP_2M,
    # Its second difference lacks a factor of 2, which makes it of second order.
    "dpmpp_3m": _multistep(
        "DPM-Solver++(3M) as published, of second order", 3, "data", "dpmsolver", declared=2
    ),
    "dpm_2m": _multistep("DPM-Solver-2M in noise prediction", 2, "noise", "dpmsolver"),
    "dpm_3m": _multistep(
        "DPM-Solver-3M as published, of second order", 3, "noise", "dpmsolver", declared=2
    ),
    "taylor_2m": _multistep("the exact second-order multistep form", 2, "data", "taylor"),
    "taylor_3m": _multistep("the exact third-order multistep form", 3, "data", "taylor"),
    "taylor_4m": _multistep("the exact fourth-order multistep form", 4, "data", "taylor"),
    "deis": _multistep(
        "DEIS of order 2 in log rho (Zhang & Chen 2023)", 2, "noise", "deis", scheduler=_DEIS
    ),
    "deis_3": _multistep("DEIS of order 3 in log rho", 3, "noise", "deis", scheduler=_DEIS),
    "deis_t_2": _multistep(
        "tAB-DEIS of order 2: polynomials in time", 2, "noise", "deis_t", scheduler=_DEIS
    ),
    "deis_t_3": _multistep("tAB-DEIS of order 3", 3, "noise", "deis_t", scheduler=_DEIS),
    "deis_rho_2": _multistep(
        "rhoAB-DEIS of order 2: polynomials in rho", 2, "noise", "deis_rho", scheduler=_DEIS
    ),
    "deis_rho_3": _multistep("rhoAB-DEIS of order 3", 3, "noise", "deis_rho", scheduler=_DEIS),
    "dpmpp_2m_sde": _multistep("SDE-DPM-Solver++(2M)", 2, "data", "dpmsolver", eta=1.0),
    "dpmpp_3m_sde": _multistep(
        "SDE-DPM-Solver++(3M), second difference as published",
        3,
        "data",
        "dpmsolver",
        eta=1.0,
        declared=2,
    ),
    "dpm_2m_sde": _multistep(
        "SDE-DPM-Solver-2M in noise prediction", 2, "noise", "dpmsolver", eta=1.0
    ),
    "dpmpp_2s": _singlestep("DPM-Solver++(2S) (Lu et al. 2022b)", 2, "data", "dpmsolver"),
    "dpmpp_3s": _singlestep("DPM-Solver++(3S)", 3, "data", "dpmsolver"),
    "dpm_2s": _singlestep("DPM-Solver-2 (Lu et al. 2022a)", 2, "noise", "dpmsolver"),
    "dpm_3s": _singlestep("DPM-Solver-3", 3, "noise", "dpmsolver"),
    "taylor_3s": _singlestep("DPM-Solver++(3S) in the exact form", 3, "data", "taylor"),
    "unipc": _unipc("UniPC of order 2 with B(h) = exp(h) - 1", 2, "unipc_bh2"),
    "unipc_1": _unipc("UniPC of order 1", 1, "unipc_bh2"),
    "unipc_3": _unipc("UniPC of order 3", 3, "unipc_bh2"),
    "unipc_bh1": _unipc("UniPC of order 2 with B(h) = h", 2, "unipc_bh1"),
    "unipc_bh1_1": _unipc("UniPC of order 1 with B(h) = h", 1, "unipc_bh1"),
    "unipc_bh1_3": _unipc("UniPC of order 3 with B(h) = h", 3, "unipc_bh1"),
    "unipc_noise": _unipc("UniPC of order 2 in noise prediction", 2, "unipc_bh2", "noise"),
    "heun": Solver(
        "Heun in sigma (Karras et al. 2022), two evaluations a step",
        _heun,
        2,
        "linspace",
        "HeunDiscreteScheduler",
        start="sigma",
        whole_times=False,
    ),
    "flow_heun": Solver(
        "Heun in the time of flows, as diffusers' FlowMatchHeun, two evaluations a step",
        _flow_heun,
        2,
    ),
    "ddim_afs": _analytic("DDIM", _DDIM, "zero_x0"),
    "ddim_afs_mean": _analytic("DDIM", _DDIM, "average_x0"),
    "dpmpp_2m_afs": _analytic("DPM-Solver++(2M)", _DPMPP_2M, "zero_x0"),
    "dpmpp_2m_afs_mean": _analytic("DPM-Solver++(2M)", _DPMPP_2M, "average_x0"),
    "evodiff": Solver("EVODiff of order 2 as released; of first order", _evodiff, 1),
    **adams.SOLVERS,
    **midpoint.SOLVERS,
    **stochastic.SOLVERS,
    **neural_solver.SOLVERS,
}

SOLVERS = Parts("baseline solver", _BUILTIN, Solver, group="autosearch.solvers")
