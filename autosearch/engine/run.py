"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from autosearch.diffusion.artifact_store import FOLDER
from autosearch.diffusion.plan.plan import model_key
from autosearch.engine.check import advice, check_run
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header, prepare
from autosearch.engine.prepared import continued, settle_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.session import (
    MakeLoggers,
    Session,
    make_workers,
    no_loggers,
    open_session,
)
from autosearch.engine.validation import check_validation, validate
from autosearch.engine.workers.base import Executor
from autosearch.engine.workers.collect import Stopped
from autosearch.engine.workers.room import check_lag
from autosearch.errors import Unmeasured, UserError, described, located, shortened
from autosearch.experiment import Experiment
from autosearch.study.environment import environment
from autosearch.study.events import Broken, Ended, PhaseBegun, Resumed
from autosearch.study.journal import Journal, check_free
from autosearch.study.progress import Progress
from autosearch.study.study import RESUMING, STOPPED_AT_ONCE, Study

__all__ = ["check_resume", "check_same_search", "drive", "run_study", "validate_study"]

# May differ from the first run's when a study is resumed: none of them changes a result.
_RESUMABLE = ("budget", "workers", "validation", "loggers")
# A search ends at which the machinery fails this often before anything succeeds.
_HOPELESS = 3


def run_study(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    overrides: Sequence[str] = (),
    loggers: MakeLoggers = no_loggers,
    problem: Problem | None = None,
    source: str = "",
) -> Study:
    """Search and validate; leaves the journal, from which everything else is derived.

    Args:
        experiment: what to search.
        out: the study's directory.
        resume: whether to continue the study there.
        progress: told what happens.
        overrides: the ``key=value`` changes that made the experiment; kept for the next resume.
        loggers: makes those that the experiment names; by default there are none.
        problem: the experiment's, where its model is loaded already.
        source: what the experiment is called, such as its file, in messages about what stands
            there.

    Raises:
        UserError: when the experiment cannot be done, or the directory does not fit it.
    """
    if not resume:
        check_free(out)
    with located(source):
        problem, beyond = problem or Problem.of(experiment), None
        if not resume:
            problem, beyond = settle_baselines(problem)
        check_run(problem, resuming=resume)
        chosen = loggers(experiment.loggers)
    with contextlib.ExitStack() as stack:
        # All that may be refused is, before anything is written.
        study: Study | None = None
        if resume:
            journal = stack.enter_context(Journal.open(out))
            study = Study.of(journal.history)
            check_resume(out, study, problem)
            problem = continued(replace(problem, experiment=_going_on(study, experiment)), study)
        workers = stack.enter_context(make_workers(problem, out / FOLDER))
        problem = _settled(problem, workers, new=study is None)
        if study is not None:
            _go_on(journal, study, problem, overrides, progress)
            _note_lag(experiment, problem.experiment, workers.size, progress)
        else:
            journal = stack.enter_context(_created(out, problem, overrides))
            study = Study.of(journal.history)
        for line in advice(problem, beyond):
            progress.message(line)
        interrupted = stack.enter_context(_watch_interrupts(progress))
        if not resume:
            stack.enter_context(_leave_nothing_unpaid(journal, study))
        session = stack.enter_context(
            open_session(journal, study, progress, interrupted, loggers=chosen, workers=workers)
        )
        stack.enter_context(_note_errors(session))
        try:
            prepared = prepare(problem, session.executor, recorder=session, folder=out)
            with session.phase("search"):
                engine = Engine(prepared, history=study, record=session.record, retry=True)
                drive(engine, session.executor, on_result=session.changed, stopping=interrupted)
                session.changed(show=True)
            if not interrupted():
                validate(prepared.problem, session)
            # Where it was asked too late to stop the search, it still stops this.
            elif engine.ended != "interrupted":
                raise Stopped
        except Stopped:
            session.write(Ended(reason="interrupted"))
    return study


