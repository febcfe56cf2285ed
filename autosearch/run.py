"""Running a study: setup, search, validation, each resumable from the journal."""

import contextlib
import functools
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch._version import __version__
from autosearch.baselines import baseline
from autosearch.collect import collect
from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.front import make_scale, selection
from autosearch.journal import Journal
from autosearch.measure import Measure
from autosearch.plan import Plan, model_key
from autosearch.problem import Problem
from autosearch.progress import Progress
from autosearch.search import Search
from autosearch.snapshot import snapshot
from autosearch.store import BlockStore
from autosearch.study import Study, estimates_to_record
from autosearch.workers import Executor, Infeasible, Task, make_executor
from autosearch.workers.evaluator import ModelEvaluator
from autosearch.workers.stored import StoredExecutor

__all__ = ["REFERENCES", "TEACHER", "run_study", "study_header", "validate_study"]

# The reference of a model is the better of the two (unguided), where none is shipped with it.
REFERENCES = ("ddim@100", "dpmpp_2m@100")
TEACHER = "dpmpp_2m@100"
STORE_BYTES = 256 * 2**20
# Seconds between two looks at the progress: a front takes time to compute.
_SHOW_EVERY = 0.5

# May differ from the first run's when a study is resumed: none of them changes a result.
_RESUMABLE = ("budget", "workers", "validation")


