"""The baselines of a search that names none: few, and the strongest that are known.

First the solver of the model's own scheduler, on its own grid, once at each step count of the
space: whatever it costs, for a search must not end below what everybody has. Then, as long as all
of them together take no more than a share of the budget, the strongest known at each step count,
round by round: the first of each, the second of each, and so on.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from autosearch.baselines import baseline_names
from autosearch.baselines.strongest import PLAIN, own_solver, strongest
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.given import Given, named_recipe
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.experiment import Experiment

__all__ = [
    "BASELINES_SHARE",
    "LEAST_PER_COUNT",
    "MOST_PER_COUNT",
    "DefaultBaselines",
    "default_baselines",
]

# Of the budget; as much as setting up may take besides.
BASELINES_SHARE = 0.2
# However large the budget: so many of each step count, the own scheduler's besides; and where the
# space can express fewer of the strongest than the least, any that there are up to that.
MOST_PER_COUNT, LEAST_PER_COUNT = 8, 3

_CANDIDATES, _FORWARDS = "candidates", "forward equivalents"


@dataclass(frozen=True)
class DefaultBaselines:
    """The names of a default list, with their step counts, and what to change about it.

    Attributes:
        names: in the order in which they were chosen, their plans distinct.
        advice: one line where the model's own scheduler alone takes more than the share.
    """

    names: tuple[str, ...]
    advice: str | None = None


def default_baselines(problem: Problem) -> DefaultBaselines:
    """The default list of a problem."""
    chosen = _Chosen(problem, _limits(problem))
    counts = problem.step_counts
    own = own_solver(problem.denoiser)
    for count in counts:
        chosen.take(chosen.own((own, PLAIN), count))
    # Where the hypervolume's axes begin.
    chosen.take(chosen.own((PLAIN,), counts[0]))
    advice = chosen.advice(own)
    queues = deque(chosen.strongest(count) for count in counts)
    while queues:
        queue = queues.popleft()
        if (one := next(queue, None)) is None:
            continue
        if chosen.beyond(one.plan):
            break
        chosen.take(one)
        queues.append(queue)
    return DefaultBaselines(tuple(one.name for one in chosen.given.values()), advice)


@dataclass(eq=False)
class _Chosen:
    """What was chosen so far, by plan, and what it takes of the budget's limits."""

    problem: Problem
    limits: dict[str, float]
    given: dict[str, Given] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=lambda: {_CANDIDATES: 0.0, _FORWARDS: 0.0})

    def take(self, one: Given | None) -> None:
        """Take one in whose plan is new."""
        if one is not None and one.plan.identity not in self.given:
            self.given[one.plan.identity] = one
            self.taken = self._with(one.plan)

    def beyond(self, plan: Plan | None = None) -> list[str]:
        """The limits whose share is passed, with another plan or as it is."""
        taken = self.taken if plan is None else self._with(plan)
        return [name for name, most in self.limits.items() if taken[name] > BASELINES_SHARE * most]

    def own(self, solvers: tuple[str, ...], count: int) -> Given | None:
        """The first of some solvers, on its own grid, that may be evaluated; also a yardstick."""
        made = (self._admitted(f"{solver}@{count}") for solver in solvers)
        return next((one for one in made if one is not None), None)

    def strongest(self, count: int) -> Iterator[Given]:
        """What the space can express of a step count and is not chosen yet, the strongest first."""
        denoiser, found = self.problem.denoiser, 0
        for one in itertools.islice(self._new(strongest(denoiser, count), count), MOST_PER_COUNT):
            found += 1
            yield one
        every = baseline_names(denoiser.schedule, own_grids=denoiser.own_grids)
        yield from itertools.islice(self._new(every, count), max(LEAST_PER_COUNT - found, 0))

    def advice(self, solver: str) -> str | None:
        """What to change where what was chosen is beyond the share already."""
        broken = self.beyond()
        if not broken:
            return None
        name, counts = broken[0], self.problem.step_counts
        return (
            f"baselines: the model's own scheduler ({solver}) at {counts[0]} to {counts[-1]} steps "
            f"takes {self.taken[name]:,.0f} of {self.limits[name]:,.0f} {name}, more than a fifth; "
            "raise the budget, search fewer step counts, or name baselines"
        )

    def _new(self, names: Iterable[str], count: int) -> Iterator[Given]:
        """What of names, at a step count, the space can express and is not chosen yet."""
        for name in names:
            one = self._admitted(f"{name}@{count}")
            if one is not None and not one.foreign and one.plan.identity not in self.given:
                yield one

    def _with(self, plan: Plan) -> dict[str, float]:
        cost = plan.cost(self.problem.rungs[-1])
        return {
            _CANDIDATES: self.taken[_CANDIDATES] + 1,
            _FORWARDS: self.taken[_FORWARDS] + cost,
        }

    def _admitted(self, name: str) -> Given | None:
        """The baseline of a name, where the model can run it and limits allow it."""
        one = named_recipe(self.problem, name)
        if isinstance(one, UserError) or self.problem.violation(one.plan) is not None:
            return None
        return one


def _limits(problem: Problem) -> dict[str, float]:
    """What ends the search, by its unit; one in hours alone counts as the default budget."""
    budget, most = problem.experiment.budget, problem.make_algorithm().most_candidates
    counts = [count for count in (budget.candidates, most) if count is not None]
    limits = {_CANDIDATES: float(min(counts))} if counts else {}
    if budget.forward_equivalents is not None:
        limits[_FORWARDS] = budget.forward_equivalents
    if not limits:
        limits[_CANDIDATES] = float(Experiment.model_fields["budget"].default.candidates)
    return limits
