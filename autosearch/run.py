"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import functools
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch._version import __version__
from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.front import make_scale, selection
from autosearch.journal import Journal
from autosearch.latency import LatencyTable
from autosearch.library import FOLDER
from autosearch.measure import Measure
from autosearch.plan import Plan, model_key
from autosearch.problem import Problem
from autosearch.progress import Progress
from autosearch.recipe import Artifact, Recipe
from autosearch.reference import (
    REFERENCES,
    TEACHER,
    check_references,
    measured_reference,
    teacher_ends,
)
from autosearch.search import Search
from autosearch.snapshot import snapshot
from autosearch.store import BlockStore
from autosearch.study import Record, Study, estimates_to_record
from autosearch.timing import measured_table, timed
from autosearch.workers import Executor, FitTask, Infeasible, Outcome, Task, make_executor
from autosearch.workers.evaluator import ModelEvaluator
from autosearch.workers.inprocess import one_thread
from autosearch.workers.stored import StoredExecutor

__all__ = ["REFERENCES", "TEACHER", "run_study", "study_header", "validate_study"]

STORE_BYTES = 256 * 2**20
# Seconds between two looks at the progress, and how many times as long as one look takes.
_SHOW_EVERY = 0.5
_SHOW_SHARE = 20

# May differ from the first run's when a study is resumed: none of them changes a result.
_RESUMABLE = ("budget", "workers", "validation")


def run_study(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    overrides: Sequence[str] = (),
) -> Study:
    """Search and validate; leaves the journal, from which everything else is derived.

    Args:
        experiment: what to search.
        out: the study's directory.
        resume: whether to continue the study there.
        progress: told what happens.
        overrides: the ``key=value`` changes that made the experiment; kept for the next resume.

    Raises:
        UserError: when the experiment cannot be done, or the directory does not fit it.
    """
    problem = Problem(experiment)
    # Made before anything is written: a wrong name among them is the user's mistake.
    _ = problem.baselines, problem.make_algorithm()
    check_references(problem)
    if resume:
        journal = _resumed(out, problem, overrides)
    else:
        journal = Journal.create(out, study_header(problem, out, overrides))
    with journal, _interrupts() as interrupted:
        session = _Session(problem, journal, progress, interrupted)
        with session:
            session.setup()
            session.search()
            if not interrupted():
                session.validate()
        return session.study


def validate_study(
    directory: Path, *, samples: int | None, seed: int | None, progress: Progress
) -> Study:
    """Measure the front of a study again, by default on its own samples and seed."""
    with Journal.open(directory) as journal, _interrupts() as interrupted:
        study = Study.from_records(journal.records)
        problem = Problem(study.experiment)
        _check_weights(directory, study, problem)
        with _Session(problem, journal, progress, interrupted) as session:
            session.validate(samples=samples, seed=seed)
        return session.study


