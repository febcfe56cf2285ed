"""Heun's method in sigma (Karras et al. 2022, algorithm 1): two evaluations a step.

An Euler step, corrected by the trapezoidal rule in sigma/alpha with a second evaluation at its
end, and evaluated once more there: 2 K - 1 evaluations for K steps.
"""

from autosearch.baselines.base import Choices, Solver

__all__ = ["SOLVERS"]


def _heun(count: int) -> list[Choices]:
    corrector = {"kind": "implicit", "order": 2, "prediction": "noise", "form": "deis_rho"}
    return [{"corrector": corrector}] * (count - 1) + [{}]


SOLVERS = {
    "heun": Solver(
        "Heun in sigma (Karras et al. 2022), two evaluations a step",
        _heun,
        2,
        "linspace",
        start="sigma",
        whole_times=False,
    )
}
