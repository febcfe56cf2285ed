"""Local search around the best recipe of each number of evaluations, from good starts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.local_models import (
    LocalModel,
    QuadraticModel,
    ResidualModel,
    draw_near,
)
from autosearch.algorithms.plan_features import COSTS
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.threads import one_thread
from autosearch.errors import UserError
from autosearch.spaces.base import Genome

__all__ = ["Refine"]

# Results that a number of evaluations keeps: the best ones, from which its model is made.
_MEMORY = 60
# Patterns of choices, by their best result, whose times are moved, and how often each.
_ODDS = (0.6, 0.25, 0.15)
# Of so many patterns it is foreseen what moving their times will make of them.
_FORESEEN = 8
# How often the model is not asked, so that it learns elsewhere.
_BLIND = 0.15
# How often the best of a neighbouring number of evaluations is tried with a step more or less.
_RESIZED = 0.08
# How often the first of a number of evaluations is moved as well: equal ones are asked for once.
_MOVED = 0.5
# Of the radius after an improvement, after none, and its ends.
_GROWS, _SHRINKS, _LEAST, _MOST = 1.5, 0.9, 0.01, 0.5


@dataclass(kw_only=True, eq=False)
class Refine(Algorithm):
    """A local search for each number of evaluations, from the best that is known of it.

    Of what a fit has found, one step moved by itself undoes what the others were fitted to. Here
    all times of a recipe move together and little, its number of steps and every other choice as
    they were: to where a quadratic model of the results so far expects the least value, within a
    radius that grows with success and shrinks without (a trust region, as in Powell's derivative-
    free methods; the points are random ones). A share of the proposals changes one choice of one
    step instead, the times as they were; what is found so is moved next. Each number of
    evaluations gets an equal share of the budget, and no recipe is random.

    Selection reads the first objective that plans do not declare: the numbers of evaluations are
    the trade-off, as in USF's search. The others are recorded and do not count.

    Args:
        radius: by how much the logarithms of the gaps between times change at first.
        vary: share of the proposals that change a choice.
        give_up: after this share of the budget without anything better than the starts, surely,
            the search ends and says so; 1 never ends it early.
    """

    name = "refine"
    summary = "local search around the best of each number of evaluations: from fitted starts"

    radius: float = 0.1
    vary: float = 0.3
    give_up: float | None = 0.7
    _buckets: dict[int, "_Bucket"] = field(init=False, default_factory=dict)
    # Results of each number of evaluations that were asked for, rather than given.
    _asked: Counter[int] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        self._require_shares("vary")
        if self.give_up is not None:
            self._require_shares("give_up")
        if not 0 < self.radius <= _MOST:
            raise UserError(
                f"algorithm.radius: {self.radius:g} is outside above 0 to {_MOST:g}; use 0.1"
            )
        # For each objective what plans may declare it to be; none left: it is measured.
        self._declared = [set(COSTS) for _ in range(self.objectives)]

    @one_thread()
    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        if not self._buckets:
            # What is under way are the starts, more often than not.
            return None if pending else self.space.sample(rng)
        waiting = Counter(self.space.plan(one.genome).nfe for one in pending)

        def spent(count: int) -> int:
            return count * (self._asked[count] + waiting[count])

        for count in sorted(self._counts(), key=lambda count: (spent(count), count)):
            child = self._child(count, rng)
            if child is not None:
                return child
        nearest = min(self._buckets)
        return self.space.mutate(self._buckets[nearest].best.genome, rng)

    def _child(self, count: int, rng: Rng) -> Genome | None:
        """A proposal of so many evaluations; None where there may be none."""
        bucket = self._buckets.get(count)
        if bucket is None:
            return self._first(count, rng)
        others = [n for n in (count - 1, count + 1) if n in self._buckets]
        if others and rng.random() < _RESIZED:
            return self._resized(others[int(rng.integers(len(others)))], count)
        if rng.random() < self.vary:
            return self.space.varied(bucket.best.genome, rng)
        promising = bucket.promising(rng)
        odds = np.array(_ODDS[: len(promising)])
        start, least = promising[int(rng.choice(len(odds), p=odds / odds.sum()))]
        if not len(start.place):
            return self.space.mutate(start.genome, rng)
        if least is None or rng.random() < _BLIND:
            least = draw_near(start.place, bucket.radius, rng)[0]
        return self.space.moved(start.genome, least)

    def _first(self, count: int, rng: Rng) -> Genome | None:
        """The first of so many evaluations: the nearest number's best with steps more or less."""
        nearest = min(self._buckets, key=lambda n: (abs(n - count), n))
        child = self._resized(nearest, count)
        if rng.random() < _MOVED:
            place = self.space.coordinates(child)
            child = self.space.moved(child, draw_near(place, self.radius, rng)[0])
        right = self.space.plan(child).nfe == count
        return child if right and self.permits(child) else None

    @one_thread()
    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is None:
                continue
            plan = self.space.plan(result.genome)
            self._asked[plan.nfe] += not result.baseline
            if result.values is None:
                continue
            value = self._value(result.values, plan)
            place = self.space.coordinates(result.genome)
            # The same choices at the same times: what is left are the choices.
            level = self.space.moved(result.genome, np.zeros(len(place)))
            pattern = self.space.plan(level).identity
            residuals = np.array(result.residuals)
            one = _Known(value, result.id, result.genome, pattern, place, residuals)
            self._buckets.setdefault(plan.nfe, _Bucket(self.radius)).add(one, result.baseline)

    def _counts(self) -> list[int]:
        """Numbers of evaluations: those told, and those that the space's steps reach."""
        ranges = [family.steps for family in self.space.families if family.steps is not None]
        within = {n for low, high in ranges for n in range(low, high + 1)}
        return sorted(within | set(self._buckets))

    def _resized(self, source: int, count: int) -> Genome:
        """The best of a number of evaluations with steps more or less."""
        genome = self._buckets[source].best.genome
        return self.space.resized(genome, max(len(genome["steps"]) + count - source, 1))

    def _value(self, values: Sequence[float], plan: Plan) -> float:
        """The first value that plans do not declare; the first where they declare all."""
        for names, value in zip(self._declared, values, strict=True):
            names.intersection_update([n for n in names if float(getattr(plan, n)) == value])
        measured = (v for names, v in zip(self._declared, values, strict=True) if not names)
        return next(measured, values[0])