def run_study(experiment: Experiment, out: Path, *, resume: bool, progress: Progress) -> Study:
    """Search and validate; leaves the journal, from which everything else is derived.

    Raises:
        UserError: when the experiment cannot be done, or the directory does not fit it.
    """
    problem = Problem(experiment)
    # Made before anything is written: a wrong name among them is the user's mistake.
    _ = problem.baselines, problem.make_algorithm()
    journal = _resumed(out, problem) if resume else Journal.create(out, study_header(problem, out))
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
        self._stack = contextlib.ExitStack()
        self._started = time.monotonic()
        self._shown = 0.0

    def __enter__(self) -> "_Session":
        self.executor: Executor = self._stack.enter_context(
            StoredExecutor(
                _executor(self.problem),
                BlockStore(self.journal.directory / "blocks", STORE_BYTES),
            )
        )
        self.progress.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.progress.stop()
        self._stack.__exit__(*exc)

    def setup(self) -> None:
        """The reference, once per study."""
        if self.study.reference is not None:
            return
        with self._phase("reference"):
            shipped = self.problem.model.figures.get("reference")
            if shipped:
                record = {**shipped, "source": "shipped", "forward_equivalents": 0.0}
            else:
                record = self._measured_reference()
            self._write({"type": "reference", **record})

    def search(self) -> None:
        """Baselines, the hypervolume's axes, then the search proper."""
        teacher = self._teacher(Stream.SEARCH, self.problem.experiment.seed, self._samples)
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

    def validate(self, *, samples: int | None = None, seed: int | None = None) -> None:
        """Measure what the front's promises rest on again, on noise that the search never saw."""
        experiment = self.problem.experiment
        count = experiment.validation.samples if samples is None else samples
        number = experiment.seed if seed is None else seed
        measure = self.problem.report_measure
        if not measure.needs:
            return
        measure.check_samples(count, where="samples")
        teacher = self._teacher(Stream.VALIDATION, number, count, measure)
        with self._phase("validation"):
            self._validate(count, number, measure, teacher)

    def _validate(
        self, count: int, seed: int, measure: Measure, teacher: NDArray[np.generic] | None
    ) -> None:
        chosen = {c.id: c for c in selection(self.study)}
        known = self.study.validations
        todo = [c for c in chosen.values() if (c.identity, seed, count) not in known]
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
                self._changed(validating=(len(todo) - len(waiting) - pending, len(todo)))

    @property
    def _samples(self) -> int:
        return self.problem.experiment.samples

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

    def _measured_reference(self) -> dict[str, Any]:
        """The better of the reference recipes, measured on a stream of its own."""
        samples = self.problem.experiment.validation.samples
        measure, seed = self.problem.report_measure, self.problem.experiment.seed
        found, cost = [], 0.0
        for name in REFERENCES:
            plan = self.problem.compile(baseline(name, self.problem.denoiser))
            rows, spent = self._collect(plan, Stream.REFERENCE, samples, measure)
            cost += spent
            teacher = self._teacher(Stream.REFERENCE, seed, samples, measure)
            found.append((name, measure.estimates(plan, rows, samples=samples, teacher=teacher)))
        first = next((o.name for o in measure.objectives if o.needs), None)
        name, values = min(found, key=lambda item: item[1][first].value if first else 0.0)
        return {
            "recipe": name,
            "source": "measured",
            "samples": samples,
            "values": estimates_to_record({n: v for n, v in values.items() if v.pseudo}),
            "forward_equivalents": cost,
        }

    def _teacher(
        self, stream: Stream, seed: int, samples: int, measure: Measure | None = None
    ) -> NDArray[np.generic] | None:
        """Ends of the fine trajectory from the same noise, where an objective asks for them."""
        if not (measure or self.problem.measure).needs_teacher:
            return None
        plan = self.problem.compile(baseline(TEACHER, self.problem.denoiser))
        found = collect(
            self.executor,
            plan,
            seed=seed,
            stream=stream,
            blocks=self.problem.blocks(samples),
            block_size=self.problem.seed_block,
            needs=frozenset({"final"}),
        )
        if found.reason is not None:
            raise UserError(f"the teacher {TEACHER} cannot be sampled: {found.reason}")
        if found.forward_equivalents:
            cost = found.forward_equivalents
            self._write({"type": "cost", "what": "teacher", "forward_equivalents": cost})
        return found.rows["final"]

    def _collect(
        self, plan: Plan, stream: Stream, samples: int, measure: Measure
    ) -> tuple[Mapping[str, NDArray[np.generic]], float]:
        found = collect(
            self.executor,
            plan,
            seed=self.problem.experiment.seed,
            stream=stream,
            blocks=self.problem.blocks(samples),
            block_size=self.problem.seed_block,
            needs=measure.needs,
        )
        if found.reason is not None:
            raise UserError(f"the reference cannot be sampled: {found.reason}")
        return found.rows, found.forward_equivalents

    def _changed(self, validating: tuple[int, int] | None = None) -> None:
        self._fix_scale()
        now = time.monotonic()
        elapsed = now - self._started
        if now - self._shown < _SHOW_EVERY:
            return
        self._shown = now
        self.progress.update(snapshot(self.study, self.problem, elapsed, validating=validating))

    def _fix_scale(self) -> None:
        """Write the hypervolume's axes once the last baseline is in."""
        study, count = self.study, len(self.problem.baselines)
        if study.scale is not None or len(study.candidates) < count:
            return
        if all(study.candidates[i].finished for i in range(count)):
            axes = make_scale(study, self.problem.objectives)
            self._write({"type": "scale", "axes": axes})

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._write({"type": "phase", "name": name, "seconds": time.monotonic() - start})

    def _write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        self.journal.append(record, sync=sync)
        self.study.apply(record)


def _executor(problem: Problem) -> Executor:
    workers = problem.experiment.workers
    device = "cuda" if workers.gpus > 0 else "cpu"
    return make_executor(
        functools.partial(ModelEvaluator, problem.spec, device=device),
        count=workers.count,
        cpus=workers.cpus,
        gpus=workers.gpus,
        kind=workers.executor,
        time_limit=workers.time_limit,
        address=workers.address,
    )


def study_header(problem: Problem, out: Path) -> dict[str, Any]:
    """What the first line of a study's journal says."""
    return {
        "name": out.resolve().name,
        "version": __version__,
        "model_name": problem.spec.name,
        "model": model_key(problem.denoiser).model_dump(),
        "experiment": problem.experiment.to_dict(),
    }


def _resumed(out: Path, problem: Problem) -> Journal:
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
        weights = model_key(problem.denoiser).model_dump()
        if study.header["model"] != weights:
            raise UserError(f"{out}: --resume with other weights; use the study's own model")
        if changed:
            journal.append({"type": "resume", "experiment": now})
            journal.records.append({"type": "resume", "experiment": now})
    except BaseException:
        journal.close()
        raise
    return journal


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