def validate_study(
    directory: Path,
    *,
    samples: int | None,
    seed: int | None,
    progress: Progress,
    loggers: MakeLoggers = no_loggers,
    problem: Problem | None = None,
) -> Study:
    """Measure the front of a study again, by default on its own samples and seed.

    ``problem`` is the study's, where its model is loaded already.
    """
    with Journal.open(directory) as journal, _watch_interrupts(progress) as interrupted:
        study = Study.of(journal.history)
        problem = problem or Problem.of(study.experiment)
        _check_weights(directory, study, problem)
        check_validation(problem, samples=samples, seed=seed)
        chosen = loggers(problem.experiment.loggers)
        with contextlib.ExitStack() as stack:
            workers = stack.enter_context(make_workers(problem, directory / FOLDER))
            _note_resume(journal, study, progress)
            session = stack.enter_context(
                open_session(journal, study, progress, interrupted, loggers=chosen, workers=workers)
            )
            stack.enter_context(_note_errors(session))
            stack.enter_context(contextlib.suppress(Stopped))
            validate(problem, session, samples=samples, seed=seed)
        return study


def drive(
    engine: Engine,
    executor: Executor,
    *,
    on_result: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Evaluate what an engine asks for until it ends.

    Args:
        engine: asks.
        executor: evaluates; it has twice as much as it can run at a time, so that none waits.
        on_result: called after each result.
        stopping: ends the search when all in flight is told.

    Raises:
        Unmeasured: when the machinery failed at the first few candidates, all of them.
    """
    known = engine.study.candidates.values()
    # How often it failed while nothing has succeeded; None once something has.
    failed = None if any(c.finished and not c.failed for c in known) else 0
    running = 0
    while engine.ended is None:
        while running < 2 * executor.size:
            if stopping():
                engine.stop("interrupted")
            assignment = engine.ask()
            if assignment is None:
                break
            executor.submit(assignment.task)
            running += 1
        for outcome in executor.wait() if running else ():
            running -= 1
            engine.tell(outcome.id, outcome)
            on_result()
            candidate = engine.study.candidates[outcome.id]
            if failed is not None and candidate.finished:
                failed = failed + 1 if candidate.failed else None
                if failed == _HOPELESS:
                    raise Unmeasured(
                        f"the first {failed} evaluations failed, and the search has ended; the "
                        f"last: {candidate.reason}"
                    )


def _created(out: Path, problem: Problem, overrides: Sequence[str]) -> Journal:
    """The journal of a new study."""
    # No bytes of a name that are no text: what is written has to be read again.
    name = os.path.basename(os.path.realpath(out)).encode("utf-8", "replace").decode()
    return Journal.create(out, make_header(problem, name, overrides))


def _go_on(
    journal: Journal,
    study: Study,
    problem: Problem,
    overrides: Sequence[str],
    progress: Progress,
) -> None:
    """Record that a study goes on, and with what."""
    now = _remembered(study, problem.experiment, overrides)
    if _changed(study, now):
        kept = [one for one in study.header.overrides if one not in overrides]
        event = Resumed(experiment=now.to_dict(), overrides=[*kept, *overrides])
        journal.append(event)
        study.apply(event)
    _note_resume(journal, study, progress)


def _remembered(study: Study, experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with loggers and cluster that were only not obeyed this time."""
    said = {one.partition("=")[0] for one in overrides}
    known, workers = study.experiment, experiment.workers
    if workers.address is None and not {"workers", "workers.address"} & said:
        workers = workers.model_copy(update={"address": known.workers.address})
    anew = experiment.loggers or "loggers" in said
    loggers = experiment.loggers if anew else known.loggers
    return experiment.model_copy(update={"loggers": loggers, "workers": workers})


def check_resume(directory: Path, study: Study, problem: Problem) -> None:
    """Refuse to go on with a study that is another than the experiment's.

    Raises:
        UserError: naming the key that differs, or the weights.
    """
    check_same_search(directory, study, problem.experiment)
    _check_weights(directory, study, problem)


def check_same_search(directory: Path, study: Study, experiment: Experiment) -> None:
    """Refuse to go on with a study that is another than the experiment's, but for its model.

    Raises:
        UserError: naming the key that differs.
    """
    refused = [key for key in _changed(study, experiment) if key not in _RESUMABLE]
    before, now = study.experiment.to_dict(), experiment.to_dict()
    if {"model", "space"} & set(refused) and len(refused) > 1:
        raise UserError(
            f"{directory}: holds another study, {study.header.name!r} of "
            f"{', '.join(before['objectives'])} on {study.header.model_name}: its "
            f"{', '.join(refused)} differ; give the directory of this experiment's"
        )
    for key in refused:
        raise UserError(
            f"{directory}: --resume with another {key!r} ({shortened(before[key])} became "
            f"{shortened(now[key])}); only {', '.join(_RESUMABLE)} may change"
        )


def _changed(study: Study, experiment: Experiment) -> list[str]:
    """Keys of the experiment that are others than before."""
    before = study.experiment.settled().to_dict()
    now = _going_on(study, experiment).to_dict()
    return [key for key in before if before[key] != now[key]]


def _going_on(study: Study, experiment: Experiment) -> Experiment:
    """The experiment with the lag that its study began with, where it gives none."""
    if experiment.lag != "auto":
        return experiment
    return experiment.model_copy(update={"lag": study.experiment.lag_for()})


def _settled(problem: Problem, workers: Executor, *, new: bool) -> Problem:
    """The problem with a lag for the workers that are there; up to that, others may join them.

    Raises:
        UserError: when a new study has a lag that leaves some of its workers without work.
    """
    experiment = problem.experiment.settled(workers.size)
    lag = experiment.lag_for()
    if experiment.order == "fixed":
        if new:
            check_lag(lag, workers.size)
        workers.limit(lag)
    return replace(problem, experiment=experiment)


def _note_lag(given: Experiment, resumed: Experiment, size: int, progress: Progress) -> None:
    """Say what the lag that a study keeps means for workers that it did not begin with."""
    lag, wanted = resumed.lag_for(), given.lag_for(size)
    if resumed.order == "arrival" or (size <= lag and wanted <= lag):
        return
    now = f"lag: {lag}, as the study began: "
    if size > lag:
        progress.message(f"{now}only {lag} of {size} workers have work at a time")
    else:
        progress.message(
            f"{now}{size} workers wait for results now and then; a new study would have {wanted}"
        )


def _note_resume(journal: Journal, study: Study, progress: Progress) -> None:
    """Record that a run goes on, and what of versions and machine is another than before."""
    known = dict(study.header.environment)
    for changes in study.environments:
        known |= changes
    now = environment()
    changes = {name: text for name, text in now.items() if known.get(name, text) != text}
    event = PhaseBegun(name=RESUMING, environment=changes)
    journal.append(event)
    study.apply(event)
    if changes:
        words = ", ".join(f"{name} {text} after {known[name]}" for name, text in changes.items())
        progress.message(f"goes on with {words}: equal recipes may get slightly other values")


@contextlib.contextmanager
def _note_errors(session: Session) -> Iterator[None]:
    """Record why a run ends that does not end in good order; status tells it."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        reason = STOPPED_AT_ONCE if stopped else described(error)
        # A journal that cannot be written has no last word.
        with contextlib.suppress(UserError, ValueError):
            session.write(Broken(reason=reason))
        raise


@contextlib.contextmanager
def _leave_nothing_unpaid(journal: Journal, study: Study) -> Iterator[None]:
    """Take a new study back that was refused before anything was measured for it."""
    try:
        yield
    except Unmeasured:
        raise
    except UserError:
        if not study.candidates and not study.spent:
            journal.discard()
        raise


def _check_weights(out: Path, study: Study, problem: Problem) -> None:
    if study.header.model != model_key(problem.denoiser).model_dump():
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
            # What the caller ignores, as nohup and a shell's background do, stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, handle)
    try:
        yield lambda: signals > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
