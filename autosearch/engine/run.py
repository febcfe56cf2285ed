"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from autosearch._version import __version__
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import model_key
from autosearch.engine.loop import Search
from autosearch.engine.prepare import set_up
from autosearch.engine.problem import Problem
from autosearch.engine.reference import check_references
from autosearch.engine.session import MakeLoggers, Session
from autosearch.engine.validation import validate
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers.collect import Stopped
from autosearch.errors import UserError, shortened
from autosearch.experiment import Experiment
from autosearch.study.environment import environment
from autosearch.study.journal import Journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

__all__ = ["run_study", "study_header", "validate_study"]

# May differ from the first run's when a study is resumed: none of them changes a result.
_RESUMABLE = ("budget", "workers", "validation", "loggers")


def run_study(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    overrides: Sequence[str] = (),
    loggers: MakeLoggers | None = None,
) -> Study:
    """Search and validate; leaves the journal, from which everything else is derived.

    Args:
        experiment: what to search.
        out: the study's directory.
        resume: whether to continue the study there.
        progress: told what happens.
        overrides: the ``key=value`` changes that made the experiment; kept for the next resume.
        loggers: makes those that the experiment names; by default there are none.

    Raises:
        UserError: when the experiment cannot be done, or the directory does not fit it.
    """
    problem = Problem(experiment)
    # Made before anything is written: a wrong name among them is the user's mistake.
    _ = problem.baselines, problem.make_algorithm()
    chosen = None if loggers is None else loggers(experiment.loggers)
    check_references(problem)
    if resume:
        journal = _resume_journal(out, problem, overrides)
    else:
        load_warm_start(experiment.init)  # checked before anything is written
        journal = Journal.create(out, study_header(problem, out, overrides))
    with journal, _watch_interrupts(progress) as interrupted:
        with Session(problem, journal, progress, interrupted, loggers=chosen) as session:
            try:
                set_up(session)
                ended = _search(session)
                if not interrupted():
                    validate(session)
                elif ended != "interrupted":  # asked too late to stop the search, but not this
                    raise Stopped
            except Stopped:
                session.write({"type": "stop", "reason": "interrupted"})
        return session.study


def validate_study(
    directory: Path,
    *,
    samples: int | None,
    seed: int | None,
    progress: Progress,
    loggers: MakeLoggers | None = None,
) -> Study:
    """Measure the front of a study again, by default on its own samples and seed."""
    with Journal.open(directory) as journal, _watch_interrupts(progress) as interrupted:
        study = Study.from_journal(journal.records)
        problem = Problem(study.experiment)
        _check_weights(directory, study, problem)
        chosen = None if loggers is None else loggers(study.experiment.loggers)
        with (
            Session(problem, journal, progress, interrupted, loggers=chosen) as session,
            contextlib.suppress(Stopped),
        ):
            validate(session, samples=samples, seed=seed)
        return session.study


def _search(session: Session) -> str:
    """Baselines, the hypervolume's axes, then the search proper; returns why it ended."""
    experiment = session.problem.experiment
    teacher = session.teacher(
        Stream.SEARCH, experiment.seed, experiment.samples, session.problem.measure
    )
    session.fix_scale()
    with session.phase("search"):
        search = Search(
            session.problem,
            session.journal,
            session.study,
            session.executor,
            teacher=teacher,
            on_change=session.changed,
            stopping=session.interrupted,
        )
        reason = search.run()
        session.changed(show=True)
    return reason


def study_header(problem: Problem, out: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What the first line of a study's journal says."""
    return {
        "name": out.resolve().name,
        "version": __version__,
        "model_name": problem.spec.name,
        "model": model_key(problem.denoiser).model_dump(),
        "experiment": problem.experiment.to_dict(),
        "overrides": list(overrides),
        "environment": environment(),
    }


def _resume_journal(out: Path, problem: Problem, overrides: Sequence[str]) -> Journal:
    """The study's journal, if the experiment is the one that it began with."""
    journal = Journal.open(out)
    try:
        study = Study.from_journal(journal.records)
        before, now = study.experiment.to_dict(), problem.experiment.to_dict()
        changed = [key for key in before if before[key] != now[key]]
        refused = [key for key in changed if key not in _RESUMABLE]
        if refused:
            key = refused[0]
            raise UserError(
                f"{out}: --resume with another {key!r} ({shortened(before[key])} became "
                f"{shortened(now[key])}); only {', '.join(_RESUMABLE)} may change"
            )
        _check_weights(out, study, problem)
        if changed:
            record = {"type": "resume", "experiment": now, "overrides": list(overrides)}
            journal.append(record)
            journal.records.append(record)
    except BaseException:
        journal.close()
        raise
    return journal


def _check_weights(out: Path, study: Study, problem: Problem) -> None:
    if study.header["model"] != model_key(problem.denoiser).model_dump():
        raise UserError(
            f"{out}: the model has other weights than at the study's start; give it back its own, "
            "or search again with another --out"
        )


@contextlib.contextmanager
def _watch_interrupts(progress: Progress) -> Iterator[Callable[[], bool]]:
    """Ctrl-C once (or SIGTERM) asks to finish what is in flight; twice stops at once."""
    notice = "stopping: finishing what is in flight; another Ctrl-C stops at once, nothing is lost"
    signals = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            raise KeyboardInterrupt
        # Not here: what was interrupted may be in the middle of a line of its own.
        threading.Thread(target=progress.message, args=(notice,), daemon=True).start()

    previous = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    try:
        yield lambda: signals > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