class _Session:
    """What the phases of one run share."""

    def __init__(
        self, problem: Problem, journal: Journal, progress: Progress, interrupted: Any
    ) -> None:
        self.problem = problem
        self.journal = journal
        self.progress = progress
        self.interrupted = interrupted
        self.study = Study.from_records(journal.records)
        problem.denoiser.library.folders = [journal.directory / FOLDER]
        self._stack = contextlib.ExitStack()
        self._started = time.monotonic()
        self._next_show = 0.0

    def __enter__(self) -> "_Session":
        # The driver's own arithmetic is small; its threads would take the workers' cores.
        self._stack.enter_context(one_thread())
        self.executor: Executor = self._stack.enter_context(
            StoredExecutor(
                _executor(self.problem, self.journal.directory / FOLDER),
                BlockStore(self.journal.directory / "blocks", STORE_BYTES),
            )
        )
        self.progress.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.progress.stop()
        self._stack.__exit__(*exc)

    def _know_latency(self) -> None:
        """Predict latencies from the study's table, measured now where there is none."""
        if not self.problem.latencies:
            return
        if not self.study.latency_table:
            with self._phase("latency"):
                table, spent = measured_table(self.executor, self.problem.model)
                self._write(
                    {
                        "type": "latency_table",
                        "table": table.to_dict(),
                        "forward_equivalents": spent,
                        "budgeted": spent,
                    }
                )
        self.problem.know_latency(LatencyTable.from_dict(self.study.latency_table))

    def _know_fits(self) -> None:
        """Fit the baselines that ask for it to the model, unless the study has them already."""
        todo = [name for name in self.problem.fitted_names if name not in self.study.fits]
        if todo:
            with self._phase("fits"):
                for number, name in enumerate(todo):
                    self.executor.submit(FitTask(number, name, self.problem.experiment.seed))
                left = len(todo)
                while left:
                    for outcome in self.executor.wait():
                        self._write(self._fit_record(todo[outcome.id], outcome))
                        left -= 1
        failed = {name: fit for name, fit in self.study.fits.items() if fit["recipe"] is None}
        for name, fit in failed.items():
            raise UserError(f"baselines: {name!r} cannot be fitted: {fit['reason']}; leave it out")
        self.problem.know_fits(
            {
                name: Recipe.from_dict(fit["recipe"], where=f"fit of {name}")
                for name, fit in self.study.fits.items()
            }
        )

    def _fit_record(self, name: str, outcome: Outcome) -> Record:
        """What a fit came to; its artifacts are kept in the study first."""
        for key, content in outcome.files.items():
            assert outcome.recipe is not None
            refs = outcome.recipe["artifacts"].values()
            artifact = next(ref for ref in refs if ref["key"] == key)
            self.problem.denoiser.library.add(Artifact(**artifact), content)
        return {
            "type": "fit",
            "name": name,
            "recipe": outcome.recipe,
            "reason": outcome.reason,
            "forward_equivalents": outcome.forward_equivalents,
            "budgeted": outcome.forward_equivalents,
        }

    def setup(self) -> None:
        """The reference, the table of latencies and fitted baselines, once per study."""
        self._know_latency()
        self._know_fits()
        if self.study.reference is not None:
            return
        with self._phase("reference"):
            shipped = self.problem.model.figures.get("reference")
            if shipped:
                costs = {"forward_equivalents": 0.0, "budgeted": 0.0}
                record = {**shipped, "source": "shipped", **costs}
            else:
                record = measured_reference(self.problem, self.executor)
            self._write({"type": "reference", **record})

    def search(self) -> None:
        """Baselines, the hypervolume's axes, then the search proper."""
        experiment = self.problem.experiment
        teacher = self._teacher(
            Stream.SEARCH, experiment.seed, experiment.samples, self.problem.measure
        )
        self._fix_scale()
        with self._phase("search"):
            search = Search(
                self.problem,
                self.journal,
                self.study,
                self.executor,
                teacher=teacher,
                on_change=self._changed,
                stopping=self.interrupted,
            )
            search.run()
            self._changed(show=True)

    def validate(self, *, samples: int | None = None, seed: int | None = None) -> None:
        """Measure what the front's promises rest on again, on noise that the search never saw."""
        experiment = self.problem.experiment
        count = experiment.validation.samples if samples is None else samples
        number = experiment.seed if seed is None else seed
        measure = self.problem.report_measure
        if not measure.needs:
            return
        self._know_latency()
        measure.check_samples(count, where="samples")
        if number < 0:
            raise UserError(f"seed: {number} is below 0; use 0 or more")
        teacher = self._teacher(Stream.VALIDATION, number, count, measure)
        with self._phase("validation"):
            self._validate(count, number, measure, teacher)
        if self.problem.latencies and not self.interrupted():
            with self._phase("timing"):
                self._time_selection()

    def _validate(
        self, count: int, seed: int, measure: Measure, teacher: NDArray[np.generic] | None
    ) -> None:
        chosen = {c.id: c for c in selection(self.study)}
        known = self.study.validations.get((seed, count), {})
        todo = [c for c in chosen.values() if c.identity not in known]
        plans = {c.id: self.problem.compile(self.study.recipe(c)) for c in todo}
        waiting = list(todo)
        pending = 0
        while (waiting and not self.interrupted()) or pending:
            while waiting and pending < 2 * self.executor.size and not self.interrupted():
                candidate = waiting.pop(0)
                task = self._task(candidate.id, plans[candidate.id], Stream.VALIDATION, seed, count)
                self.executor.submit(task)
                pending += 1
            for outcome in self.executor.wait() if pending else ():
                pending -= 1
                values = {}
                if outcome.reason is None:
                    with contextlib.suppress(Infeasible):
                        values = measure.estimates(
                            plans[outcome.id], outcome.rows, samples=count, teacher=teacher
                        )
                self._write(
                    {
                        "type": "validation",
                        "id": outcome.id,
                        "identity": chosen[outcome.id].identity,
                        "seed": seed,
                        "samples": count,
                        "values": estimates_to_record(values),
                        "forward_equivalents": outcome.forward_equivalents,
                    },
                    sync=True,
                )
                done = len(todo) - len(waiting) - pending
                self._changed(validating=(done, len(todo)), show=done == len(todo))

    def _time_selection(self) -> None:
        """Measure alone, one after the other, what was validated."""
        for candidate in selection(self.study):
            if candidate.identity in self.study.timings or self.interrupted():
                continue
            plan = self.problem.compile(self.study.recipe(candidate))
            outcome = timed(self.executor, plan, block_size=self.problem.seed_block)
            if outcome.reason is None:
                self._write(
                    {
                        "type": "timing",
                        "identity": candidate.identity,
                        "seconds": outcome.rows["latency"].tolist(),
                        "forward_equivalents": outcome.forward_equivalents,
                    },
                    sync=True,
                )

    def _task(self, number: int, plan: Plan, stream: Stream, seed: int, samples: int) -> Task:
        return Task(
            id=number,
            plan=plan,
            seed=seed,
            stream=stream,
            blocks=self.problem.blocks(samples),
            block_size=self.problem.seed_block,
            needs=self.problem.report_measure.needs,
        )

    def _teacher(
        self, stream: Stream, seed: int, samples: int, measure: Measure
    ) -> NDArray[np.generic] | None:
        """Ends of the fine trajectory from the same noise, where an objective asks for them."""
        if not measure.needs_teacher:
            return None
        found = teacher_ends(self.problem, self.executor, stream=stream, seed=seed, samples=samples)
        what = f"teacher ({stream.name.lower()})"
        if found.forward_equivalents or what not in self.study.overheads:
            self._write(
                {
                    "type": "cost",
                    "what": what,
                    "forward_equivalents": found.forward_equivalents,
                    # As for candidates, validation is no part of the search's budget.
                    "budgeted": 0.0 if stream is Stream.VALIDATION else found.nominal,
                }
            )
        return found.rows["final"]

    def _changed(self, validating: tuple[int, int] | None = None, *, show: bool = False) -> None:
        """Show where the run stands, now and then, or at once."""
        self._fix_scale()
        start = time.monotonic()
        if start < self._next_show and not show:
            return
        elapsed = start - self._started
        self.progress.update(snapshot(self.study, elapsed, validating=validating))
        end = time.monotonic()
        self._next_show = end + max(_SHOW_EVERY, (end - start) * _SHOW_SHARE)

    def _fix_scale(self) -> None:
        """Write the hypervolume's axes once the last baseline is in; without one there are none."""
        study, count = self.study, len(self.problem.baselines)
        if study.scale is not None or len(study.candidates) < count:
            return
        first = [study.candidates[i] for i in range(count)]
        if all(c.finished for c in first) and any(c.status == "ok" for c in first):
            axes = make_scale(study, self.problem.objectives)
            self._write({"type": "scale", "axes": axes})

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._write({"type": "phase", "name": name, "seconds": time.monotonic() - start})

    def _write(self, record: Record, *, sync: bool = False) -> None:
        self.journal.append(record, sync=sync)
        self.study.apply(record)


