"""What ``status`` says, once or again and again, from a study's journal and its lock alone."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autosearch.cli.output import print_text
from autosearch.cli.view import duration, plain_line, render, standing_lines
from autosearch.experiment import shipped_as
from autosearch.study.events import Ended, Evaluated, Event, PhaseEnded
from autosearch.study.front_text import spent_text
from autosearch.study.hypervolume import UPPER
from autosearch.study.journal import FILE, in_use, read_journal
from autosearch.study.missing import early_end, missing, unmet
from autosearch.study.progress import Snapshot, snapshot, unfinished
from autosearch.study.selection import selection
from autosearch.study.study import STOPPED_AT_ONCE, UNIMPROVED, UNIMPROVED_TEXT, Study
from autosearch.study.teacher import teacher_data, teacher_text, within, within_text

__all__ = ["Status", "next_step", "read_status", "status_data", "status_text", "watch"]

State = Literal["running", "finished", "stopped", "failed", "killed"]

# Where the system cannot say who holds the lock: a journal that was not written for longer than
# this belongs to a run that has ended.
_QUIET = 300.0
# Seconds between two looks of ``--watch``, on a terminal and elsewhere.
_SECONDS = 2.0
_PLAIN_SECONDS = 10.0
# A long journal takes seconds to read: at most one part in this many of the time goes there.
_SHARE = 10
# So many candidates within the teacher's own error are named.
_NAMED = 12
# So many of the latest results show who is evaluating.
_LATEST = 64
# What is said of states beside their names.
_EXPLAINED = {
    "stopped": "interrupted and saved",
    "failed": "ended by an error",
    "killed": "no process, and no last word: by a signal, or its machine went away",
}


@dataclass(frozen=True)
class Status:
    """Where a study stands.

    Attributes:
        directory: of the study.
        state: ``running`` while a process holds the study's lock; otherwise ``finished``,
            ``stopped`` (interrupted and saved), ``failed`` (the study tells the error) or
            ``killed`` (no process, and no last word).
        left: seconds that the rest of the search may take; None where that is not known.
        quiet: seconds since the journal was last written.
    """

    directory: Path
    study: Study
    state: State
    snapshot: Snapshot
    left: float | None
    quiet: float

    @property
    def head(self) -> str:
        """What is searched, and whether somebody is at it."""
        state = self.state if self.state == "finished" else f"{self.state}, {self.snapshot.phase}"
        if self.state in _EXPLAINED:
            state += f" ({_EXPLAINED[self.state]})"
        return f"{self.study.header.name} on {self.study.header.model_name}: {state}"

    @property
    def within_teacher(self) -> list[int]:
        """Candidates of the search within the teacher's own error: not told apart by it."""
        teacher = self.study.teacher()
        errors = {} if teacher is None else teacher.errors
        return [c.id for c in self.study.feasible if within(errors, c.values)]

    @property
    def cuts(self) -> int:
        """How many runs were killed; what was in flight then is not counted."""
        return self.study.cuts + (self.state == "killed" and self.study.phase is not None)


def read_status(directory: Path) -> Status:
    """Where the study of a directory stands; writes nothing.

    Raises:
        UserError: when the directory holds no study, or a damaged one.
    """
    # Asked first: a run that ends in between has then written all that it will.
    held = in_use(directory)
    events = read_journal(directory)
    study = Study.of(events)
    quiet = max(0.0, time.time() - (directory / FILE).stat().st_mtime)
    todo = unfinished(study)
    state = _state(study, events[-1], todo, held=held, quiet=quiet)
    shown = _snapshot(study, events, todo, running=state == "running")
    share, left = shown.budget_share, None
    if todo == "search" and share >= 0.01 and shown.elapsed > 0:
        left = (1 - share) / share * shown.elapsed
    return Status(directory, study, state, shown, left, quiet)


def status_data(status: Status) -> dict[str, Any]:
    """A status as plain data, as ``status --json`` prints it."""
    study, shown = status.study, status.snapshot
    teacher, near = study.teacher(), status.within_teacher
    return {
        "study": study.header.name,
        "model": study.header.model_name,
        "state": status.state,
        "phase": shown.phase,
        "done": shown.done,
        "pending": shown.running,
        "failed": shown.failed,
        "infeasible": shown.infeasible,
        "duplicates_avoided": shown.duplicates,
        "forward_equivalents": study.spent,
        "forward_equivalents_nominal": study.nominal_spent,
        "cuts": status.cuts,
        "budget_share": shown.budget_share,
        "seconds": round(study.elapsed, 3),
        "seconds_left": None if status.left is None else round(status.left, 3),
        "seconds_proposing": round(study.proposing, 3),
        "last_write_seconds_ago": round(status.quiet, 3),
        "stopped": study.stops[-1] if study.stops else None,
        "error": study.error,
        "missing": list(missing(study)),
        "objectives": list(study.experiment.objectives),
        **({} if teacher is None else {"teacher": teacher_data(teacher, near)}),
        "front": [entry._asdict() for entry in shown.front],
        "hypervolume": list(shown.volumes),
        "hypervolume_is": UPPER,
        "next": next_step(status),
    }


