"""Named recipes of the literature: every solver on every grid, with what it leaves out.

``SOLVER[-GRID][+POLICY...]@STEPS``, such as ``ddim-trailing@5`` or ``dpmpp_2m+fora:3@20``.
"""

from autosearch.baselines.base import Policy, Solver
from autosearch.baselines.names import baseline, baseline_names, split_name
from autosearch.baselines.policies import POLICIES
from autosearch.baselines.solvers import SOLVERS

__all__ = [
    "POLICIES",
    "SOLVERS",
    "Policy",
    "Solver",
    "baseline",
    "baseline_names",
    "split_name",
]
