"""All named solvers and policies; a new one is a new small file and one line here."""

from collections.abc import Mapping

from autosearch.baselines.base import Policy, Solver
from autosearch.baselines.policies import caches, gated, masks, pruning
from autosearch.baselines.solvers import (
    analytic,
    evodiff,
    first_order,
    heun,
    multistep,
    singlestep,
    unipc,
)

__all__ = ["POLICIES", "SOLVERS"]

_MODULES = (first_order, multistep, singlestep, unipc, heun, analytic, evodiff)
_POLICY_MODULES = (caches, gated, pruning, masks)

SOLVERS: Mapping[str, Solver] = {
    name: solver for module in _MODULES for name, solver in module.SOLVERS.items()
}

# What a recipe leaves out, by a name's ``+POLICY``.
POLICIES: Mapping[str, Policy] = {
    name: policy for module in _POLICY_MODULES for name, policy in module.POLICIES.items()
}
