"""A study as a study of Optuna: for its dashboard, its plots and its other tools.

Trials are the candidates with a result, in their order. ``values`` are those of the search, by
which ``best_trials`` of the exported study is the front that the search ended with. Values on fresh
noise, which decide the front of ``autosearch front``, would mix two kinds of measurement and are
there for a few candidates only: they are attributes, and so is whether a point is still on that
front.

What became of a candidate:

    feasible                                    COMPLETE
    a limit on a measured objective is broken   COMPLETE, its constraint above 0: not a best trial
    no values (not finite, a worker died)       FAIL, with the attribute ``reason``
    no result yet                               left out

``params`` are the point of the box from which an algorithm made the recipe. Recipes of evolution,
random search and baselines come from no box: theirs are empty.

Dates are those of the export, since a study records none; durations are those of the evaluations.
"""

import contextlib
import datetime
import importlib.util
import json
import logging
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from autosearch import __version__
from autosearch.algorithms.optuna_box import distribution
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.ranking import objectives_of
from autosearch.study.study import Candidate, Study
from autosearch.text import for_people

__all__ = ["export_study", "open_storage", "storage_address", "write_optuna"]

SQLITE = (".db", ".sqlite", ".sqlite3")
JOURNAL = (".log", ".journal")

_RENAME = sqlalchemy.text("UPDATE studies SET study_name = :new WHERE study_name = :old")


def export_study(
    study: Study | Path | str, storage: BaseStorage | Path | str, *, name: str | None = None
) -> optuna.study.Study:
    """Write a study into a storage of Optuna.

    Args:
        study: the study, or its directory.
        storage: open, or its place as for ``autosearch export -o``.
        name: of the new study; the study's own by default.

    Raises:
        UserError: when there is no study, the storage cannot be opened or has one of this name.
    """
    study = study if isinstance(study, Study) else Study.read(Path(study))
    wanted = name or study.header.name
    if not isinstance(storage, str | Path):
        return _export(study, storage, wanted)
    place = str(storage)
    if not place.endswith(JOURNAL) or "://" in place:
        return _export(study, open_storage(place), wanted)
    # A journal cannot rename a study: a copy of it takes its place when it holds the whole.
    part = Path(f"{place}.part")
    try:
        Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of an export that was killed
        if Path(place).exists():
            shutil.copyfile(place, part)
        _export(study, JournalStorage(JournalFileBackend(str(part))), wanted)
        part.replace(place)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"storage {place}: cannot be opened: {_reason(error)}") from None
    finally:
        part.unlink(missing_ok=True)
    with _quiet():
        return optuna.load_study(study_name=wanted, storage=open_storage(place))


def _export(study: Study, opened: BaseStorage, name: str) -> optuna.study.Study:
    """Write a study into an open storage; in a database under another name until it is whole."""
    database = _database(opened)
    with _quiet():
        if database is not None and name in optuna.get_all_study_names(opened):
            raise _taken(name)
        unfinished = name if database is None else f"{name} (being written)"
        if database is not None and unfinished in optuna.get_all_study_names(opened):
            # Of an export that was killed.
            optuna.delete_study(study_name=unfinished, storage=opened)
        exported = _create(study, opened, unfinished)
        try:
            exported.set_metric_names([o.name for o in objectives_of(study)])
            for key, value in _study_attributes(study).items():
                exported.set_user_attr(key, value)
            for trial in _trials(study):
                exported.add_trial(trial)
        except BaseException:
            # A part of a study would look like a whole one, and its name would be taken.
            optuna.delete_study(study_name=exported.study_name, storage=opened)
            raise
        if database is None:
            return exported
        with database.engine.begin() as connection:
            connection.execute(_RENAME, {"new": name, "old": unfinished})
        return optuna.load_study(study_name=name, storage=opened)


def _database(storage: BaseStorage) -> Any:
    """The database behind a storage; None for another kind."""
    backend = getattr(storage, "_backend", storage)
    return backend if isinstance(backend, optuna.storages.RDBStorage) else None


def _taken(name: str) -> UserError:
    return UserError(f"storage: already has a study {name!r}; give another name (--name) or place")


def write_optuna(study: Study, place: str, name: str | None) -> str:
    """Write the study into a storage of Optuna; the result says how to look at it."""
    exported = export_study(study, place, name=name)
    counts = Counter(trial.state.name.lower() for trial in exported.get_trials(deepcopy=False))
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    installed = importlib.util.find_spec("optuna_dashboard") is not None
    hint = "" if installed else "pip install 'autosearch[dashboard]', then "
    return (
        f"study {exported.study_name!r} with {states or 'no trials'}; "
        f"{hint}optuna-dashboard {storage_address(place)}"
    )


def _create(study: Study, storage: BaseStorage, name: str) -> optuna.study.Study:
    try:
        return optuna.create_study(
            study_name=name,
            storage=storage,
            directions=[objective.direction for objective in objectives_of(study)],
        )
    except DuplicatedStudyError:
        raise _taken(name) from None


