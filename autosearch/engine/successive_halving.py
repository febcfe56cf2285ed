"""Successive halving: which samples of a candidate to evaluate next, and its final result."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Judgement, Problem
from autosearch.engine.racing import Race
from autosearch.engine.teacher import Teacher
from autosearch.engine.workers.base import Outcome
from autosearch.study.events import Evaluated, Status
from autosearch.study.study import Candidate, Estimates

__all__ = ["SuccessiveHalving"]


@dataclass(frozen=True)
class _Partial:
    """Rows and estimates of a candidate whose evaluation goes on."""

    rows: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    samples: int = 0
    rungs: tuple[Estimates, ...] = ()
    executed: float = 0.0
    seconds: float = 0.0

    def plus(self, outcome: Outcome, samples: int) -> "_Partial":
        """With what an outcome adds, which ends at so many samples."""
        whole = replace(
            self,
            executed=self.executed + outcome.forward_equivalents,
            seconds=self.seconds + outcome.seconds,
        )
        if outcome.reason is not None:
            return whole
        rows = {
            name: np.concatenate([self.rows[name], rows]) if name in self.rows else rows
            for name, rows in outcome.rows.items()
        }
        return replace(whole, samples=samples, rows=rows)


class SuccessiveHalving:
    """Candidates on their rungs, each a number of samples; without racing there is one rung.

    Args:
        problem: what is searched.
        teacher: the fine trajectory on all samples of the last rung, where an objective needs it.
    """

    def __init__(self, problem: Problem, *, teacher: Teacher | None) -> None:
        self._problem = problem
        self._teacher = teacher
        self.rungs = problem.rungs
        self._race = Race(self.rungs, problem.measure.objectives)
        self._partial: dict[int, _Partial] = {}

    @property
    def top(self) -> int:
        """The number of samples at the last rung."""
        return self.rungs[-1]

    def samples(self, candidate: Candidate) -> tuple[int, int]:
        """Which samples are to be measured next: from, and up to but without."""
        start = self._partial.get(candidate.id, _Partial()).samples
        return start, self._end(candidate, start)

    def take(self, candidate: Candidate, plan: Plan, outcome: Outcome) -> Evaluated | None:
        """The candidate's result; None where it is to be measured further."""
        partial = self._partial.get(candidate.id, _Partial())
        partial = partial.plus(outcome, self._end(candidate, partial.samples))
        status: Status = "infeasible"
        reason = outcome.reason
        values: Estimates = {}
        failed = outcome.failure is not None
        for rung in self.rungs[len(partial.rungs) :]:
            if outcome.reason is not None or rung > partial.samples:
                break
            status, reason, values, failed = self._judge(plan, partial, rung)
            if status != "ok":
                break
            partial = replace(partial, rungs=(*partial.rungs, values))
        if status == "ok" and partial.samples < self.top:
            at = len(partial.rungs) - 1
            if not self._race.stops(values, at, before=candidate.told):
                self._partial[candidate.id] = partial
                return None
        short = outcome.reason is None and partial.samples < self.top
        return Evaluated(
            id=candidate.id,
            status=status,
            reason=reason,
            values=values,
            samples=partial.samples,
            forward_equivalents=partial.executed,
            seconds=round(partial.seconds, 6),
            saved=1 - partial.samples / self.top if short else 0.0,
            rungs=list(partial.rungs[:-1]) if len(self.rungs) > 1 else None,
            worker=outcome.worker,
            failed=failed,
        )

    def begun(self, number: int) -> bool:
        """Whether a candidate has rows, and waits for more of them."""
        return number in self._partial

    def tell(self, candidate: Candidate) -> None:
        """From now on later candidates are compared with this one."""
        self._partial.pop(candidate.id, None)
        if len(self.rungs) > 1 and candidate.status == "ok":
            self._race.tell(candidate.id, [*candidate.rungs, candidate.values])

    def _end(self, candidate: Candidate, start: int) -> int:
        """The next rung; of a baseline the last, since nothing stops it."""
        if candidate.kind == "baseline":
            return self.top
        return next((rung for rung in self.rungs if rung > start), self.top)

    def _judge(self, plan: Plan, partial: _Partial, samples: int) -> Judgement:
        """What comes of the first samples."""
        rows = {name: rows[:samples] for name, rows in partial.rows.items()}
        teacher = None if self._teacher is None else self._teacher.first(samples)
        return self._problem.judge(plan, rows, samples=samples, teacher=teacher)