@dataclass(frozen=True, eq=False)
class _Known:
    """A result: its value, number and genome, its choices, its coordinates [D] and residuals [S].

    Residuals are none where an objective does not say what it is made of.
    """

    value: float
    id: int
    genome: Genome
    pattern: str
    place: Array
    residuals: Array


class _Bucket:
    """What is known of one number of evaluations.

    Args:
        radius: of the first moves.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius
        self._known: list[_Known] = []

    @property
    def best(self) -> _Known:
        """The best result."""
        return self._known[0]

    def add(self, one: _Known, given: bool) -> None:
        """Take in a result; the radius follows how well the moves of what was asked for went."""
        if self._known and not given:
            if one.value < self.best.value:
                self.radius = min(self.radius * _GROWS, _MOST)
            elif one.pattern == self.best.pattern:
                self.radius = max(self.radius * _SHRINKS, _LEAST)
        self._known.append(one)
        self._known.sort(key=lambda known: (known.value, known.id))
        del self._known[_MEMORY:]

    def promising(self, rng: Rng) -> list[tuple[_Known, Array | None]]:
        """The best result of each pattern of choices, and where its model expects less, if it can.

        In the order of what is expected there, not of what they are now: times that were fitted to
        one pattern flatter it.
        """
        found: dict[str, _Known] = {}
        for one in self._known:
            found.setdefault(one.pattern, one)
        foreseen: list[tuple[float, int, _Known, Array | None]] = []
        for start in list(found.values())[:_FORESEEN]:
            model = self._model(start)
            if model is None:
                foreseen.append((start.value, start.id, start, None))
            else:
                least = model.least(rng)
                foreseen.append((float(model.values(least[None])[0]), start.id, start, least))
        return [(start, least) for _, _, start, least in sorted(foreseen, key=lambda one: one[:2])]

    def _model(self, start: _Known) -> LocalModel | None:
        """A model of the results around one of them; of their residuals where it has any."""
        alike = [
            one
            for one in self._known
            if len(one.place) == len(start.place) and len(one.residuals) == len(start.residuals)
        ]
        if len(alike) < 2 or not len(start.place):
            return None
        points = np.array([one.place for one in alike])
        patterns = list(dict.fromkeys(one.pattern for one in alike))
        kinds = np.array([patterns.index(one.pattern) for one in alike])
        middle = alike.index(start)
        if len(start.residuals):
            residuals = np.array([one.residuals for one in alike])
            return ResidualModel(points, residuals, kinds, middle=middle, radius=self.radius)
        values = np.array([one.value for one in alike])
        return QuadraticModel(points, values, kinds, middle=middle, radius=self.radius)
