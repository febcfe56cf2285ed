"""The search itself: asked what to evaluate, told what came of it. No I/O, no clock of its own.

Fixed order: candidate k is proposed after exactly the results 0..k-lag, told in id order, so a
search is a function of its settings for any number of workers. Arrival order: results are told as
they come; the order of events lets that be replayed.
"""

import marshal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import third_party
from autosearch.engine.patience import Patience
from autosearch.engine.prepared import Prepared, declared_reach
from autosearch.engine.successive_halving import SuccessiveHalving
from autosearch.engine.workers.base import Outcome, SampleTask
from autosearch.errors import Infeasible, MeasurementFailed, UserError
from autosearch.study.events import Asked, Ended, Evaluated, Event, ScaleFixed, fault
from autosearch.study.hypervolume import make_scale
from autosearch.study.missing import EXHAUSTED
from autosearch.study.study import UNIMPROVED, Candidate, Estimates, Study

__all__ = ["Assignment", "Engine"]

# What may be told of a candidate; see :meth:`Engine.tell`.
Measurement = Outcome | Evaluated | Mapping[str, float] | Infeasible

_ASK = int.from_bytes(b"ask", "big")
# How often one ask may meet known or forbidden plans before the space counts as exhausted.
_TRIES = 200


@dataclass(frozen=True)
class Assignment:
    """A candidate, and what of it is to be evaluated now.

    Attributes:
        id: the candidate's number, by which its result is told.
        candidate: its genome and what else was written when it was proposed.
        plan: what a sampler executes.
        task: what an executor does: sample the plan on seed blocks.
    """

    id: int
    candidate: Candidate
    plan: Plan
    task: SampleTask


def _copied(candidate: Candidate) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A candidate's genome and point for others to keep; plain data, copied in microseconds."""
    genome, point = marshal.loads(marshal.dumps((candidate.genome, candidate.point)))
    return genome, point


def _check_history(study: Study, prepared: Prepared) -> None:
    """Refuse the history of another search.

    Raises:
        UserError: where it has other objectives, or other candidates than those given here.
    """
    now = prepared.problem.experiment.objectives
    if study.experiment.objectives != now:
        before = ", ".join(study.experiment.objectives)
        raise UserError(f"history: a search of {before}, not of {', '.join(now)}")
    for number, given in enumerate(prepared.given):
        candidate = study.candidates.get(number)
        if candidate is not None and candidate.identity != given.plan.identity:
            if candidate.name == given.name:
                raise UserError(
                    f"history: {given.name} was another plan when this study began, in an earlier "
                    "release or on another model; it can be shown and exported, and a new study "
                    "searches on"
                )
            raise UserError(f"history: candidate {number} is not {given.name}, which is given here")


