"""What may vary: families of choices and their product."""

from autosearch.registry import Registry
from autosearch.spaces.base import Family, Genome, Parameter
from autosearch.spaces.cache import Cache
from autosearch.spaces.cache_interval import CacheInterval
from autosearch.spaces.correction import Correction
from autosearch.spaces.few_step import FewStepSchedule
from autosearch.spaces.forecast import Forecast
from autosearch.spaces.gate import GateChoice
from autosearch.spaces.guidance import GuidanceChoice
from autosearch.spaces.guidance_scales import GuidanceScales
from autosearch.spaces.heads import HeadSets
from autosearch.spaces.named import NamedRecipes
from autosearch.spaces.product import MAX_BOX, Space
from autosearch.spaces.prune import Prune
from autosearch.spaces.solver import SolverChoice
from autosearch.spaces.timesteps import Timesteps

__all__ = [
    "BUILTIN",
    "MAX_BOX",
    "REGISTRY",
    "Cache",
    "CacheInterval",
    "Correction",
    "Family",
    "FewStepSchedule",
    "Forecast",
    "GateChoice",
    "Genome",
    "GuidanceChoice",
    "GuidanceScales",
    "HeadSets",
    "NamedRecipes",
    "Parameter",
    "Prune",
    "SolverChoice",
    "Space",
    "Timesteps",
    "find",
]

BUILTIN: tuple[type[Family], ...] = (
    Timesteps,
    FewStepSchedule,
    NamedRecipes,
    SolverChoice,
    Correction,
    GuidanceChoice,
    GuidanceScales,
    HeadSets,
    Cache,
    Forecast,
    CacheInterval,
    GateChoice,
    Prune,
)

REGISTRY = Registry("space", BUILTIN)
find = REGISTRY.find
