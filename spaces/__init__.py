"""What may vary: families of choices and their product."""

from autosearch.spaces.base import Family, Genome, Parameter
from autosearch.spaces.few_step import FewStepSchedule
from autosearch.spaces.guidance import GuidanceChoice
from autosearch.spaces.product import MAX_BOX, Space
from autosearch.spaces.solver import SolverChoice
from autosearch.spaces.timesteps import Timesteps

__all__ = [
    "BUILTIN",
    "MAX_BOX",
    "Family",
    "FewStepSchedule",
    "Genome",
    "GuidanceChoice",
    "Parameter",
    "SolverChoice",
    "Space",
    "Timesteps",
]

BUILTIN: tuple[type[Family], ...] = (Timesteps, FewStepSchedule, SolverChoice, GuidanceChoice)
