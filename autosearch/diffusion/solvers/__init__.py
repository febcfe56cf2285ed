"""Solver steps: functions of (state, interval, choices) to a new state."""

from autosearch.diffusion.solvers.first_order import deterministic, stochastic
from autosearch.diffusion.solvers.multistep import WEIGHTS, second_order
from autosearch.diffusion.solvers.state import Evaluation, Interval

__all__ = ["WEIGHTS", "Evaluation", "Interval", "deterministic", "second_order", "stochastic"]
