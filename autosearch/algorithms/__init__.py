"""Algorithms behind one contract."""

from autosearch.algorithms.autodiffusion import AutoDiffusion
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.cmaes import CMAES
from autosearch.algorithms.differential_evolution import DifferentialEvolution
from autosearch.algorithms.ecad import ECAD
from autosearch.algorithms.exhaustive import Exhaustive
from autosearch.algorithms.gp import GP
from autosearch.algorithms.greedy import Greedy
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.algorithms.nsga3 import NSGA3
from autosearch.algorithms.random_search import RandomSearch
from autosearch.algorithms.refine import Refine
from autosearch.algorithms.screened import Screened
from autosearch.algorithms.smsemoa import SMSEMOA
from autosearch.algorithms.tpe import TPE
from autosearch.algorithms.usf import USF
from autosearch.registry import Registry

__all__ = [
    "BUILTIN",
    "CMAES",
    "ECAD",
    "GP",
    "NSGA2",
    "NSGA3",
    "REGISTRY",
    "SMSEMOA",
    "TPE",
    "USF",
    "Algorithm",
    "AutoDiffusion",
    "DifferentialEvolution",
    "Exhaustive",
    "Greedy",
    "Proposal",
    "RandomSearch",
    "Refine",
    "Result",
    "Screened",
    "find",
]

BUILTIN: tuple[type[Algorithm], ...] = (
    RandomSearch,
    NSGA2,
    SMSEMOA,
    Screened,
    Refine,
    NSGA3,
    TPE,
    GP,
    CMAES,
    DifferentialEvolution,
    AutoDiffusion,
    USF,
    ECAD,
    Greedy,
    Exhaustive,
)

REGISTRY = Registry("algorithm", BUILTIN)
find = REGISTRY.find
