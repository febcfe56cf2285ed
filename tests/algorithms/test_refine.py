"""The local search of each number of evaluations."""

from collections import Counter

import numpy as np
import pytest

from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.refine import Refine
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import Genome, SolverChoice, Space, Timesteps

DENOISER = MixtureModel.load(dimension=2).denoiser


def make_space(low: int = 3, high: int = 5) -> Space:
    families = [Timesteps(DENOISER, steps=(low, high)), SolverChoice(DENOISER, orders=[1, 2])]
    return Space(DENOISER, families, baseline("ddim@10", DENOISER))


def start(space: Space, count: int) -> Genome:
    genome = space.encode(baseline(f"dpmpp_2m-logsnr@{count}", DENOISER))
    assert genome is not None
    return genome


class Task:
    """A made-up sum of squares of how far the coordinates are from a place near the start."""

    def __init__(self, space: Space, *, explains: bool) -> None:
        self.space, self.explains, self.starts = space, explains, {}
        for count in (3, 4, 5):
            self.starts[count] = start(space, count)

    def result(self, number: int, genome: Genome, *, given: bool = False) -> Result:
        here, count = self.space.coordinates(genome), len(genome["steps"])
        wanted = self.space.coordinates(self.starts[count]) + 0.3 * (-1.0) ** np.arange(count)
        mix = np.random.default_rng(count).standard_normal((count + 2, count))
        residuals = mix @ (here - wanted)
        values = (float((residuals**2).sum()), float(self.space.plan(genome).nfe))
        told = tuple(residuals.tolist()) if self.explains else ()
        return Result(number, genome, values, cost=count, baseline=given, residuals=told)


def run(task: Task, algorithm: Refine, count: int, given: list[int]) -> list[Result]:
    results = [task.result(n, task.starts[c], given=True) for n, c in enumerate(given)]
    algorithm.tell(results, [])
    for number in range(len(results), len(results) + count):
        asked = algorithm.ask(np.random.default_rng([5, number]), [])
        assert asked is not None
        results.append(task.result(number, asked))
        algorithm.tell(results[-1:], [])
    return results


@pytest.mark.parametrize(("explains", "budget", "left"), [(True, 60, 0.02), (False, 150, 0.4)])
def test_it_goes_from_a_start_to_the_least_value_near_it(explains, budget, left) -> None:
    space = make_space()
    task = Task(space, explains=explains)
    results = run(task, Refine(space, objectives=2), budget, [3, 4, 5])
    for count in (3, 4, 5):
        values = [r.values[0] for r in results if r.values and r.values[1] == count]
        assert min(values) < left * values[0]


def test_each_number_of_evaluations_gets_an_equal_share_and_nothing_is_random() -> None:
    space = make_space()
    results = run(Task(space, explains=True), Refine(space, objectives=2), 120, [4])
    spent = Counter[float]()
    for result in results[1:]:
        assert result.values is not None
        spent[result.values[1]] += result.values[1]
    # Those without a start have one of a neighbour's, with a step more or less.
    assert set(spent) == {3.0, 4.0, 5.0}
    assert max(spent.values()) - min(spent.values()) < 20
    near = start(space, 4)
    for result in results:
        assert result.genome is not None
        here = space.coordinates(space.resized(result.genome, 4))
        assert np.abs(here - space.coordinates(near)).max() < 3.0


def test_without_a_start_it_waits_for_what_is_under_way_and_then_draws_one() -> None:
    space = make_space()
    algorithm, rng = Refine(space, objectives=2), np.random.default_rng(0)
    assert algorithm.ask(rng, [Proposal(start(space, 4))]) is None
    assert algorithm.ask(rng, []) is not None


def test_what_is_not_permitted_is_passed_over() -> None:
    space = make_space()
    algorithm = Refine(space, objectives=2)
    algorithm.permits = lambda genome: space.plan(genome).nfe <= 4
    results = run(Task(space, explains=True), algorithm, 40, [3])
    assert {r.values[1] for r in results if r.values} == {3.0, 4.0}


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in ({"radius": 0.0}, {"vary": 2.0}, {"give_up": -1.0}):
        with pytest.raises(UserError):
            Refine(make_space(), objectives=2, **wrong)
