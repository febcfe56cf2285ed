"""Named recipes of the literature: every solver on every grid, ``SOLVER[-GRID]@STEPS``."""

from autosearch.baselines.base import Solver
from autosearch.baselines.names import baseline, baseline_names, split_name
from autosearch.baselines.zoo import SOLVERS

__all__ = ["SOLVERS", "Solver", "baseline", "baseline_names", "split_name"]