def status_text(status: Status) -> str:
    """A status as text for people, with what to do next."""
    study, running = status.study, status.state == "running"
    left = status.left if running else None
    asked = "running" if running else "without a result"
    spent = spent_text(study.spent, study.nominal_spent, cuts=status.cuts)
    written = f"{spent}; last written {duration(status.quiet)} ago"
    if study.proposing >= 1:
        written += f"; proposing took {duration(study.proposing)}"
    standing = standing_lines(status.snapshot, left, asked=asked)
    lines = [status.head, standing[0], written, *standing[1:]]
    if (teacher := study.teacher()) is not None:
        lines.append(teacher_text(teacher.recipe, teacher.errors))
        lines += within_text([f"#{number}" for number in status.within_teacher[:_NAMED]])
    if not running and study.stops and study.stops[-1] == UNIMPROVED:
        lines.append(f"\n{UNIMPROVED_TEXT}")
    if study.error is not None and not running:
        lines.append(f"\nthe last run ended by an error: {study.error}")
    if not running and (why := early_end(study)) is not None:
        lines.append(f"\n{why}")
    lacking = () if running else missing(study)
    lines += [f"\nmissing: {part}" for part in lacking]
    if study.stops and not lacking and (why := unmet(study)):
        lines.append(f"\n{why}")
    return "\n".join([*lines, f"\nnext: {next_step(status)}"])


def next_step(status: Status) -> str:
    """The command that makes sense now."""
    place = shlex.quote(str(status.directory))
    if status.state == "running":
        return f"autosearch status {place} --watch"
    if status.state == "finished" and not missing(status.study):
        more = "another target: front DIR --pick CHOICE; a page of everything: report DIR"
        if not status.snapshot.front:
            return f"autosearch front {place} (nothing is on the front)"
        return f"autosearch export {place} --pick knee -o recipe.json ({more})"
    # After its budget is spent, only the validation is missing.
    experiment = shipped_as(status.study.experiment, status.study.header.overrides)
    return f"autosearch run {experiment or 'EXPERIMENT'} --out {place} --resume"


def _state(
    study: Study, last: Event, todo: str | None, *, held: bool | None, quiet: float
) -> State:
    if held:
        return "running"
    if study.error == STOPPED_AT_ONCE:
        return "stopped"
    if study.error is not None:
        return "failed"
    if todo is None:
        return "finished"
    interrupted = bool(study.stops) and study.stops[-1] == "interrupted"
    # A run that ends in good order has the phase that it was in as its last word.
    phase = last.name if isinstance(last, PhaseEnded) else None
    ended = phase in ("validation", "timing") or isinstance(last, Ended)
    ended = ended or (interrupted and phase is not None)
    if held is None and not ended and quiet <= _QUIET:
        return "running"
    return "stopped" if ended else "killed"


def _snapshot(
    study: Study, events: Sequence[Event], todo: str | None, *, running: bool
) -> Snapshot:
    """The snapshot that the run itself shows; its duration is read from its results."""
    validating = (0, 0)
    at_validation = todo == "validation" or (running and todo is None)
    if at_validation:
        chosen = {c.identity for c in selection(study)}
        validated: set[str] = set().union(*list(study.validations.values())[-1:])
        validating = (len(chosen & validated), len(chosen))
    elapsed = max(study.elapsed, _evaluating(study, events))
    return snapshot(study, elapsed, validating=validating if at_validation else None)


def _evaluating(study: Study, events: Sequence[Event]) -> float:
    """Seconds that the search's evaluations took, side by side on its workers.

    A single worker waits while the algorithm proposes.
    """
    results = [event for event in events if isinstance(event, Evaluated)]
    workers = {event.worker for event in results[-_LATEST:]}
    seconds = sum(c.seconds for c in study.candidates.values())
    return seconds / len(workers) if len(workers) > 1 else seconds + study.proposing


def watch(directory: Path) -> None:
    """Show where a study stands until nobody is at work on it.

    On a terminal one picture, drawn over and over; elsewhere a line every ten seconds. Both end
    with the text that ``status`` prints.
    """
    from rich.live import Live

    if sys.stdout.isatty():
        with Live(auto_refresh=False, transient=True) as live:
            for status in _statuses(directory, _SECONDS):
                live.update(render(status.snapshot, status.left, head=status.head), refresh=True)
    else:
        for status in _statuses(directory, _PLAIN_SECONDS):
            if status.state == "running":
                print_text(plain_line(status.snapshot, status.left))
                sys.stdout.flush()
    print_text(status_text(status))


def _statuses(directory: Path, pause: float) -> Iterator[Status]:
    """The study's status, again and again while it runs, then the last."""
    while True:
        start = time.monotonic()
        status = read_status(directory)
        spent = time.monotonic() - start
        yield status
        if status.state != "running":
            return
        time.sleep(max(pause, _SHARE * spent))
