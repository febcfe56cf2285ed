"""Solver steps: from a state and evaluations of the network to the next state."""

from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms import FORMS, USUAL_FORMS, Choice, Form, find_form
from autosearch.diffusion.solvers.forms.v3 import Statistics
from autosearch.diffusion.solvers.step import next_state
from autosearch.diffusion.solvers.taylor import RELAXATIONS
from autosearch.diffusion.solvers.update import FIRST_ORDER, Corrector, Evaluation, Interval, Update

__all__ = [
    "FIRST_ORDER",
    "FORMS",
    "RELAXATIONS",
    "USUAL_FORMS",
    "Choice",
    "Coefficients",
    "Corrector",
    "Evaluation",
    "Form",
    "Interval",
    "Statistics",
    "Update",
    "find_form",
    "next_state",
]
