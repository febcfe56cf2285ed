"""The experiment: a YAML file, validated, and the problem that it states."""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from autosearch.errors import UserError, unknown_name, validated
from autosearch.registry import switch_taken_for_number
from autosearch.text import BAD_YAML, read_yaml

__all__ = [
    "ALL_BASELINES",
    "Bounds",
    "Experiment",
    "change_experiment",
    "change_settings",
    "experiment_from_dict",
    "load_experiment",
    "shipped_as",
    "shipped_experiments",
]

_ALGORITHM = "nsga2"
# Among the names of baselines: every solver on every grid that the space can express.
ALL_BASELINES = "all"
# Where nobody names an algorithm or baselines, a quality is traded for evaluations, and nothing but
# times and solvers varies: there fits are the starts, and this is what is left to do with them.
_ALGORITHM_ON_FITS = "refine"
_FITTED_SPACE = {"timesteps", "solver"}

# The lag where none is given: as much as a single worker was always given, and enough for workers
# beside one another to be busy though evaluations differ in length tenfold.
_LEAST_LAG = 16
_LAG_PER_WORKER = 3

Positive = Annotated[int, Field(ge=1, le=10**9)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bounds(_Strict):
    """Least and largest value allowed."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _leave_room(self) -> "Bounds":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"nothing is at least {self.min:g} and at most {self.max:g}")
        return self

    @property
    def text(self) -> str:
        """Such as ``>= 2 and <= 8``."""
        ends = ((">=", self.min), ("<=", self.max))
        return " and ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)

    def excess(self, value: float) -> float:
        """How far a value is outside; negative or 0 inside. Without bounds it is 0."""
        over = [value - self.max] if self.max is not None else []
        under = [self.min - value] if self.min is not None else []
        return max([*over, *under], default=0.0)


class Budget(_Strict):
    """What ends the search; whichever comes first. Baselines are included."""

    candidates: Positive | None = None
    forward_equivalents: Annotated[float | None, Field(gt=0, le=1e18)] = None
    hours: Annotated[float | None, Field(gt=0, le=1e6)] = None


class Validation(_Strict):
    """How the front is measured again, on fresh noise."""

    samples: Positive = 4000


class Workers(_Strict):
    """Where candidates are evaluated: by how many Ray workers, or in this process."""

    count: Literal["auto"] | Positive = "auto"
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    executor: Literal["auto", "ray", "inprocess"] = "auto"
    address: str | None = None
    time_limit: Annotated[float | None, Field(gt=0)] = None
    # What each worker keeps of the network's outputs, for later plans that begin alike: a number
    # is so many bytes. Changes no result.
    call_cache: Literal["auto", "off"] | Annotated[int, Field(ge=1, le=2**50)] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _current_keys(cls, data: Any) -> Any:
        return _with_current_keys(data)

    @field_validator("call_cache", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """``on`` is auto; of YAML's older version ``off`` is false."""
        return {"False": "off", "True": "auto", "on": "auto"}.get(str(value), value)


def _with_current_keys(workers: Any) -> Any:
    """Settings of workers with ``call_cache`` for ``trajectories``, its name in old files."""
    if not isinstance(workers, Mapping):
        return workers
    names = {"trajectories": "call_cache"}
    return {names.get(key, key): value for key, value in workers.items()}


class Experiment(_Strict):
    """Everything that a study depends on."""

    model: dict[str, Any]
    space: dict[str, dict[str, Any]]
    objectives: Annotated[list[str], Field(min_length=1)]
    report: list[str] = Field(default_factory=list)
    constraints: dict[str, Bounds] = Field(default_factory=dict)
    # None: a short list, see autosearch.engine.default_baselines; a study records what it holds.
    baselines: list[str] | None = None
    algorithm: dict[str, Any] = Field(default_factory=lambda: {"name": _ALGORITHM})
    samples: Positive = 400
    # Racing: the numbers of samples that a candidate may reach; the last one is ``samples``.
    rungs: list[Positive] = Field(default_factory=list)
    budget: Budget = Budget(candidates=200)
    validation: Validation = Validation()
    workers: Workers = Workers()
    order: Literal["fixed", "arrival"] = "fixed"
    # Candidates that may be under way, in fixed order, before a proposal has to see their results.
    lag: Literal["auto"] | Positive = "auto"
    # Other studies, fronts or recipes to start from: paths.
    init: list[str] = Field(default_factory=list)
    # Common: all candidates see the same noise, so that their differences are not its own.
    # Fresh: each sees its own, as published searches do that draw anew for each evaluation.
    noise: Literal["common", "fresh"] = "common"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    # Who watches a run, such as tensorboard: names, or mappings of a name and settings.
    loggers: list[dict[str, Any]] = Field(default_factory=list)

    @field_validator("model", "algorithm", mode="before")
    @classmethod
    def _named(cls, value: Any, info: ValidationInfo) -> Any:
        """A bare name stands for ``{name: NAME}``; settings alone are the default algorithm's."""
        named = {"name": value} if isinstance(value, str) else value
        if isinstance(named, Mapping) and info.field_name == "algorithm":
            named = {"name": _ALGORITHM, **named}
        if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
            raise ValueError("give a name, or a mapping with the key 'name'")
        return named

    @field_validator("baselines", mode="before")
    @classmethod
    def _all(cls, value: Any) -> Any:
        """The word alone stands for the list of it."""
        if isinstance(value, str) and value != ALL_BASELINES:
            raise ValueError(f"give a list, such as [ddim, dpmpp_2m], or {ALL_BASELINES}")
        return [value] if isinstance(value, str) else value

    @field_validator("loggers", mode="before")
    @classmethod
    def _named_once(cls, value: Any) -> Any:
        """Bare names stand for ``{name: NAME}``."""
        if not isinstance(value, list):
            return value
        named = [{"name": one} if isinstance(one, str) else one for one in value]
        if not all(isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in named):
            raise ValueError("give names, or mappings with the key 'name'")
        names = [one["name"] for one in named]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice!r} stands twice; name each logger once")
        return named

    @model_validator(mode="before")
    @classmethod
    def _search_on_fits(cls, data: Any) -> Any:
        """The algorithm of experiments that start from fits."""
        if not isinstance(data, Mapping) or "algorithm" in data or data.get("baselines"):
            return data
        space, objectives = data.get("space"), data.get("objectives")
        times = isinstance(space, Mapping) and "timesteps" in space and set(space) <= _FITTED_SPACE
        traded = isinstance(objectives, list) and len(objectives) == 2 and "nfe" in objectives
        return {**data, "algorithm": _ALGORITHM_ON_FITS} if times and traded else data

    @model_validator(mode="before")
    @classmethod
    def _last_rung(cls, data: Any) -> Any:
        """``rungs`` say how many samples there are at most."""
        rungs = data.get("rungs") if isinstance(data, Mapping) else None
        if not isinstance(rungs, list) or not rungs:
            return data
        return {**data, "samples": rungs[-1]}

    @field_validator("rungs")
    @classmethod
    def _growing(cls, value: list[int]) -> list[int]:
        if any(a >= b for a, b in itertools.pairwise(value)) or len(value) == 1:
            raise ValueError(
                f"give two or more numbers that grow, such as [400, 1200], not {value}"
            )
        return value

    @field_validator("space", mode="before")
    @classmethod
    def _families(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            raise ValueError("name at least one family, such as 'timesteps: {steps: [2, 10]}'")
        return {name: {} if settings is None else settings for name, settings in value.items()}

    @field_validator("budget")
    @classmethod
    def _bounded(cls, value: Budget) -> Budget:
        if value == Budget():
            raise ValueError("give candidates, forward_equivalents or hours")
        return value

    def lag_for(self, workers: int = 1) -> int:
        """The lag that is given, or else the larger of 16 and three times the workers."""
        if self.lag != "auto":
            return self.lag
        return max(_LEAST_LAG, _LAG_PER_WORKER * workers)

    def settled(self, workers: int = 1) -> "Experiment":
        """The experiment with a number for its lag, which depends on the workers if none is given.

        A search's proposals depend on the lag, so a study settles it when it begins.
        """
        return self.model_copy(update={"lag": self.lag_for(workers)})

    def to_dict(self) -> dict[str, Any]:
        """Plain data with every default written out."""
        return self.model_dump(mode="json")


def shipped_experiments() -> dict[str, str]:
    """Name and first comment line of each experiment in the package."""
    summaries = {}
    for entry in sorted(files("autosearch.experiments").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").splitlines()[0]
            summaries[entry.name.removesuffix(".yaml")] = first.lstrip("# ")
    return summaries


def shipped_as(experiment: Experiment, overrides: Sequence[str]) -> str | None:
    """The name of the shipped experiment that, with the overrides, is this one; None for others."""
    for name in shipped_experiments():
        try:
            if load_experiment(name, overrides) == experiment:
                return name
        except UserError:  # overrides that another experiment has no place for
            continue
    return None


def load_experiment(name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Read a file, or a shipped experiment by name, and apply ``key.sub=value`` overrides.

    Raises:
        UserError: for a missing file, an unknown name or key, a wrong type, bad YAML.
    """
    where, text = _read(name)
    try:
        data = read_yaml(text)
    except BAD_YAML as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        raise UserError(f"{where}{line}: {_yaml_fault(error)}") from None
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected a mapping of keys such as model, space, objectives")
    return _changed(data, overrides, where=where)


def change_experiment(
    experiment: Experiment, overrides: Sequence[str], *, where: str
) -> Experiment:
    """Apply ``key.sub=value`` overrides to an experiment.

    Raises:
        UserError: as :func:`load_experiment`.
    """
    return _changed(experiment.to_dict(), overrides, where=where) if overrides else experiment


def _changed(data: dict[str, Any], overrides: Sequence[str], *, where: str) -> Experiment:
    return experiment_from_dict(change_settings(data, overrides), where=where)


def change_settings(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``key.sub=value`` overrides to plain data; a bare name becomes a mapping with it.

    Raises:
        UserError: for what is no such text, or not valid YAML.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(data))
    _change_algorithm(changed, overrides)
    _rename_old_keys(changed)
    for override in overrides:
        _apply(changed, override)
        _rename_old_keys(changed)
    for key in ("model", "algorithm"):
        if isinstance(changed.get(key), str):
            changed[key] = {"name": changed[key]}
    return changed


def _yaml_fault(error: Exception) -> object:
    own = None if isinstance(error, yaml.YAMLError) else error
    return getattr(error, "problem", own) or "not valid YAML"


def experiment_from_dict(data: Mapping[str, Any], *, where: str) -> Experiment:
    """Validate plain data.

    Raises:
        UserError: for an unknown key, a wrong type, or values that JSON does not have.
    """
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise UserError(
            f"{where}: expected text, numbers, lists and mappings only, without dates, binary "
            "data, infinities or an alias inside itself"
        ) from None
    experiment = validated(Experiment, data, where=where)
    made = experiment.to_dict()
    for key, value in data.items():
        if switch_taken_for_number(value, made[key]):
            raise UserError(f"{where}: {key}: a number is due where {value!r} has true or false")
    return experiment


def _read(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or _is_file(path):
        try:
            return name, path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise UserError(f"{name}: cannot read the experiment: {reason}") from None
    shipped = shipped_experiments()
    if name not in shipped:
        raise unknown_name("experiment", name, shipped, where="run")
    source = files("autosearch.experiments") / f"{name}.yaml"
    return name, source.read_text(encoding="utf-8")


def _is_file(path: Path) -> bool:
    """Whether a file has the name; not a directory, such as the study of a shipped experiment."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or with a null character
        return False


def _change_algorithm(data: dict[str, Any], overrides: Sequence[str]) -> None:
    """Another algorithm's name given alone: the file's settings were for its own."""
    algorithm = data.get("algorithm")
    names = [text for text in overrides if text.startswith("algorithm.name=")]
    if names and isinstance(algorithm, dict):
        own = algorithm.get("name", _ALGORITHM)
        if names[-1].partition("=")[2].strip() != own:
            data["algorithm"] = {"name": own}


def _rename_old_keys(data: dict[str, Any]) -> None:
    if "workers" in data:
        data["workers"] = _with_current_keys(data["workers"])


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override!r}: write key=value, such as budget.candidates=50")
    try:
        value = read_yaml(text)
    except BAD_YAML as error:
        reason = _yaml_fault(error)
        raise UserError(f"--set {override!r}: the value is not valid YAML: {reason}") from None
    *path, last = key.split(".")
    target = data
    for part in path:
        inner = target.get(part)
        if inner is None or isinstance(inner, str):
            # `model: digits` is short for {name: digits}: a sub-key keeps the name.
            inner = {"name": inner} if isinstance(inner, str) else {}
        if not isinstance(inner, dict):
            raise UserError(f"--set {override!r}: {part!r} has no sub-keys")
        target[part] = inner
        target = inner
    target[last] = value
