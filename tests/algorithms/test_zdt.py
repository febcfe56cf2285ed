"""Our evolution through the search loop, against pymoo's own runs."""

import pytest

from autosearch.experiments.benchmarks.vectors import ALGORITHMS, Case
from autosearch.experiments.benchmarks.zdt import PROBLEMS, ours, theirs


@pytest.mark.parametrize("generational", [False, True], ids=["steady", "generations"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hypervolume_is_pymoos(algorithm, generational):
    """Few evaluations; the benchmarks ``zdt`` and ``zdt_generations`` show the full size."""
    case = Case("dtlz2", algorithm, 28, 30, generational)
    mine, other = ours(case, 0), theirs(case, 0)
    assert mine > 0.85 * other
    assert other > 0.4


def test_every_problem_has_the_size_that_was_asked_for():
    cases = [Case(problem, algorithm, 50, 1) for problem in PROBLEMS for algorithm in ALGORITHMS]
    sizes = {(case.target.n_obj, case.algorithm): case.size for case in cases}
    assert sizes[2, "nsga3"] == sizes[2, "nsga2"] == sizes[3, "smsemoa"] == 50
    assert sizes[3, "nsga3"] == 45
