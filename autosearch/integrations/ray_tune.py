"""A study inside Ray Tune: a searcher that drives our search, and a trainable that measures.

    from ray import tune
    from autosearch.integrations.ray_tune import RecipeSearch, recipe_trainable

    tuner = tune.Tuner(
        recipe_trainable("mixture"),
        tune_config=tune.TuneConfig(
            search_alg=RecipeSearch("mixture"),
            num_samples=-1,            # the experiment's budget ends the search
            max_concurrent_trials=2,
            reuse_actors=True,         # the model is loaded once for each actor
        ),
    )
    results = tuner.fit()

Trials are the candidates of ``autosearch run`` with the same experiment: baselines first,
duplicates avoided, constraints kept; in fixed order the very same, however many run at a time.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from autosearch.diffusion.threads import one_thread
from autosearch.engine.engine import Assignment, Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import (
    Prepared,
    continued,
    fitted_names,
    make_baselines,
    make_warm_start,
)
from autosearch.engine.problem import Problem
from autosearch.engine.reference import shipped_reference
from autosearch.engine.warm_start import load_warm_start
from autosearch.errors import UserError, missing
from autosearch.experiment import Experiment, experiment_from_dict, load_experiment
from autosearch.integrations.candidate_evaluator import CandidateEvaluator
from autosearch.objectives.base import Objective
from autosearch.study.events import Evaluated, Event, parse_event
from autosearch.study.journal import Journal
from autosearch.study.study import Candidate, Study

try:
    import ray
    from ray import tune
    from ray.tune.search import Searcher
except ImportError as error:
    raise missing(error, install="ray[tune]", what="integrations.tune") from None

__all__ = ["RecipeSearch", "RecipeTrainable", "recipe_trainable"]

# The key of a trial's result under which the whole measurement is reported, as JSON text.
MEASURED = "measured"

_UNFINISHED = ("PENDING", "RUNNING", "PAUSED")
# Tune names trials and their folders after the trainable.
_NAME = "recipe"


def _as_experiment(given: Experiment | str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """An experiment itself, or by the name of a shipped one or the path of a file.

    Raises:
        UserError: for a missing or wrong file, or overrides of what is loaded already.
    """
    if not isinstance(given, Experiment):
        return load_experiment(str(given), overrides)
    if overrides:
        raise UserError("overrides: the experiment is loaded already; give its name or path")
    return given


class RecipeSearch(Searcher):  # type: ignore[misc]  # Ray has no types
    """Candidates of an experiment as the configurations of trials.

    A configuration holds ``candidate`` (its number), ``name`` (the baseline's, or the number),
    ``genome`` (JSON text), ``first_block`` (where its noise begins) and, from an algorithm that
    works in a box, ``point``.

    ``save`` writes plain JSON: the records that a journal would hold. ``restore`` tells them again;
    candidates that were given out and whose trials Tune does not know are given out anew.

    Args:
        experiment: the name of a shipped one, the path of a file, or an Experiment.
        overrides: ``key=value`` changes, as for ``autosearch run --set``.

    Raises:
        UserError: for anything in the experiment that cannot be done.
    """

    def __init__(
        self, experiment: Experiment | str | Path, *, overrides: Sequence[str] = ()
    ) -> None:
        self._experiment = _as_experiment(experiment, overrides)
        if self._experiment.rungs:
            raise UserError("rungs: only `autosearch run` races candidates; give samples")
        problem = Problem.of(self._experiment)
        for name in fitted_names(problem):
            raise UserError(
                f"baselines: {name!r} is fitted to the model, which only `autosearch run` does; "
                "leave it out"
            )
        super().__init__(
            metric=[objective.name for objective in problem.objectives],
            mode=[objective.direction[:3] for objective in problem.objectives],
        )
        self._most: int | None = None
        self._trials: dict[str, int] = {}
        self._events: list[Event] = [make_header(problem, "tune")]
        reference = shipped_reference(problem)
        if reference is not None:
            self._events.append(reference)
        self._built: Engine | None = self._build(problem)

    @property
    def study(self) -> Study:
        """What was asked and measured so far, for :meth:`autosearch.study.front.Front.of`."""
        return self._engine.study

    def write_study(self, directory: Path | str) -> None:
        """Leave the trials as a study that ``autosearch validate``, ``front`` and others take.

        Raises:
            UserError: when the directory holds a study or cannot be written.
        """
        path = Path(directory)
        header = self.study.header.model_copy(update={"name": path.resolve().name})
        with Journal.create(path, header) as journal:
            for event in self._events[1:]:
                journal.append(event)

    # -- what Tune calls -----------------------------------------------------------------------

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Counted here, where trials that a crash lost are known."""
        self._most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next candidate; None while results must come first; FINISHED at the end."""
        engine = self._engine
        if self._most is not None and engine.out >= self._most:
            return None
        with one_thread():
            assignment = engine.ask()
        if assignment is None:
            finished: str = Searcher.FINISHED
            return finished if engine.done_asking else None
        self._trials[trial_id] = assignment.id
        return _config(assignment)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell what was measured; a trial that ended without is infeasible."""
        number = self._trials.get(trial_id)
        if number is None:
            return
        text = (result or {}).get(MEASURED)
        if text is None:
            measured = _unmeasured(self.study.candidates[number], error)
        else:
            measured = Evaluated.model_validate_json(text)
        with one_thread():
            self._engine.tell(number, measured)

    def save(self, checkpoint_path: str) -> None:
        """Write the state as JSON."""
        state = {
            "experiment": self._experiment.to_dict(),
            "trials": self._trials,
            "records": self._records(),
        }
        Path(checkpoint_path).write_text(json.dumps(state, allow_nan=False), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Take up a saved state.

        Raises:
            UserError: when it is damaged, or that of another experiment.
        """
        path = Path(checkpoint_path)
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            experiment, trials, records = (state[k] for k in ("experiment", "trials", "records"))
        except (OSError, ValueError, LookupError, TypeError):
            raise UserError(
                f"{path}: not the state of a RecipeSearch, or damaged; start the search again"
            ) from None
        if experiment != self._experiment.to_dict():
            raise UserError(f"{path}: the state of another experiment; restore with that one")
        alive = _unfinished_trials(path.parent)
        self._trials = {t: n for t, n in trials.items() if alive is None or t in alive}
        self._events, self._built = [parse_event(record) for record in records], None

    # -- pickling: Tune keeps a copy of the searcher beside its own state ------------------------

    def __getstate__(self) -> dict[str, Any]:
        plain = {k: v for k, v in self.__dict__.items() if k not in ("_built", "_events")}
        return {**plain, "_experiment": self._experiment.to_dict(), "records": self._records()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._events = [parse_event(record) for record in state.pop("records")]
        self.__dict__.update(state)
        self._experiment = experiment_from_dict(state["_experiment"], where="searcher")
        self._built = None

    def _records(self) -> list[dict[str, Any]]:
        return [event.to_record() for event in self._events]

    @property
    def _engine(self) -> Engine:
        """Built when it is first needed: a pickled copy may never be."""
        if self._built is None:
            self._built = self._build(Problem.of(self._experiment))
            for number in self._trials.values():
                self._built.claim(number)
        return self._built

    def _build(self, problem: Problem) -> Engine:
        with one_thread():
            problem = continued(problem, Study.of(self._events))
            baselines = make_baselines(problem, {})
            warm_start = make_warm_start(problem, load_warm_start(self._experiment.init), baselines)
            prepared = Prepared(problem, baselines, warm_start)
            history = list(self._events)
            return Engine(prepared, history=history, record=self._events.append)


def _config(assignment: Assignment) -> dict[str, Any]:
    candidate = assignment.candidate
    config: dict[str, Any] = {
        "candidate": candidate.id,
        "first_block": min(assignment.task.blocks, default=0),
        "genome": json.dumps(candidate.genome),
        "name": candidate.name or f"#{candidate.id}",
    }
    if candidate.point is not None:
        config["point"] = dict(candidate.point)
    return config


def _unmeasured(candidate: Candidate, error: bool) -> Evaluated:
    """The result of a trial that ended without; charged in full, as for a worker that dies."""
    died = "worker died: the trial ended in an error"
    return Evaluated(
        id=candidate.id,
        status="infeasible",
        reason=died if error else "stopped before it was measured",
        values={},
        samples=0,
        forward_equivalents=candidate.nominal,
        seconds=0.0,
        worker="tune",
    )


def _unfinished_trials(directory: Path) -> set[str] | None:
    """Trials that Tune will run again, from its state beside the searcher's.

    The two are written one after the other, so a kill can leave one older than the other. None
    where there is no such file, or in a format that this release does not know.
    """
    files = sorted(directory.glob("experiment_state-*.json"))
    if not files:
        return None
    try:
        entries = json.loads(files[-1].read_text(encoding="utf-8"))["trial_data"]
        states = [json.loads(entry[0]) for entry in entries]
        return {state["trial_id"] for state in states if state["status"] in _UNFINISHED}
    except (OSError, ValueError, LookupError, TypeError):
        return None


class RecipeTrainable(tune.Trainable):  # type: ignore[misc]  # Ray has no types
    """Measures one candidate in one step. Made by :func:`recipe_trainable`.

    Its result has each objective's value by name (those of constraints too), for measured ones
    ``NAME_standard_error``, and ``forward_equivalents``, ``feasible``, ``reason`` and ``measured``
    (the whole measurement, as JSON text). Values of an infeasible candidate are NaN: the trial
    ends well and is not lost, and what picks a best result passes over it.
    """

    experiment_data: ClassVar[Mapping[str, Any]]

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        """What the experiment says of its workers; ``tune.with_resources`` overrides it."""
        workers = experiment_from_dict(cls.experiment_data, where="trainable").workers
        return tune.PlacementGroupFactory([{"CPU": workers.cpus, "GPU": workers.gpus}])

    def setup(self, config: Mapping[str, Any]) -> None:
        """Load the model, on a GPU if Ray gave this actor one."""
        experiment = experiment_from_dict(self.experiment_data, where="trainable")
        device: Literal["cpu", "cuda"] = "cuda" if ray.get_gpu_ids() else "cpu"
        self._evaluator = CandidateEvaluator(experiment, device=device, name="tune")

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """The model serves any candidate."""
        return True

    def step(self) -> dict[str, Any]:
        """Measure the candidate, and be done."""
        genome, first = json.loads(self.config["genome"]), self.config["first_block"]
        measured = self._evaluator.measure(genome, first_block=first)
        objectives = self._evaluator.problem.measure.objectives
        return {**_metrics(measured, objectives), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep: a trial is one step. Tune asks unless told not to."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing to load."""


def recipe_trainable(
    experiment: Experiment | str | Path, *, overrides: Sequence[str] = ()
) -> type[RecipeTrainable]:
    """The trainable of an experiment; give it to a ``Tuner``, and again to ``Tuner.restore``.

    Args:
        experiment: the name of a shipped one, the path of a file, or an Experiment.
        overrides: ``key=value`` changes, as for ``autosearch run --set``.

    Raises:
        UserError: for a missing or wrong experiment.
    """
    data = _as_experiment(experiment, overrides).to_dict()
    return type(_NAME, (RecipeTrainable,), {"experiment_data": data, "__module__": __name__})


def _metrics(measured: Evaluated, objectives: Sequence[Objective]) -> dict[str, Any]:
    """A measurement as scalars that any logger takes."""
    feasible = measured.status == "ok"
    estimates = measured.values if feasible else {}
    metrics: dict[str, Any] = {}
    for objective in objectives:
        estimate = estimates.get(objective.name)
        metrics[objective.name] = math.nan if estimate is None else estimate.value
        if objective.needs:
            error = math.nan if estimate is None else estimate.standard_error
            metrics[f"{objective.name}_standard_error"] = error
    return {
        **metrics,
        "forward_equivalents": measured.forward_equivalents,
        "feasible": feasible,
        "reason": measured.reason or "",
        MEASURED: json.dumps(measured.to_record()),
    }