def _executor(problem: Problem, folder: Path) -> Executor:
    experiment = problem.experiment
    workers = experiment.workers
    device = "cuda" if workers.gpus > 0 else "cpu"
    return make_executor(
        functools.partial(ModelEvaluator, problem.spec, device=device, folders=[folder.absolute()]),
        count=workers.count,
        # More would have nothing to do: so many results are waited for.
        most=experiment.lag if experiment.order == "fixed" else None,
        cpus=workers.cpus,
        gpus=workers.gpus,
        kind=workers.executor,
        time_limit=workers.time_limit,
        address=workers.address,
    )


def study_header(problem: Problem, out: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What the first line of a study's journal says."""
    return {
        "name": out.resolve().name,
        "version": __version__,
        "model_name": problem.spec.name,
        "model": model_key(problem.denoiser).model_dump(),
        "experiment": problem.experiment.to_dict(),
        "overrides": list(overrides),
    }


def _resumed(out: Path, problem: Problem, overrides: Sequence[str]) -> Journal:
    """The study's journal, if the experiment is the one that it began with."""
    journal = Journal.open(out)
    try:
        study = Study.from_records(journal.records)
        before, now = study.experiment.to_dict(), problem.experiment.to_dict()
        changed = [key for key in before if before[key] != now[key]]
        refused = [key for key in changed if key not in _RESUMABLE]
        if refused:
            key = refused[0]
            raise UserError(
                f"{out}: --resume with another {key!r} ({_short(before[key])} became "
                f"{_short(now[key])}); only {', '.join(_RESUMABLE)} may change"
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


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextlib.contextmanager
def _interrupts() -> Iterator[Any]:
    """Ctrl-C once (or SIGTERM) asks to finish what is in flight; twice stops at once."""
    asked = {"count": 0}

    def handle(number: int, frame: FrameType | None) -> None:
        asked["count"] += 1
        if asked["count"] > 1:
            raise KeyboardInterrupt

    previous = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    try:
        yield lambda: asked["count"] > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
