"""What of a search is worth measuring again, and which validation counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autosearch._typing import Array
from autosearch.objectives.base import Estimate, Objective, compare
from autosearch.study.ranking import Ranking, objectives_of
from autosearch.study.study import Candidate, Noise, Study

__all__ = ["SearchFront", "selection"]

# Of each cost, validated besides the front: so many more candidates, at most so many baselines.
_MORE, _BASELINES = 2, 3


@dataclass(frozen=True, eq=False)
class SearchFront:
    """The front by search values, and what belongs beside it.

    A front ends where nobody would go: a candidate that in *every* measured objective is worse
    than *every* feasible named baseline is folded away, however cheap it is.

    Attributes:
        study: whose search it is.
        ranking: its contenders, folded ones left out.
        folded: non-dominated contenders that are folded.
        worst: the baselines that are the worst in some measured objective.
    """

    study: Study
    ranking: Ranking
    folded: tuple[Candidate, ...]
    worst: tuple[str, ...]

    @classmethod
    def of(cls, study: Study) -> "SearchFront":
        """Compare all contenders of a study."""
        objectives = objectives_of(study)
        everything = Ranking.of(study.contenders, objectives)
        limits, worst = _worst_baselines(study, objectives)
        worse = everything.values[:, everything.measured] > limits
        folded = np.asarray(worse.all(axis=1) if worst else np.zeros(len(worse), dtype=np.bool_))
        away = tuple(everything.candidates[i] for i in everything.front() if folded[i])
        return cls(study, everything.subset(~folded), away, worst)

    @cached_property
    def selection(self) -> list[Candidate]:
        """The front, the next two and the best baselines of each cost, by their numbers.

        Of the baselines the best of each cost, which points are held against, and up to two more
        that the search's samples cannot tell from it.
        """
        candidates = self.ranking.candidates
        front = set(self.ranking.front())
        chosen = set(front)
        for members in self.ranking.per_cost():
            baselines = [i for i in members if candidates[i].kind == "baseline"]
            others = [i for i in members if i not in front]
            chosen.update(others[:_MORE], self._rivals(baselines[:_BASELINES]))
        return [candidates[i] for i in sorted(chosen)]

    def _rivals(self, baselines: Sequence[int]) -> list[int]:
        """Of indices, best first, the first and those that are not clearly worse than it."""
        candidates = self.ranking.candidates
        return [i for i in baselines if not self._is_worse(candidates[i], candidates[baselines[0]])]

    def _is_worse(self, one: Candidate, best: Candidate) -> bool:
        """Whether a candidate is worse in every measured objective, beyond its paired interval."""
        measured = [self.ranking.objectives[i] for i in self.ranking.measured]
        return bool(measured) and all(
            _is_above(one.values[o.name], best.values[o.name], o) for o in measured
        )

    def validation(self) -> Noise | None:
        """Seed and samples of the latest validation that has measured all that it could.

        What the machinery failed at is left out, unless that is everything.
        """
        needed = {c.identity for c in self.selection} if self.study.validations else set()
        for noise, values in reversed(self.study.validations.items()):
            lost = needed & set(self.study.lost_validations(noise))
            if needed - lost <= set(values) and (not lost or needed & set(values)):
                return noise
        return None

    @property
    def tried(self) -> bool:
        """Whether on some noise all that should be validated was, or the machinery failed at it."""
        noises = {at for what, at, _ in self.study.lost if what == "validation" and at is not None}
        return any(self.tried_on(noise) for noise in noises | set(self.study.validations))

    def tried_on(self, noise: Noise) -> bool:
        """The same on the seed and samples of one validation."""
        known = set(self.study.validations.get(noise, ()))
        known |= set(self.study.lost_validations(noise))
        return {c.identity for c in self.selection} <= known


def selection(study: Study) -> list[Candidate]:
    """What is validated; see :class:`SearchFront`."""
    return SearchFront.of(study).selection


def _is_above(one: Estimate, other: Estimate, objective: Objective) -> bool:
    """Whether a value is the worse one, their paired 95% interval being all on that side."""
    if len(one.pseudo) != len(other.pseudo):
        return False  # not on the same samples: nothing is known of their difference
    low, high = compare(one, other)[1]
    return high < 0 if objective.direction == "maximize" else low > 0


def _worst_baselines(study: Study, objectives: list[Objective]) -> tuple[Array, tuple[str, ...]]:
    """The worst values of named baselines, to be minimised, and whose they are.

    Returns:
        [measured objectives] values, and names; no names where there is no such objective or
        baseline.
    """
    named = (c for c in study.candidates.values() if c.kind == "baseline")
    baselines = Ranking.of([c for c in named if c.status == "ok"], objectives)
    values = baselines.values[:, baselines.measured]
    if not values.size:
        return np.zeros(values.shape[1]), ()
    names = [baselines.candidates[i].name or "" for i in values.argmax(axis=0)]
    return values.max(axis=0), tuple(dict.fromkeys(names))
