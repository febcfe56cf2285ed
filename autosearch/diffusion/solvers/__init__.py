"""Solver steps: linear combinations of a state and of evaluations, by exact integrators."""

from autosearch.diffusion.solvers.coefficients import Coefficients, coefficients
from autosearch.diffusion.solvers.dpm_solver_v3 import Statistics
from autosearch.diffusion.solvers.step import next_state
from autosearch.diffusion.solvers.taylor import RELAXATIONS
from autosearch.diffusion.solvers.update import FIRST_ORDER, Corrector, Evaluation, Interval, Update

__all__ = [
    "FIRST_ORDER",
    "RELAXATIONS",
    "Coefficients",
    "Corrector",
    "Evaluation",
    "Interval",
    "Statistics",
    "Update",
    "coefficients",
    "next_state",
]
