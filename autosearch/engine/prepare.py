"""What a study needs before its first candidate, made once and kept in its journal."""

import logging
from collections.abc import Sequence
from pathlib import Path

from autosearch import __version__
from autosearch.baselines.fitted.names import check_name, fit_forwards
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import model_key
from autosearch.engine.prepared import (
    Prepared,
    continued,
    fitted_names,
    make_baselines,
    make_warm_start,
    settle_baselines,
)
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.reference import (
    measure_reference,
    reference_samples,
    sample_teacher,
    shipped_reference,
)
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers.base import Executor, FitTask
from autosearch.engine.workers.collect import Stopped, run_tasks
from autosearch.engine.workers.timing import measure_latency_table
from autosearch.errors import Unmeasured, UserError
from autosearch.recipe import Recipe
from autosearch.study.environment import environment
from autosearch.study.events import (
    Event,
    Fitted,
    Header,
    LatencyMeasured,
    Lost,
    ReferenceMeasured,
    WarmStarted,
)
from autosearch.study.study import Study

__all__ = ["make_header", "predict_latencies", "prepare"]

_log = logging.getLogger(__name__)


def make_header(problem: Problem, name: str, overrides: Sequence[str] = ()) -> Header:
    """The first event of a study of a problem, with the default baselines that it has."""
    problem, _ = settle_baselines(problem)
    usual = problem.usual if problem.experiment.baselines is None else None
    return Header(
        name=name,
        model_name=problem.spec.name,
        model=model_key(problem.denoiser).model_dump(),
        experiment=problem.experiment.settled().to_dict(),
        overrides=list(overrides),
        version=__version__,
        environment=environment(),
        baselines=None if usual is None else list(usual),
    )


def prepare(
    problem: Problem,
    executor: Executor,
    *,
    recorder: Recorder | None = None,
    folder: Path | None = None,
    name: str = "search",
) -> Prepared:
    """Latencies, fitted baselines, warm start, reference and teacher, each once per study.

    Args:
        problem: what is to be searched.
        executor: who measures.
        recorder: the study so far; what it has already is not measured again. By default a new
            one, whose events the result holds.
        folder: the study's, where artifacts of a warm start are kept.
        name: of a new study.

    Raises:
        UserError: when the model cannot be fitted or sampled as the experiment asks.
        Stopped: when the recorder's user interrupts before everything was begun.
    """
    events: list[Event] = []
    if recorder is None:
        events.append(make_header(problem, name))
        recorder = Recorder(executor, Study.of(events), events.append)
    problem = predict_latencies(continued(problem, recorder.study), recorder)
    baselines = make_baselines(problem, _fits(problem, recorder))
    warm_start = make_warm_start(problem, _warm_start(problem, recorder, folder), baselines)
    reference = _reference(problem, recorder)
    teacher = sample_teacher(problem, recorder)
    return Prepared(problem, baselines, warm_start, reference, teacher, tuple(events))


def predict_latencies(problem: Problem, recorder: Recorder) -> Problem:
    """The problem with latencies predicted from the study's table, measured where there is none."""
    if not problem.report_measure.needs_latency_table:
        return problem
    if recorder.study.latency_table is None:
        with recorder.phase("latency"):
            table, spent = measure_latency_table(recorder.executor, problem.model)
            recorder.write(
                LatencyMeasured(table=table.to_dict(), forward_equivalents=spent, budgeted=spent)
            )
    measured = recorder.study.latency_table
    assert measured is not None
    return problem.with_latency_table(LatencyTable.from_dict(measured.table))


def _fits(problem: Problem, recorder: Recorder) -> dict[str, Recipe]:
    """Recipes of the baselines that are fitted to the model, by name."""
    fits, chosen = recorder.study.fits, problem.experiment.baselines is None
    todo = [name for name in fitted_names(problem) if name not in fits]
    # A study that goes on with a larger budget has the starts that it began with.
    if todo and not (chosen and recorder.study.candidates):
        with recorder.phase("fits"):
            # What names share is measured for the first of them; then it is there for the others.
            first = list({check_name(n).shared or n: n for n in reversed(todo)}.values())[::-1]
            for names in (first, [name for name in todo if name not in first]):
                _fit(names, recorder, problem)
    recipes = {}
    for name, fit in fits.items():
        if fit.recipe is None and chosen:
            _log.warning("%s is no start: it cannot be fitted: %s", name, fit.reason)
            continue
        if fit.recipe is None:
            raise UserError(f"baselines: {name!r} cannot be fitted: {fit.reason}; leave it out")
        recipes[name] = Recipe.from_dict(fit.recipe, where=f"fit of {name}")
    return recipes


def _fit(names: Sequence[str], recorder: Recorder, problem: Problem) -> None:
    """Fit what names ask for; what fails for no reason of the name's is tried again next time.

    Raises:
        Unmeasured: when the machinery failed.
        Stopped: when asked to stop before everything was begun.
    """
    tasks = [
        FitTask(number, name, problem.experiment.seed, fit_forwards([name], problem.denoiser))
        for number, name in enumerate(names)
    ]
    done, lost = 0, dict[str, str]()
    # A fit may take minutes: none waits behind another when asked to stop.
    for outcome in run_tasks(recorder.executor, tasks, ahead=1, stopping=recorder.interrupted):
        name, done = names[outcome.id], done + 1
        if outcome.failure is not None:
            lost[name] = str(outcome.reason)
            recorder.write(
                Lost(
                    what="fit",
                    key=name,
                    reason=lost[name],
                    forward_equivalents=outcome.forward_equivalents,
                )
            )
            continue
        recorder.write(
            Fitted(
                name=name,
                recipe=None if outcome.recipe is None else dict(outcome.recipe),
                reason=outcome.reason,
                forward_equivalents=outcome.forward_equivalents,
                budgeted=outcome.nominal,
            )
        )
    for name, reason in lost.items():
        raise Unmeasured(
            f"baselines: {name!r} was not fitted: {reason}; try again with --resume, or leave it "
            "out"
        )
    if done < len(names):
        raise Stopped


def _warm_start(problem: Problem, recorder: Recorder, folder: Path | None) -> dict[str, Recipe]:
    """What the search starts from, by name; loaded unless the study has it already."""
    init = problem.experiment.init
    if recorder.study.warm_start is None and init:
        loaded = load_warm_start(init, folder)
        recipes = {name: recipe.to_dict() for name, recipe in loaded.items()}
        recorder.write(WarmStarted(recipes=recipes))
    return {
        name: Recipe.from_dict(data, where=f"init: {name}")
        for name, data in (recorder.study.warm_start or {}).items()
    }


def _reference(problem: Problem, recorder: Recorder) -> ReferenceMeasured:
    study = recorder.study
    if study.reference is None:
        with recorder.phase("reference"):
            event = shipped_reference(problem) or measure_reference(
                problem,
                recorder.executor,
                samples=reference_samples(problem, others=sum(study.overheads.values())),
                stopping=recorder.interrupted,
            )
            recorder.write(event)
    assert study.reference is not None
    return study.reference
