"""Costs of one sample that a plan declares: exact, known before anything is run."""

from typing import TYPE_CHECKING

from autosearch.objectives.base import Objective

if TYPE_CHECKING:
    from autosearch.plan import Plan

__all__ = ["Forwards", "Macs", "Memory", "Nfe"]


class Nfe(Objective):
    """Times at which the network is asked, implicit correctors included."""

    name = "nfe"
    summary = "network evaluations (a guided step counts once)"
    unit = "network evaluations"

    def declared(self, plan: "Plan") -> float:
        """``plan.nfe``."""
        return float(plan.nfe)


class Forwards(Objective):
    """Branches run, whatever share of the network each computes."""

    name = "forwards"
    summary = "branches run (a guided step counts each branch)"
    unit = "forwards"

    def declared(self, plan: "Plan") -> float:
        """``plan.forwards``."""
        return float(plan.forwards)


class Macs(Objective):
    """Multiply-accumulates; what is skipped, reused or forecast is not computed."""

    name = "macs"
    summary = "multiply-accumulates for one sample"
    unit = "multiply-accumulates"

    def declared(self, plan: "Plan") -> float:
        """``plan.macs``."""
        return float(plan.macs)


class Memory(Objective):
    """Memory for one sample: what reused and forecast sites hold."""

    name = "memory"
    summary = "memory held between steps for one sample, as declared"
    unit = "bytes"

    def declared(self, plan: "Plan") -> float:
        """``plan.memory``."""
        return float(plan.memory)
