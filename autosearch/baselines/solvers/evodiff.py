"""EVODiff (Li et al. 2025): second-order multistep with factors from the data's own directions.

The first step is DDIM and the last one the released code's; to the clean end, where that would draw
the data beyond themselves, it is DDIM too. See :mod:`autosearch.diffusion.solvers.evodiff`.
"""

from autosearch.baselines.base import Choices, Solver

__all__ = ["SOLVERS"]


def _evodiff(count: int) -> list[Choices]:
    full = {"order": 2, "form": "evodiff", "corrector": "pseudo"}
    last = {"order": 1, "form": "evodiff"}
    return [{}, *[dict(full) for _ in range(count - 2)], last][:count]


SOLVERS = {
    "evodiff": Solver("EVODiff of order 2 as released; of first order", _evodiff, 1),
}
