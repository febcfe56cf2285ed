"""Solver steps: linear combinations of a state and of evaluations, by exact integrators."""

from autosearch.diffusion.solvers.coefficients import Coefficients, coefficients
from autosearch.diffusion.solvers.dpm_solver_v3 import Statistics
from autosearch.diffusion.solvers.relaxation import RELAXATIONS
from autosearch.diffusion.solvers.state import Evaluation, Interval
from autosearch.diffusion.solvers.step import moved
from autosearch.diffusion.solvers.update import FIRST_ORDER, Corrector, Update

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
    "moved",
]
