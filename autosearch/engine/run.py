"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from autosearch.diffusion.artifact_store import FOLDER
from autosearch.diffusion.plan.plan import model_key
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header, prepare
from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.reference import check_references, setup_advice
from autosearch.engine.session import MakeLoggers, make_workers, no_loggers, open_session
from autosearch.engine.validation import validate
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers.base import Executor
from autosearch.engine.workers.collect import Stopped
from autosearch.errors import UserError, shortened
from autosearch.experiment import Experiment
from autosearch.study.events import Ended, Resumed
from autosearch.study.journal import Journal, check_free
from autosearch.study.progress import Progress
from autosearch.study.study import Study

__all__ = ["drive", "run_study", "validate_study"]

# May differ from the first run's when a study is resumed: none of them changes a result.
_RESUMABLE = ("budget", "workers", "validation", "loggers")


def run_study(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    overrides: Sequence[str] = (),
    loggers: MakeLoggers = no_loggers,
    problem: Problem | None = None,
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

    Raises:
        UserError: when the experiment cannot be done, or the directory does not fit it.
    """
    problem = problem or Problem.of(experiment)
    # Made before anything is written: a wrong name among them is the user's mistake.
    make_baselines(problem, {})
    problem.make_algorithm()
    chosen = loggers(experiment.loggers)
    check_references(problem)
    with contextlib.ExitStack() as stack:
        interrupted = stack.enter_context(_watch_interrupts(progress))
        if resume:
            journal = stack.enter_context(Journal.open(out))
            study = Study.of(journal.history)
            problem = _resumed(problem, study, out)
        else:
            check_free(out)
            load_warm_start(experiment.init)
        # Nothing is written before the workers are there: a cluster may not answer, or be full.
        workers = stack.enter_context(make_workers(problem, out / FOLDER))
        problem = _settled(problem, workers, new=not resume)
        if resume:
            _note_changes(journal, study, problem, overrides)
            note = _lag_note(experiment, problem.experiment, workers.size)
        else:
            header = make_header(problem, out.resolve().name, overrides)
            journal = stack.enter_context(Journal.create(out, header))
            study = Study.of(journal.history)
            note = None
        for text in (note, setup_advice(problem)):
            if text is not None:
                progress.message(text)
        opened = open_session(
            journal, study, progress, interrupted, loggers=chosen, workers=workers
        )
        with opened as session:
            try:
                prepared = prepare(problem, session.executor, recorder=session, folder=out)
                with session.phase("search"):
                    engine = Engine(prepared, history=study, record=session.record)
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
        chosen = loggers(study.experiment.loggers)
        with (
            make_workers(problem, directory / FOLDER) as workers,
            open_session(
                journal, study, progress, interrupted, loggers=chosen, workers=workers
            ) as session,
            contextlib.suppress(Stopped),
        ):
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
    """
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


def _resumed(problem: Problem, study: Study, out: Path) -> Problem:
    """The problem as the study goes on with it; what may not change is as it began.

    A lag is settled when a study begins: where the experiment gives none, it stays.

    Raises:
        UserError: where the experiment or the model is another than the study's.
    """
    before, now = study.experiment.settled(), problem.experiment
    if now.lag == "auto":
        now = now.model_copy(update={"lag": before.lag})
    old, new = before.to_dict(), now.to_dict()
    refused = [key for key in old if old[key] != new[key] and key not in _RESUMABLE]
    if refused:
        key = refused[0]
        raise UserError(
            f"{out}: --resume with another {key!r} ({shortened(old[key])} became "
            f"{shortened(new[key])}); only {', '.join(_RESUMABLE)} may change"
        )
    _check_weights(out, study, problem)
    return replace(problem, experiment=now)


def _note_changes(
    journal: Journal, study: Study, problem: Problem, overrides: Sequence[str]
) -> None:
    """Record with what a study goes on, where that is not what it had before."""
    now = problem.experiment
    if now != study.experiment.settled():
        resumed = Resumed(experiment=now.to_dict(), overrides=list(overrides))
        journal.append(resumed)
        study.apply(resumed)


def _settled(problem: Problem, workers: Executor, *, new: bool) -> Problem:
    """The problem with a lag for the workers that are there; up to that, others may join them.

    Raises:
        UserError: when a new study has a lag that leaves some of its workers without work.
    """
    experiment = problem.experiment.settled(workers.size)
    lag = experiment.lag_for()
    if experiment.order == "fixed":
        if new and workers.size > lag:
            raise UserError(
                f"lag: {lag} is below the number of workers, {workers.size}; raise lag, or use "
                "order: arrival"
            )
        workers.limit(lag)
    return replace(problem, experiment=experiment)


def _lag_note(given: Experiment, resumed: Experiment, size: int) -> str | None:
    """What the lag that a study keeps means for workers that it did not begin with, if anything."""
    lag, wanted = resumed.lag_for(), given.lag_for(size)
    if resumed.order == "arrival" or (size <= lag and wanted <= lag):
        return None
    if size > lag:
        return f"lag: {lag}, as the study began: only {lag} of {size} workers have work at a time"
    return (
        f"lag: {lag}, as the study began: {size} workers wait for results now and then; a new "
        f"study would have {wanted}"
    )


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
            previous[number] = signal.signal(number, handle)
    try:
        yield lambda: signals > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
