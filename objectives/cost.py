"""Costs of one sample that a plan declares: exact, known before anything is run.

Where gates decide what a sample computes, a plan declares the most that it may cost, and what it
did cost is measured.
"""

from typing import TYPE_CHECKING

import numpy as np

from autosearch._typing import Rows
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import mean_estimate

if TYPE_CHECKING:
    from autosearch.diffusion.plan.plan import Plan

__all__ = ["Forwards", "Macs", "Memory", "Nfe", "PlanCost"]


class PlanCost(Objective):
    """A number that a plan has under the objective's name; a bound where gates decide."""

    def declared(self, plan: "Plan") -> float:
        return float(getattr(plan, self.name))


class Nfe(PlanCost):
    """Times at which the network is asked, implicit correctors included."""

    name = "nfe"
    summary = "network evaluations (a guided step counts once)"
    unit = "network evaluations"


class Forwards(PlanCost):
    """Branches run, whatever share of the network each computes."""

    name = "forwards"
    summary = "branches run (a guided step counts each branch)"
    unit = "forwards"


class Macs(PlanCost):
    """Multiply-accumulates; what is skipped, reused or forecast is not computed."""

    name = "macs"
    summary = "multiply-accumulates for one sample"
    unit = "multiply-accumulates"

    def observed(self, plan: "Plan", rows: Rows, blocks: int) -> Estimate:
        """The mean of what samples executed, where gates decided that."""
        if "macs" not in rows:
            return Estimate(self.declared(plan))
        return mean_estimate(np.asarray(rows["macs"], dtype=np.float64), blocks)


class Memory(PlanCost):
    """Memory for one sample: what reused and forecast sites hold."""

    name = "memory"
    summary = "memory held between steps for one sample, as declared"
    unit = "bytes"
