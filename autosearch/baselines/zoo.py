"""All named solvers; a new one is a new small file and one line here."""

from collections.abc import Mapping

from autosearch.baselines import analytic, first_order, heun, multistep, singlestep, unipc
from autosearch.baselines.base import Solver

__all__ = ["SOLVERS"]

_MODULES = (first_order, multistep, singlestep, unipc, heun, analytic)

SOLVERS: Mapping[str, Solver] = {
    name: solver for module in _MODULES for name, solver in module.SOLVERS.items()
}
