"""Algorithms behind one contract."""

from autosearch.algorithms.base import Algorithm, Result
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.algorithms.random_search import RandomSearch

__all__ = ["BUILTIN", "NSGA2", "Algorithm", "RandomSearch", "Result"]

BUILTIN: tuple[type[Algorithm], ...] = (RandomSearch, NSGA2)
