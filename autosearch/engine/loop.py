"""The search loop: asks by id, tells by id, resumes from the journal.

Fixed order: candidate k is proposed after exactly the results 0..k-lag, told in id order, so a
run is a function of its config for any number of workers. Arrival order: results are told as they
come; the order of the journal's lines lets that be replayed.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.engine.successive_halving import SuccessiveHalving
from autosearch.engine.workers.base import Executor, Outcome, Task
from autosearch.errors import UserError
from autosearch.study.journal import Journal
from autosearch.study.study import Candidate, Study

__all__ = ["Search"]

_ASK = int.from_bytes(b"ask", "big")
# How often one ask may meet known or forbidden plans before the space counts as exhausted.
_TRIES = 200


class Search:
    """The search loop of one run, which continues a study's journal.

    Args:
        problem: what is searched.
        journal: open for writing; what it already holds is taken up where it ended.
        study: what the journal's records amount to; kept up with it.
        executor: who evaluates.
        algorithm: who proposes, knowing nothing yet; the experiment's by default.
        teacher: ends [samples, d] of the fine trajectory, where an objective needs them.
        on_change: called after each result.
        stopping: asked before each proposal; true ends the search when all in flight is saved.
    """

    def __init__(
        self,
        problem: Problem,
        journal: Journal,
        study: Study,
        executor: Executor,
        *,
        algorithm: Algorithm | None = None,
        teacher: NDArray[np.generic] | None = None,
        on_change: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.problem = problem
        self.journal = journal
        self.study = study
        self.executor = executor
        self._halving = SuccessiveHalving(problem, teacher=teacher)
        # Of the budget set aside for what was told, what races have saved.
        self._unspent = 0.0
        self._on_change = on_change
        self._stopping = stopping
        self._experiment = problem.experiment
        if self._experiment.order == "fixed" and executor.size > self._experiment.lag:
            raise UserError(
                f"lag: {self._experiment.lag} is below the number of workers, {executor.size}; "
                "raise lag, or use order: arrival"
            )
        self._algorithm = problem.make_algorithm() if algorithm is None else algorithm
        self._algorithm.permits = problem.permits
        self._plans: dict[int, Plan] = {}
        self._known = {c.identity: c.id for c in study.candidates.values()}
        self._untold: dict[int, Proposal] = {}
        # Seconds that the algorithm took for what is in flight.
        self._proposing: dict[int, float] = {}
        self._next_untold = 0
        self._in_flight: set[int] = set()
        # Whether the last ask had nothing new to propose: asked again when more is told.
        self._barren = False
        self._started = time.monotonic()
        self.stop_reason: str | None = None

    def run(self) -> str:
        """Search until the budget or the space is used up; returns why it ended."""
        self._replay()
        while self.stop_reason is None or self._in_flight:
            self._fill()
            if self._in_flight:
                for outcome in self.executor.wait():
                    self._finish(outcome)
                    self._on_change()
            elif self.stop_reason is None and not self._tell_rest():
                self.stop_reason = "space exhausted"
        assert self.stop_reason is not None
        self._write({"type": "stop", "reason": self.stop_reason})
        return self.stop_reason

    # -- asking ------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Ask and submit while workers have room and the order allows it."""
        room = 2 * self.executor.size
        while len(self._in_flight) < room and self.stop_reason is None and not self._barren:
            if self._stopping():
                self.stop_reason = "interrupted"
                return
            next_id = len(self.study.candidates)
            if not self._may_ask(next_id):
                return
            candidate = self._ask(next_id)
            if candidate is not None:
                self._submit(candidate)
            elif self.stop_reason is None:
                self._barren = True

    def _may_ask(self, next_id: int) -> bool:
        if next_id < self._given or self._experiment.order == "arrival":
            return True
        end = next_id - self._experiment.lag + 1
        candidates = self.study.candidates
        # All of them or none: what has arrived in between must not show.
        if not all(candidates[i].finished for i in range(self._next_untold, end)):
            return False
        self._tell_until(end)
        return True

    def _tell_until(self, end: int) -> None:
        """Tell finished results up to id ``end``, which is left out, in id order."""
        while self._next_untold < end:
            self._next_untold += 1
            self._tell(self.study.candidates[self._next_untold - 1])

    def _tell_rest(self) -> bool:
        """Tell all that is left in id order; whether there was anything."""
        before = self._next_untold
        if self._experiment.order == "fixed":
            self._tell_until(len(self.study.candidates))
        return self._next_untold > before

    def _ask(self, next_id: int) -> Candidate | None:
        if next_id < self._given:
            return self._ask_given(next_id)
        rng = np.random.default_rng([self._experiment.seed, _ASK, next_id])
        pending = self._pending()
        duplicates = 0
        started = time.perf_counter()
        for _ in range(_TRIES):
            asked = self._algorithm.ask(rng, pending)
            if asked is None:
                break
            proposal = asked if isinstance(asked, Proposal) else Proposal(asked)
            plan = self.problem.space.plan(proposal.genome)
            if plan.identity in self._known:
                duplicates += 1
            elif self.problem.violation(plan) is None:
                self._proposing[next_id] = time.perf_counter() - started
                return self._accept(next_id, plan, proposal, duplicates=duplicates)
        return None

    @property
    def _given(self) -> int:
        """How many candidates there are before the algorithm is asked."""
        return len(self.problem.baselines) + len(self.problem.warm_start)

    def _ask_given(self, next_id: int) -> Candidate | None:
        """The next baseline, or the next of what the search starts from besides."""
        baselines, warm_start = self.problem.baselines, self.problem.warm_start
        given = [*baselines, *warm_start][next_id]
        return self._accept(
            next_id,
            given.plan,
            Proposal(given.genome),
            kind="baseline" if next_id < len(baselines) else "init",
            name=given.name,
            foreign=given.foreign,
        )

    def _accept(
        self,
        next_id: int,
        plan: Plan,
        proposal: Proposal,
        *,
        kind: str = "search",
        name: str | None = None,
        foreign: bool = False,
        duplicates: int = 0,
    ) -> Candidate | None:
        """Write the ask, unless the budget is used up."""
        nominal = plan.cost(self._halving.top)
        self.stop_reason = self._ended(nominal)
        if self.stop_reason is not None:
            return None
        record: dict[str, object] = {
            "type": "ask",
            "id": next_id,
            "kind": kind,
            "name": name,
            "genome": proposal.genome,
            "identity": plan.identity,
            "nominal": nominal,
            "duplicates": duplicates,
            "told": self._next_untold,
        }
        if proposal.point is not None:
            record["point"] = dict(proposal.point)
        if once := plan.cost(0):
            record["once"] = once
        if foreign:
            record["foreign"] = True
        else:
            self._untold[next_id] = proposal
        self._write(record)
        self._known[plan.identity] = next_id
        self._plans[next_id] = plan
        return self.study.candidates[next_id]

    def _ended(self, nominal: float) -> str | None:
        """Why nothing more can be asked for, if so."""
        if self._over_budget(nominal):
            return "budget"
        most = self._algorithm.most_candidates
        if most is not None and len(self.study.candidates) >= most:
            return f"{self._algorithm.name} takes at most {most} candidates"
        return None

    def _over_budget(self, nominal: float) -> bool:
        """All but ``hours`` depend on what was asked alone, never on timing."""
        budget, study = self._experiment.budget, self.study
        if budget.candidates is not None and len(study.candidates) >= budget.candidates:
            return True
        limit = budget.forward_equivalents
        if limit is not None and study.planned - self._unspent + nominal > limit:
            return True
        elapsed = time.monotonic() - self._started + study.phases.get("search", 0.0)
        return budget.hours is not None and elapsed > 3600 * budget.hours

    def _submit(self, candidate: Candidate) -> None:
        self._in_flight.add(candidate.id)
        self.executor.submit(
            Task(
                id=candidate.id,
                plan=self._plan(candidate),
                seed=self._experiment.seed,
                stream=Stream.SEARCH,
                blocks=self._blocks(candidate.id, *self._halving.samples(candidate)),
                block_size=self.problem.seed_block,
                needs=self.problem.measure.needs,
            )
        )

    def _blocks(self, number: int, start: int, end: int) -> tuple[int, ...]:
        """The seed blocks of some of a candidate's samples: those of all, or its own."""
        blocks = self.problem.blocks(end)[len(self.problem.blocks(start)) :]
        if self._experiment.noise == "common":
            return blocks
        return tuple(number * len(blocks) + block for block in blocks)

    def _plan(self, candidate: Candidate) -> Plan:
        if candidate.id not in self._plans:
            self._plans[candidate.id] = self.problem.compile(self.study.recipe(candidate))
        return self._plans[candidate.id]

    # -- telling -----------------------------------------------------------------------------

    def _finish(self, outcome: Outcome) -> None:
        self._in_flight.discard(outcome.id)
        candidate = self.study.candidates[outcome.id]
        result = self._judge(candidate, outcome)
        if result is None:
            self._submit(candidate)
            return
        self._plans.pop(outcome.id, None)
        self._write(
            {
                "type": "result",
                "id": outcome.id,
                **result,
                # Here and not in the ask, whose record is a function of config and seed alone.
                "proposing": round(self._proposing.pop(outcome.id, 0.0), 6),
                "worker": outcome.worker,
            },
            sync=True,
        )
        if self._experiment.order == "arrival":
            self._tell(candidate)

    def _judge(self, candidate: Candidate, outcome: Outcome) -> Mapping[str, object] | None:
        """What a result's record says of an outcome; None where there is more to measure."""
        return self._halving.take(candidate, self._plan(candidate), outcome)

    def _tell(self, candidate: Candidate) -> None:
        """Tell the algorithm a result, alone, so that it cannot see which ones came together."""
        self._barren = False
        self._untold.pop(candidate.id, None)
        self._unspent += (candidate.nominal - candidate.once) * candidate.saved
        self._halving.tell(candidate)
        self._algorithm.tell([self._result(candidate)], self._pending())

    def _result(self, candidate: Candidate) -> Result:
        values = {name: estimate.value for name, estimate in candidate.values.items()}
        measured = self.problem.signed(values) if values else None
        return Result(
            candidate.id,
            None if candidate.foreign else candidate.genome,
            measured if candidate.status == "ok" else None,
            cost=self._cost(candidate),
            baseline=candidate.kind != "search",
            point=candidate.point,
            measured=measured,
            violations=self.problem.violations(values) if values else (),
        )

    def _cost(self, candidate: Candidate) -> float:
        """What the candidate took of the budget: forwards, unless only candidates are counted."""
        budget = self._experiment.budget
        counted = budget.candidates is not None
        if counted and budget.forward_equivalents is None and budget.hours is None:
            return 1.0
        return max(candidate.nominal, 1.0)

    def _pending(self) -> list[Proposal]:
        """What was asked for and is not yet told, which is not the same as not yet finished."""
        return list(self._untold.values())

    # -- the journal --------------------------------------------------------------------------

    def _replay(self) -> None:
        """Bring the algorithm to where the journal ends, and queue again what had no result."""
        candidates = self.study.candidates
        arrival = self._experiment.order == "arrival"
        for record in self.journal.records:
            if record["type"] == "ask":
                self._tell_until(record["told"])
                if record.get("foreign"):
                    continue
                self._untold[record["id"]] = Proposal(record["genome"], record.get("point"))
            elif record["type"] == "result" and arrival:
                self._tell(candidates[record["id"]])
        self.journal.records.clear()
        for candidate in candidates.values():
            if not candidate.finished:
                self._submit(candidate)

    def _write(self, record: Mapping[str, object], *, sync: bool = False) -> None:
        self.journal.append(record, sync=sync)
        self.study.apply(record)