def _study_attributes(study: Study) -> dict[str, Any]:
    experiment = study.experiment
    return {
        "autosearch": __version__,
        "model": study.header.model_name,
        "algorithm": str(experiment.algorithm["name"]),
        "samples": experiment.samples,
        "units": {o.name: o.unit for o in objectives_of(study) if o.unit},
        "experiment": json.dumps(experiment.to_dict()),
    }


def _trials(study: Study) -> Iterator[FrozenTrial]:
    distributions, front = _distributions(study), Front.of(study)
    for _, candidate in sorted(study.candidates.items()):
        if candidate.finished:
            yield _trial(study, candidate, distributions, front)


def _distributions(study: Study) -> dict[str, BaseDistribution]:
    """The box, where points were proposed in one; it takes the model to know it."""
    if all(candidate.point is None for candidate in study.candidates.values()):
        return {}
    return {p.name: distribution(p) for p in Problem.of(study.experiment).space.box()}


def _trial(
    study: Study,
    candidate: Candidate,
    distributions: Mapping[str, BaseDistribution],
    front: Front,
) -> FrozenTrial:
    names = study.experiment.objectives
    measured = bool(candidate.values)
    params = dict(candidate.point or {})
    constraints = _constraints(study, candidate)
    trial = optuna.trial.create_trial(
        state=TrialState.COMPLETE if measured else TrialState.FAIL,
        values=[candidate.values[name].value for name in names] if measured else None,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=_attributes(study, candidate, front),
        # As every release of Optuna reads them, and the dashboard.
        system_attrs={"constraints": constraints} if constraints else {},
    )
    if trial.datetime_complete is not None:
        seconds = datetime.timedelta(seconds=candidate.seconds)
        trial.datetime_start = trial.datetime_complete - seconds
    return trial


def _constraints(study: Study, candidate: Candidate) -> list[float]:
    """By how much each limit on a value is broken; kept when at most 0."""
    return [
        bounds.excess(candidate.values[name].value)
        for name, bounds in study.experiment.constraints.items()
        if name in candidate.values
    ]


def _attributes(study: Study, candidate: Candidate, front: Front) -> dict[str, Any]:
    """Whatever else there is to know, as the dashboard shows it."""
    recipe = study.recipe(candidate)
    point = front.by_number.get(candidate.id)
    attributes: dict[str, Any] = {
        "name": candidate.name or f"#{candidate.id}",
        "candidate": candidate.id,
        "baseline": candidate.name,
        "reason": candidate.reason,
        "on_front": None if point is None else point.on_front,
        "steps": len(recipe.steps),
        "times": " ".join(f"{step.time:g}" for step in recipe.steps),
        "orders": " ".join(str(step.order) for step in recipe.steps),
        **_more_values(candidate, front),
        "forward_equivalents": candidate.executed,
        "duplicates": candidate.duplicates or None,
        "recipe": json.dumps(recipe.to_dict()),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _more_values(candidate: Candidate, front: Front) -> dict[str, Any]:
    """Errors of the search's values, values of no objective, measured values on fresh noise."""
    values: dict[str, Any] = {}
    for name, estimate in candidate.values.items():
        if front.axis(name) is None:
            values[name] = estimate.value
        if estimate.pseudo:
            values[f"{name}_standard_error"] = estimate.standard_error
    for name, estimate in front.fresh.get(candidate.id, {}).items():
        if estimate.pseudo:
            values[f"{name}_validated"] = estimate.value
            values[f"{name}_validated_ci"] = list(estimate.interval())
    return values


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's own lines; its settings come back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def storage_address(place: str) -> str:
    """What to give other tools of Optuna: a URL, or the path of a journal.

    Args:
        place: a URL (it holds ``://``), or a path that ends in .db, .sqlite or .sqlite3 for a
            database and in .log or .journal for a journal.

    Raises:
        UserError: for a path with another ending.
    """
    if "://" in place or place.endswith(JOURNAL):
        return place
    if place.endswith(SQLITE):
        return str(sqlalchemy.URL.create("sqlite", database=place))
    endings = ", ".join((*SQLITE, *JOURNAL))
    raise UserError(
        f"storage {place}: end it with one of {endings}, or give a URL such as sqlite:///file.db"
    )


def open_storage(place: str) -> BaseStorage:
    """Open a storage, made anew where there is none.

    Args:
        place: see :func:`storage_address`.

    Raises:
        UserError: when it cannot be opened, in one line.
    """
    address = storage_address(place)
    try:
        if "://" not in place:
            Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
        if "://" not in address:
            return JournalStorage(JournalFileBackend(place))
        with _loggers_kept():
            return optuna.storages.get_storage(address)
    except (ImportError, OSError, ValueError, KeyError, sqlalchemy.exc.SQLAlchemyError) as error:
        message = f"storage {place}: cannot be opened: {_reason(error)}"
        raise UserError(for_people(message)) from None


@contextlib.contextmanager
def _loggers_kept() -> Iterator[None]:
    """Undo what Optuna's database does on opening: it switches off all loggers that exist."""
    loggers = [
        one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)
    ]
    switched_off = [one.disabled for one in loggers]
    try:
        yield
    finally:
        for one, off in zip(loggers, switched_off, strict=True):
            one.disabled = off


def _reason(error: Exception) -> str:
    """The first line of what went wrong below Optuna."""
    text = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
    lines = str(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
