"""Order 1: one solver, three customs."""

from autosearch.baselines.base import Choices, Solver

__all__ = ["SOLVERS"]


def _ddim(count: int) -> list[Choices]:
    return [{} for _ in range(count)]


def _ddpm(count: int) -> list[Choices]:
    return [{"eta": 1.0} for _ in range(count)]


SOLVERS = {
    "ddim": Solver("DDIM (Song et al. 2021), no clipping", _ddim, 1, "leading"),
    "ddpm": Solver("DDIM with eta 1: ancestral sampling", _ddpm, 1, "leading", stochastic=True),
    "euler": Solver(
        "Euler in sigma (Karras et al. 2022)",
        _ddim,
        1,
        "linspace",
        start="sigma",
        whole_times=False,
    ),
}
