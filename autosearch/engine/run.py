"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from autosearch.diffusion.plan.plan import model_key
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header, prepare
from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.reference import check_references, setup_advice
from autosearch.engine.session import MakeLoggers, no_loggers, open_session
from autosearch.engine.validation import validate
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers.base import Executor
from autosearch.engine.workers.collect import Stopped
from autosearch.errors import UserError, shortened
from autosearch.experiment import Experiment
from autosearch.study.events import Ended, Resumed
from autosearch.study.journal import Journal
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
    if resume:
        journal, study = _resume_journal(out, problem, overrides)
    else:
        load_warm_start(experiment.init)  # checked before anything is written
        journal = Journal.create(out, make_header(problem, out.resolve().name, overrides))
        study = Study.of(journal.history)
    advice = setup_advice(problem)
    if advice is not None:
        progress.message(advice)
    with journal, _watch_interrupts(progress) as interrupted:
        opened = open_session(problem, journal, study, progress, interrupted, loggers=chosen)
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
        chosen = loggers(problem.experiment.loggers)
        with (
            open_session(problem, journal, study, progress, interrupted, loggers=chosen) as session,
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

    Raises:
        UserError: for more workers than the search can give work to.
    """
    if engine.lag is not None and executor.size > engine.lag:
        raise UserError(
            f"lag: {engine.lag} is below the number of workers, {executor.size}; raise lag, "
            "or use order: arrival"
        )
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


def _resume_journal(out: Path, problem: Problem, overrides: Sequence[str]) -> tuple[Journal, Study]:
    """The study and its journal, if the experiment is the one that it began with."""
    journal = Journal.open(out)
    try:
        study = Study.of(journal.history)
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
            resumed = Resumed(experiment=now, overrides=list(overrides))
            journal.append(resumed)
            study.apply(resumed)
    except BaseException:
        journal.close()
        raise
    return journal, study


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