class Engine:
    """A search that somebody drives: a run, Ray Tune, or a loop of one's own.

        call               what follows
        ask()              the next thing to evaluate; None while results must come first, and at
                           the end
        tell(id, result)   an executor's outcome, a result that was judged elsewhere, values by
                           objective, or why there are none; the first one counts
        claim(id)          ask does not give it again: somebody evaluates it already
        stop(reason)       nothing more is proposed; what is out may still be told
        ended              why there is no more to ask and to tell; None before

    Several may be out at a time. Order, duplicates, constraints, baselines and budget are the same
    whoever drives, so in fixed order the candidates are, too.

    Args:
        prepared: what is searched, and from where.
        algorithm: who proposes, knowing nothing yet; the experiment's by default.
        history: events of the study so far, header first, or the study that they amount to (it is
            then kept up with the search); by default what preparing found, which is recorded
            first. Its results are told again, and what had none is given out again.
        record: called with each new event before it counts, such as the ``append`` of a journal
            that begins with ``prepared.header``.
        clock: seconds that a budget in hours counts, and a proposal's.
        retry: whether candidates at which the machinery failed are given out again, before
            anything is proposed; the algorithm then knows their new results alone.

    Attributes:
        study: what was asked and measured so far.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        algorithm: Algorithm | None = None,
        history: Iterable[Event] | Study | None = None,
        record: Callable[[Event], None] = lambda event: None,
        clock: Callable[[], float] = time.monotonic,
        retry: bool = False,
    ) -> None:
        events = prepared.events if history is None else history
        self.study = events if isinstance(events, Study) else Study.of(events)
        self._problem = prepared.problem
        _check_history(self.study, prepared)
        self._given = prepared.given
        self._baselines = len(prepared.baselines)
        self._experiment = prepared.problem.experiment
        self._fixed = self._experiment.order == "fixed"
        self._lag = self._experiment.lag_for()
        self._record = record
        self._clock = clock
        self._halving = SuccessiveHalving(self._problem, teacher=prepared.teacher)
        self._algorithm = self._problem.make_algorithm() if algorithm is None else algorithm
        self._algorithm.permits = self._problem.permits
        # Somebody else's algorithm need not know of it.
        share = getattr(self._algorithm, "give_up", None)
        self._patience = Patience(self._problem, share, given=len(self._given))
        # Of the budget set aside for what was told, what races have saved.
        self._unspent = 0.0
        self._plans: dict[int, Plan] = {}
        self._known = {c.identity: c.id for c in self.study.candidates.values()}
        self._untold: dict[int, Proposal] = {}
        # Seconds that the algorithm took for what has no result yet.
        self._proposing: dict[int, float] = {}
        self._next_untold = 0
        # What has no result yet, and what of it nobody evaluates.
        self._unfinished: set[int] = set()
        self._waiting: deque[int] = deque()
        # Whether the last ask had nothing new to propose: asked again when more is told.
        self._barren = False
        self._reason: str | None = None
        self._ended = False
        # Seconds of search before this engine, and when it began.
        self._before = max(self.study.searched, self.study.phases.get("search", 0.0))
        self._started = clock()
        for event in prepared.events[1:] if history is None else ():
            record(event)
        if self.study.reference is None and prepared.reference is not None:
            self._emit(prepared.reference)
        # What is evaluated once more before the history is told.
        self._again = {c.id for c in self.study.candidates.values() if c.failed and retry}
        if self._again:
            self._unfinished.update(self._again)
            self._waiting.extend(sorted(self._again))
        else:
            self._replay()

    @property
    def ended(self) -> str | None:
        """Why the search is over: nothing is to be asked or told any more."""
        return self._reason if self._ended else None

    @property
    def lag(self) -> int | None:
        """How many candidates may be out at a time; None where any number may."""
        return self._lag if self._fixed else None

    @property
    def done_asking(self) -> bool:
        """Whether ask will give no more; results may still be told."""
        return self._reason is not None and not self._waiting

    @property
    def out(self) -> int:
        """How many candidates were given out and have no result yet."""
        return len(self._unfinished) - len(self._waiting)

    def ask(self) -> Assignment | None:
        """What to evaluate next; None while results must come first, and at the end."""
        if not self._waiting and not self._again:
            self._propose()
            self._note_end()
        return self._assign(self._waiting.popleft()) if self._waiting else None

    def claim(self, number: int) -> None:
        """Leave a candidate to whoever evaluates it already."""
        if number in self._waiting:
            self._waiting.remove(number)

    def stop(self, reason: str) -> None:
        """Propose nothing more."""
        self._reason = self._reason or reason
        # Without another try they keep the results that they have.
        kept = {number for number in self._waiting if number in self._again}
        self._waiting = deque(number for number in self._waiting if number not in kept)
        self._unfinished -= kept
        self._again -= kept
        self._note_end()

    def tell(self, number: int, result: Measurement) -> None:
        """Take in what came of a candidate.

        Args:
            number: of the candidate.
            result: rows as an executor returns them; a result that was judged elsewhere; values of
                measured objectives by name, where they come from somebody else's code; or
                ``Infeasible`` with the reason why there are none.

        Raises:
            UserError: for a number that was never asked for, values that are not those of the
                measured objectives, or not finite; for anything but rows in a race.
        """
        if number not in self.study.candidates:
            raise UserError(f"candidate {number} was not asked for")
        again = number in self._waiting and self._halving.begun(number)
        if number not in self._unfinished or again:
            return
        candidate = self.study.candidates[number]
        try:
            event = self._evaluated(candidate, result)
        except ValidationError as error:
            raise UserError(f"candidate {number}: {fault(error, 'result')}") from None
        if event is None:  # there is more of it to evaluate
            self.claim(number)
            self._waiting.append(number)
            return
        # Here and not in the ask, which is a function of settings and seed alone.
        taken = {
            "proposing": round(self._proposing.get(number, 0.0), 6),
            "elapsed": round(self._elapsed(), 3),
        }
        self._emit(event.model_copy(update=taken))
        self.claim(number)
        self._unfinished.discard(number)
        self._plans.pop(number, None)
        self._proposing.pop(number, None)
        if number in self._again:
            self._again.discard(number)
            if not self._again:
                self._replay()
        elif not self._fixed:
            self._tell(self.study.candidates[number])
        self._fix_scale()
        self._note_end()

    # -- asking ------------------------------------------------------------------------------

    def _propose(self) -> None:
        """Ask the algorithm for one more, which then waits for an evaluation."""
        while self._reason is None:
            number = len(self.study.candidates)
            if not self._barren:
                if not self._may_ask(number):
                    return
                if self._ask(number):
                    self._unfinished.add(number)
                    self._waiting.append(number)
                    return
                self._barren = self._reason is None
            elif self._unfinished:
                return
            elif not (self._fixed and self._tell_until(number)):
                self._reason = EXHAUSTED

    def _may_ask(self, number: int) -> bool:
        if number < len(self._given) or not self._fixed:
            return True
        end = number - self._lag + 1
        candidates = self.study.candidates
        # All of them or none: what has arrived in between must not show.
        if not all(candidates[i].finished for i in range(self._next_untold, end)):
            return False
        self._tell_until(end)
        return True

    def _tell_until(self, end: int) -> bool:
        """Tell results up to id ``end``, which is left out, in id order; whether there are any."""
        before = self._next_untold
        while self._next_untold < end:
            self._next_untold += 1
            self._tell(self.study.candidates[self._next_untold - 1])
        return self._next_untold > before

    def _ask(self, number: int) -> bool:
        """Whether there is a candidate of this number now."""
        if number < len(self._given):
            given = self._given[number]
            return self._accept(number, given.plan, Proposal(given.genome))
        if self._patience.over(self.study, self._unspent, self._elapsed()):
            # What is under way may yet be better: it is told first, and then asked again.
            self._reason = None if self._untold else UNIMPROVED
            return False
        rng = np.random.default_rng([self._experiment.seed, _ASK, number])
        duplicates = 0
        started = self._clock()
        for _ in range(_TRIES):
            asked = self._problem.propose(self._algorithm, rng, list(self._untold.values()))
            if asked is None:
                return False
            proposal, plan = asked
            if plan.identity in self._known:
                duplicates += 1
            elif self._problem.violation(plan) is None:
                self._proposing[number] = self._clock() - started
                return self._accept(number, plan, proposal, duplicates=duplicates)
        return False

    def _accept(self, number: int, plan: Plan, proposal: Proposal, *, duplicates: int = 0) -> bool:
        """Take a candidate in, unless the budget is used up."""
        nominal = plan.cost(self._halving.top)
        self._reason = self._used_up(nominal)
        if self._reason is not None:
            return False
        given = self._given[number] if number < len(self._given) else None
        own: Literal["init", "search"] = "search" if given is None else "init"
        self._emit(
            Asked(
                id=number,
                kind="baseline" if number < self._baselines else own,
                name=None if given is None else given.name,
                genome=proposal.genome,
                identity=plan.identity,
                nominal=nominal,
                duplicates=duplicates,
                told=self._next_untold,
                point=None if proposal.point is None else dict(proposal.point),
                once=plan.cost(0),
                foreign=given is not None and given.foreign,
            )
        )
        self._note_untold(self.study.candidates[number])
        self._known[plan.identity] = number
        self._plans[number] = plan
        return True

    def _used_up(self, nominal: float) -> str | None:
        """Why nothing more can be asked for, if so.

        All but ``hours`` depends on what was asked alone, never on timing.
        """
        budget, study, most = self._experiment.budget, self.study, self._algorithm.most_candidates
        count, limit = len(study.candidates), budget.forward_equivalents
        if budget.candidates is not None and count >= budget.candidates:
            return "budget"
        if limit is not None and study.planned - self._unspent + nominal > limit:
            return "budget"
        if budget.hours is not None and self._elapsed() > 3600 * budget.hours:
            return "budget"
        if most is not None and count >= most:
            return f"{self._algorithm.name} takes at most {most} candidates"
        return None

    def _elapsed(self) -> float:
        """Seconds of search so far, those before a resume or a kill included."""
        return self._before + self._clock() - self._started

    def _assign(self, number: int) -> Assignment:
        candidate = self.study.candidates[number]
        plan = self._plan(candidate)
        start, end = self._halving.samples(candidate)
        task = self._problem.search_task(number, plan, self._blocks(number, start, end))
        # Who evaluates it may do with it what they like.
        genome, point = _copied(candidate)
        return Assignment(number, replace(candidate, genome=genome, point=point), plan, task)

    def _blocks(self, number: int, start: int, end: int) -> tuple[int, ...]:
        """The seed blocks of some of a candidate's samples: those of all, or its own."""
        blocks = self._problem.blocks(end)[len(self._problem.blocks(start)) :]
        if self._experiment.noise == "common":
            return blocks
        return tuple(number * len(blocks) + block for block in blocks)

    def _plan(self, candidate: Candidate) -> Plan:
        if candidate.id not in self._plans:
            self._plans[candidate.id] = self._problem.compile(self.study.recipe(candidate))
        return self._plans[candidate.id]

    # -- telling -----------------------------------------------------------------------------

    def _evaluated(self, candidate: Candidate, result: Measurement) -> Evaluated | None:
        """A candidate's result; None where there is more of it to evaluate."""
        if isinstance(result, Outcome):
            if result.id != candidate.id:
                raise UserError(f"an outcome of {result.id} told of candidate {candidate.id}")
            return self._halving.take(candidate, self._plan(candidate), result)
        if len(self._halving.rungs) > 1:
            raise UserError("rungs: a race compares rows; tell outcomes, or give samples")
        if isinstance(result, Evaluated):
            event = result.model_copy(update={"id": candidate.id})
            reason = self.study.misplaced(event)
            if reason is not None:
                raise UserError(f"candidate {candidate.id}: {reason}")
            return event
        values: Estimates = {}
        failed = False
        try:
            if isinstance(result, Infeasible):
                raise result
            values = self._problem.measure.given(self._plan(candidate), result)
            reason = self._problem.measured_violation({n: e.value for n, e in values.items()})
        except Infeasible as error:
            reason = str(error) or "infeasible"
            failed = isinstance(error, MeasurementFailed)
        return Evaluated(
            id=candidate.id,
            status="infeasible" if reason else "ok",
            reason=reason,
            values=values,
            samples=self._halving.top,
            forward_equivalents=candidate.nominal,
            seconds=0.0,
            failed=failed,
        )

    def _tell(self, candidate: Candidate) -> None:
        """Tell the algorithm a result, alone, so that it cannot see which ones came together."""
        self._barren = False
        self._untold.pop(candidate.id, None)
        self._unspent += (candidate.nominal - candidate.once) * candidate.saved
        self._halving.tell(candidate)
        self._patience.tell(candidate)
        with third_party("algorithm", self._algorithm):
            self._algorithm.tell([self._result(candidate)], list(self._untold.values()))

    def _result(self, candidate: Candidate) -> Result:
        values = {name: estimate.value for name, estimate in candidate.values.items()}
        measured = self._problem.signed(values) if values else None
        genome, point = _copied(candidate)
        return Result(
            candidate.id,
            None if candidate.foreign else genome,
            measured if candidate.status == "ok" else None,
            cost=self._cost(candidate),
            baseline=candidate.kind != "search",
            point=point,
            measured=measured,
            violations=self._problem.violations(values) if values else (),
            residuals=self._residuals(candidate),
        )

    def _residuals(self, candidate: Candidate) -> tuple[float, ...]:
        """What a value is made of; of all samples, since others' cannot be compared with it."""
        if candidate.samples < self._halving.top:
            return ()
        return next((one.residuals for one in candidate.values.values() if one.residuals), ())

    def _cost(self, candidate: Candidate) -> float:
        """What the candidate took of the budget: forwards, unless only candidates are counted."""
        budget = self._experiment.budget
        counted = budget.candidates is not None
        if counted and budget.forward_equivalents is None and budget.hours is None:
            return 1.0
        return max(candidate.nominal, 1.0)

    # -- events --------------------------------------------------------------------------------

    def _replay(self) -> None:
        """Bring the algorithm to where the study ends; what had no result waits again."""
        candidates = self.study.candidates
        for number in self.study.order:
            if number >= 0:
                self._tell_until(candidates[number].told)
                self._note_untold(candidates[number])
            elif not self._fixed:
                self._tell(candidates[~number])
        unfinished = [c.id for c in candidates.values() if not c.finished]
        self._unfinished.update(unfinished)
        self._waiting.extend(unfinished)
        self._fix_scale()

    def _note_untold(self, candidate: Candidate) -> None:
        """Keep what an algorithm may look at while a candidate has no result."""
        if not candidate.foreign:
            self._untold[candidate.id] = Proposal(*_copied(candidate))

    def _fix_scale(self) -> None:
        """Settle the hypervolume's axes once the last baseline has a result, if there is one."""
        study = self.study
        if study.scale is not None or len(study.candidates) < self._baselines:
            return
        first = [study.candidates[i] for i in range(self._baselines)]
        if all(c.finished for c in first) and any(c.status == "ok" for c in first):
            self._emit(
                ScaleFixed(
                    axes=make_scale(study, self._problem.objectives, declared_reach(self._problem))
                )
            )

    def _note_end(self) -> None:
        known = self.study.candidates
        if self._reason is not None and not self._unfinished and not self._ended:
            self._ended = True
            untold = range(self._next_untold if self._fixed else len(known), len(known))
            self._reason = self._patience.reason(self._reason, [known[i] for i in untold])
            self._emit(Ended(reason=self._reason))

    def _emit(self, event: Event) -> None:
        self._record(event)
        self.study.apply(event)
