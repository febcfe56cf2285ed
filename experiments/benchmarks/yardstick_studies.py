"""The studies of a comparison: each is run once, goes on where it was interrupted, and is read."""

import shutil
from dataclasses import replace
from pathlib import Path

from autosearch.diffusion.noise import Stream
from autosearch.engine.loop import Search
from autosearch.engine.prepare import set_up
from autosearch.engine.problem import Baseline, Problem
from autosearch.engine.run import study_header
from autosearch.engine.session import Session
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.experiments.benchmarks.contestants import Contestant
from autosearch.experiments.benchmarks.yardstick_merged import Merged, small
from autosearch.spaces.product import Space, fragment
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
    problem = Problem(experiment)
    fresh = not directory.exists()
    header = study_header(problem, directory)
    journal = Journal.create(directory, header) if fresh else Journal.open(directory)
    with journal, Session(problem, journal, Progress(), lambda: False) as session:
        if small(experiment):
            session.executor = Merged(session.executor)
        if not experiment.baselines:
            _without_reference(session)
        set_up(session)
        problem.baselines = [expressed(one, problem.space) for one in problem.baselines]
        samples, seed = experiment.samples, experiment.seed
        teacher = session.teacher(Stream.SEARCH, seed, samples, problem.measure)
        Search(
            problem,
            journal,
            session.study,
            session.executor,
            teacher=teacher,
            algorithm=contestant.make(problem.space, experiment),
            on_change=session.changed,
        ).run()
        study = session.study
    shutil.rmtree(directory / "blocks", ignore_errors=True)
    return study


def expressed(known: Baseline, space: Space) -> Baseline:
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
        costs = {"forward_equivalents": 0.0, "budgeted": 0.0}
        none = {"recipe": "none", "source": "not needed", "samples": 0, "values": {}}
        session.write({"type": "reference", **none, **costs})


def _check(study: Study, experiment: Experiment, directory: Path) -> None:
    before, now = study.experiment.to_dict(), experiment.to_dict()
    changed = [key for key in before if before[key] != now[key] and key not in _MAY_DIFFER]
    if changed:
        raise UserError(
            f"{directory}: holds a study with another {changed[0]!r}; remove it, or give another "
            "--out"
        )
