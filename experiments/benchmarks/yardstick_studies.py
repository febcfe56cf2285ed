"""The studies of a comparison: each is run once, goes on where it was interrupted, and is read."""

import shutil
from dataclasses import replace
from pathlib import Path

from autosearch.diffusion.artifact_store import FOLDER
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header, prepare
from autosearch.engine.prepared import Given
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.session import Session, make_workers, no_loggers, open_session
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.experiments.benchmarks.contestants import Contestant
from autosearch.experiments.benchmarks.yardstick_merged import Merged, small
from autosearch.spaces.product import Space, fragment
from autosearch.study.events import ReferenceMeasured
from autosearch.study.journal import Journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

__all__ = ["searched"]

_MAY_DIFFER = ("workers", "loggers")


def searched(contestant: Contestant, experiment: Experiment, directory: Path) -> Study:
    """The study in a directory, run to its end if it is not there yet.

    The front is not measured again: the comparison does that, once for all studies.

    Raises:
        UserError: when the directory holds another study.
    """
    if directory.exists():
        study = Study.read(directory)
        _check(study, experiment, directory)
        if study.stops and study.stops[-1] != "interrupted":
            return study
    problem = Problem.of(experiment)
    fresh = not directory.exists()
    header = make_header(problem, directory.name)
    journal = Journal.create(directory, header) if fresh else Journal.open(directory)
    study = Study.of(journal.history)
    opened = open_session(
        journal,
        study,
        Progress(),
        lambda: False,
        loggers=no_loggers([]),
        workers=make_workers(problem, directory / FOLDER),
    )
    with journal, opened as session:
        executor = Merged(session.executor) if small(experiment) else session.executor
        if not experiment.baselines:
            _without_reference(session)
        prepared = prepare(problem, executor, recorder=session)
        baselines = tuple(expressed(one, problem.space) for one in prepared.baselines)
        engine = Engine(
            replace(prepared, baselines=baselines),
            algorithm=contestant.make(problem.space, experiment),
            history=study,
            record=journal.append,
        )
        drive(engine, executor, on_result=session.changed)
    shutil.rmtree(directory / "blocks", ignore_errors=True)
    return study


def expressed(known: Given, space: Space) -> Given:
    """A baseline that the space can express in other words: what differs has no effect."""
    if not known.foreign:
        return known
    genome = space.repair(fragment(known.recipe))
    if space.plan(genome).identity != known.plan.identity:
        return known
    return replace(known, genome=genome, foreign=False)


def _without_reference(session: Session) -> None:
    """Who starts without baselines needs no reference either, and does not pay for one."""
    if session.study.reference is None:
        session.write(
            ReferenceMeasured(
                recipe="none",
                source="not needed",
                samples=0,
                values={},
                forward_equivalents=0.0,
                budgeted=0.0,
            )
        )


def _check(study: Study, experiment: Experiment, directory: Path) -> None:
    before, now = study.experiment.to_dict(), experiment.settled().to_dict()
    changed = [key for key in before if before[key] != now[key] and key not in _MAY_DIFFER]
    if changed:
        raise UserError(
            f"{directory}: holds a study with another {changed[0]!r}; remove it, or give another "
            "--out"
        )
