"""UniPC (Zhao et al. 2023) with either of its functions B(h)."""

from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.taylor import Taylor

__all__ = ["UniPC1", "UniPC2"]


class _UniPC(Taylor):
    """Order 2: the expansion relaxed by its name; above, the expansion, where B(h) cancels."""

    relaxed = False

    def relaxation(self, choice: Choice, order: int) -> tuple[str, float] | None:
        return (self.name, 0.0) if order == 2 else None


class UniPC1(_UniPC):
    """B(h) = h."""

    name = "unipc_bh1"
    summary = "UniPC with B(h) = h"


class UniPC2(_UniPC):
    """B(h) = exp(h) - 1, which is DPM-Solver's."""

    name = "unipc_bh2"
    summary = "UniPC with B(h) = exp(h) - 1"
