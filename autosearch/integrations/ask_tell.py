"""A search whose evaluations somebody else runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.engine.loop import Search
from autosearch.engine.problem import Problem
from autosearch.engine.run import study_header
from autosearch.engine.workers.base import Executor, Job, Outcome, Task
from autosearch.errors import UserError
from autosearch.study.journal import Journal
from autosearch.study.study import Candidate, Study

__all__ = ["AskTell"]

Record = dict[str, Any]


class AskTell(Search):
    """The engine's own search, driven from outside.

        call                what follows
        ask()               the task of a candidate; None when there is none now, or ever (finished)
        tell(id, measured)  its result, as a CandidateEvaluator gives it; the first one counts
        claim(id)           ask does not give it again: somebody evaluates it already
        finished            ask will give no more; results may still be told

    Order, duplicates, constraints, baselines and budget are those of an ordinary run, so in fixed
    order the candidates are the same, whoever evaluates them and however many at a time.

    Args:
        problem: what is searched.
        records: what an earlier search wrote, header first: its results are told again, and what
            had no result is given out again unless it is claimed.
    """

    def __init__(self, problem: Problem, records: Sequence[Mapping[str, Any]]) -> None:
        if problem.experiment.rungs:
            raise UserError("rungs: only `autosearch run` races candidates; give samples")
        self._memory = _Memory(records)
        self._waiting = _Waiting()
        self._measured: Mapping[str, Any] = {}
        study = Study.from_records(self._memory.records)
        super().__init__(problem, self._memory, study, self._waiting)
        self._replay()

    @classmethod
    def start(cls, problem: Problem, *, name: str) -> "AskTell":
        """A search that has nothing behind it, as a study of this name."""
        return cls(problem, [{"type": "header", **study_header(problem, Path(name))}])

    @property
    def written(self) -> list[Record]:
        """All records so far, header first, as a study's journal would hold them."""
        return self._memory.written

    @property
    def finished(self) -> bool:
        """Whether ``ask`` will give no more."""
        return self.stop_reason is not None and not self._waiting.tasks

    @property
    def running(self) -> int:
        """How many candidates were given out and have no result yet."""
        return len(self._in_flight) - len(self._waiting.tasks)

    def ask(self) -> Task | None:
        """What to evaluate, if there is something; its id is the candidate's."""
        tasks = self._waiting.tasks
        if not tasks:
            self._propose()
            self._note_end()
        return tasks.pop(next(iter(tasks))) if tasks else None

    def claim(self, candidate: int) -> None:
        """Leave a candidate to whoever evaluates it already."""
        self._waiting.tasks.pop(candidate, None)

    def tell(self, candidate: int, measured: Mapping[str, Any]) -> None:
        """Take in a result; one that is not waited for is left aside."""
        if candidate not in self._in_flight:
            return
        self.claim(candidate)
        self._measured = measured
        self._finish(
            Outcome(
                candidate,
                forward_equivalents=measured["forward_equivalents"],
                seconds=measured["seconds"],
                worker=measured["worker"],
            )
        )
        self._note_end()

    def _propose(self) -> None:
        """Ask the algorithm for one more, and queue it."""
        while self.stop_reason is None:
            next_id = len(self.study.candidates)
            if not self._barren:
                if not self._may_ask(next_id):
                    return
                candidate = self._ask(next_id)
                if candidate is not None:
                    self._submit(candidate)
                    return
                self._barren = self.stop_reason is None
            elif self._in_flight:
                return
            elif not self._tell_rest():
                self.stop_reason = "space exhausted"

    def _note_end(self) -> None:
        """Write why the search ended, once nothing is out."""
        ended = self.stop_reason is not None and not self._in_flight
        if ended and self.written[-1]["type"] != "stop":
            self._write({"type": "stop", "reason": self.stop_reason})

    def _judge(self, candidate: Candidate, outcome: Outcome) -> Mapping[str, object]:
        """As whoever measured it has judged already."""
        names = ("status", "reason", "values", "forward_equivalents", "seconds")
        return {name: self._measured[name] for name in names} | {"samples": self._halving.top}


class _Memory(Journal):
    """A journal without a file.

    ``records`` are for the replay, which empties them; ``written`` is kept.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.records = [dict(record) for record in records]
        self.written = list(self.records)

    def append(self, record: Mapping[str, Any], *, sync: bool = False) -> None:
        self.written.append(dict(record))


class _Waiting(Executor):
    """Tasks that nobody has taken yet, oldest first."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}

    @property
    def size(self) -> int:
        """The least there is: how many run at a time is not decided here."""
        return 1

    def submit(self, task: Job) -> None:
        assert isinstance(task, Task)  # fits are refused before
        self.tasks[task.id] = task

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        raise RuntimeError("results are told, not waited for")

    def close(self) -> None:
        self.tasks.clear()
