"""Whether a search finds anything better than what it started from."""

from collections.abc import Iterable

from autosearch.engine.problem import Problem
from autosearch.objectives import Estimate, compare
from autosearch.study.study import UNIMPROVED, Candidate, Study

__all__ = ["Patience"]


class Patience:
    """Watches the results of a search for one that is surely better than its starts.

    Surely better: at its cost or a lower one there is a start, and the 95% interval of the paired
    difference to the best of them, on the same noise, lies on the better side of zero; or there is
    no start at such a cost. Noise flatters the best of many, and the starts are few: what not even
    this finds is not there.

    Only where a single objective is measured, on noise that all candidates share: otherwise
    :attr:`watches` is false and :attr:`found` true.

    Args:
        problem: what is searched.
        share: of what the starts leave of the budget: after so much of it without a find the search
            is over; None for never.
        given: how many candidates the search starts from.
    """

    def __init__(self, problem: Problem, share: float | None, *, given: int) -> None:
        self._budget = problem.experiment.budget
        self._share, self._given = share, given
        measured = [o for o in problem.objectives if o.needs]
        self.watches = len(measured) == 1 and problem.experiment.noise == "common"
        self._quality = measured[0] if self.watches else None
        self._costs = [o for o in problem.objectives if not o.needs]
        self._samples = problem.rungs[-1]
        self._starts: list[tuple[tuple[float, ...], Estimate]] = []
        self._found = False
        self._told = False  # of anything that was proposed

    @property
    def found(self) -> bool:
        """Whether anything surely better than the starts was told."""
        return self._found or not self.watches

    def tell(self, candidate: Candidate) -> None:
        """Take in a result; starts come before what is compared with them."""
        self._told = self._told or candidate.kind == "search"
        whole = candidate.status == "ok" and candidate.samples == self._samples
        if self._quality is None or self._found or not whole:
            return
        costs = tuple(_minimised(o.direction, candidate.values[o.name]).value for o in self._costs)
        value = _minimised(self._quality.direction, candidate.values[self._quality.name])
        if candidate.kind != "search":
            self._starts.append((costs, value))
            return
        rivals = [
            start
            for its, start in self._starts
            if all(a <= b for a, b in zip(its, costs, strict=True))
        ]
        best = min(rivals, key=lambda start: start.value, default=None)
        self._found = best is None or compare(value, best)[1][1] < 0

    def over(self, study: Study, unspent: float, elapsed: float) -> bool:
        """Whether its share is spent without a find.

        Args:
            study: so far.
            unspent: forward equivalents that races have saved of those that were planned.
            elapsed: seconds of search.
        """
        if self._share is None or self.found or len(study.candidates) <= self._given:
            return False
        return self._searched(study, unspent, elapsed) >= self._share

    def reason(self, reason: str, last: Iterable[Candidate]) -> str:
        """Why a search ended, in the end: of a budget that was used up, whether for nothing.

        Args:
            reason: why nothing more was proposed.
            last: results that were not told.
        """
        for candidate in last:
            self.tell(candidate)
        watched = self._share is not None and self._told and not self.found
        unimproved = reason == "budget" and watched
        return UNIMPROVED if unimproved else reason

    def _searched(self, study: Study, unspent: float, elapsed: float) -> float:
        """The share of what the starts left of the budget that was asked for since."""
        budget, count = self._budget, len(study.candidates)
        shares = [0.0]
        if budget.candidates is not None:
            shares.append((count - self._given) / max(budget.candidates - self._given, 1))
        if budget.forward_equivalents is not None:
            first = sum(study.candidates[number].nominal for number in range(self._given))
            before = sum(study.overheads.values()) + first
            used = study.planned - unspent - before
            shares.append(used / max(budget.forward_equivalents - before, 1.0))
        if budget.hours is not None:
            shares.append(elapsed / (3600 * budget.hours))
        return max(shares)


def _minimised(direction: str, estimate: Estimate) -> Estimate:
    if direction == "minimize":
        return estimate
    return Estimate(-estimate.value, tuple(-value for value in estimate.pseudo))
