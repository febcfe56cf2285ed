"""Experiments: what is read, what is refused, and in which words."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.experiment import experiment_from_dict, load_experiment, shipped_experiments
from autosearch.text import read_yaml

BASE: dict[str, Any] = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 4]}},
    "objectives": ["fid", "nfe"],
}


def made(**keys: Any) -> Any:
    return experiment_from_dict({**BASE, **keys}, where="x.yaml")


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@contextlib.contextmanager
def refused_in_one_line() -> Iterator[None]:
    """Nothing is raised, or one clear line."""
    message = ""
    try:
        yield
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 500


# -- what is read ------------------------------------------------------------------------------


def test_defaults_are_those_of_the_documented_format():
    data = made(objectives=["fid"]).to_dict()
    assert data["algorithm"] == {"name": "nsga2"}
    assert data["model"] == {"name": "mixture"}
    assert (data["samples"], data["seed"], data["order"], data["lag"]) == (400, 0, "fixed", "auto")
    assert data["validation"] == {"samples": 4000}
    assert data["workers"]["count"] == "auto"
    assert data["baselines"] is None
    assert data["constraints"] == {}
    assert data["noise"] == "common"


def test_another_algorithm_leaves_the_settings_of_the_files_own():
    assert load_experiment("digits").algorithm["initial"] == 0
    assert load_experiment("digits", ["algorithm.name=tpe"]).algorithm == {"name": "tpe"}
    kept = load_experiment("digits", ["algorithm.name=nsga2", "algorithm.population=8"]).algorithm
    assert kept == {"name": "nsga2", "population": 8, "initial": 0}
    settings = ["algorithm.startup=4", "algorithm.name=tpe"]
    assert load_experiment("digits", settings).algorithm == {"name": "tpe", "startup": 4}


def test_all_baselines_are_a_word_or_a_name_among_others():
    assert made(baselines="all").baselines == made(baselines=["all"]).baselines == ["all"]
    assert made().baselines is None
    assert load_experiment("mixture", ["baselines=all"]).baselines == ["all"]
    with pytest.raises(UserError, match=r"baselines: give a list, such as .*, or all"):
        made(baselines="ddim")
    with pytest.raises(UserError, match=r"baselines\[0\]: expected text"):
        made(baselines=[3])


def test_data_round_trips():
    one = made(
        model={"name": "mixture", "dimension": 3},
        space={"timesteps": {"steps": [2, 4]}, "solver": None},
        constraints={"nfe": {"max": 3}},
        budget={"forward_equivalents": "7e5"},
        algorithm="random",
    )
    assert one.budget.forward_equivalents == 7e5
    assert one.space["solver"] == {}
    assert experiment_from_dict(one.to_dict(), where="again") == one


@pytest.mark.parametrize("name", sorted(shipped_experiments()))
def test_every_shipped_experiment_loads_and_states_a_problem(name):
    experiment = load_experiment(name)
    if experiment.model["name"] == "diffusers":
        # Its weights lie on the hub; tests/pipelines runs it on a small pipeline.
        assert experiment.model["path"]
        return
    problem = Problem.of(experiment)
    assert make_baselines(problem, {})
    assert problem.make_algorithm()
    assert shipped_experiments()[name]


def test_a_file_is_read(tmp_path):
    path = written(tmp_path, yaml.safe_dump(BASE))
    assert load_experiment(path) == made()


def test_a_directory_does_not_hide_a_shipped_experiment(tmp_path, monkeypatch):
    (tmp_path / "mixture").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_experiment("mixture").model["name"] == "mixture"


# -- --set -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("seed=7", lambda e: e.seed, 7),
        ("budget.candidates=50", lambda e: e.budget.candidates, 50),
        ("budget.forward_equivalents=1e6", lambda e: e.budget.forward_equivalents, 1e6),
        ("model.dimension=3", lambda e: e.model, {"name": "mixture", "dimension": 3}),
        ("model=digits", lambda e: e.model, {"name": "digits"}),
        ("algorithm=random", lambda e: e.algorithm, {"name": "random"}),
        (
            "algorithm.population=8",
            lambda e: e.algorithm,
            {"name": "nsga2", "population": 8},
        ),
        (
            "space.timesteps.steps=[3, 5]",
            lambda e: e.space["timesteps"],
            {"steps": [3, 5]},
        ),
        ("constraints.nfe.max=6", lambda e: e.constraints["nfe"].max, 6),
        ("objectives=[nfe]", lambda e: e.objectives, ["nfe"]),
        ("validation.samples=800", lambda e: e.validation.samples, 800),
        ("workers.count=auto", lambda e: e.workers.count, "auto"),
        ("budget.candidates=0100", lambda e: e.budget.candidates, 100),
        ("seed=0x10", lambda e: e.seed, 16),
        ("seed=0o10", lambda e: e.seed, 8),
        ("space.timesteps.min_gap=1e-3", lambda e: e.space["timesteps"]["min_gap"], 1e-3),
        ("workers.call_cache=off", lambda e: e.workers.call_cache, "off"),
        ("workers.call_cache=false", lambda e: e.workers.call_cache, "off"),
        ("workers.address=on", lambda e: e.workers.address, "on"),
    ],
)
def test_set_overrides(override, read, expected):
    assert read(load_experiment("mixture", [override])) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "write key=value"),
        ("=3", "write key=value"),
        ("seed=[1", "not valid YAML"),
        ("seed=2024-13-45", "seed: expected a whole number, got '2024-13-45'"),
        ("samples.x=3", "'samples' has no sub-keys"),
        ("objectives.0=fid", "'objectives' has no sub-keys"),
        ("sed=3", "unknown key 'sed'; did you mean 'seed'"),
        ("budget.candidate=3", "unknown key 'budget.candidate'; did you mean 'candidates'"),
        ("seed=!!timestamp 2024-01-05", "without dates"),
        ("seed=!!timestamp 2024-13-05", "not valid YAML: month"),
        ("seed=on", "seed: expected a whole number, got 'on'"),
        ("seed=true", "seed: a number is due where True"),
        ("rungs=[true, 400]", "rungs: a number is due"),
        ("budget={hours: 1:30}", "budget.hours: .*number.*got '1:30'"),
        ("budget={candidates: 5, candidates: 6}", "key 'candidates' stands twice"),
        ("budget={forward_equivalents:20000}", "a blank is missing after the colon"),
        ("budget=hours:1", "a blank is missing after the colon"),
    ],
)
def test_bad_overrides_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        load_experiment("mixture", [override])


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sample": 400}, r"x\.yaml: unknown key 'sample'; did you mean 'samples'"),
        ({"workers": {"cout": 1}}, r"unknown key 'workers\.cout'; did you mean 'count'"),
        ({"constraints": {"nfe": {"maximum": 3}}}, r"unknown key 'constraints\.nfe\.maximum'"),
        ({"samples": "many"}, r"samples: expected a whole number, got 'many'"),
        ({"samples": 0}, "samples: expected at least 1"),
        ({"samples": 10**400}, "samples: "),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"lag": 0}, "lag: "),
        ({"noise": "own"}, "noise: .*'common' or 'fresh'"),
        ({"order": "random"}, "order: .*'fixed' or 'arrival'"),
        ({"objectives": []}, "objectives: .*at least 1"),
        ({"objectives": "fid"}, "objectives: .*list"),
        ({"space": {}}, "space: name at least one family"),
        ({"space": ["timesteps"]}, "space: name at least one family"),
        ({"model": {"path": "x"}}, "model: give a name"),
        ({"model": None}, "model: give a name"),
        ({"algorithm": 3}, "algorithm: give a name"),
        ({"budget": {}}, "budget: give candidates, forward_equivalents or hours"),
        ({"budget": {"candidates": 0}}, "budget.candidates: "),
        ({"budget": {"hours": -1}}, "budget.hours: "),
        ({"budget": 7}, "budget: "),
        ({"validation": {"samples": 0}}, "validation.samples: "),
        ({"workers": {"count": 0}}, r"workers\.count"),
        ({"workers": {"cpus": 0}}, r"workers\.cpus"),
        ({"rungs": [1200, 400]}, "rungs: give two or more numbers that grow"),
        ({"rungs": [400]}, "rungs: give two or more numbers that grow"),
        ({"init": "runs/a"}, "init: expected a list"),
        ({"model": {"name": "mixture", "x": float("nan")}}, "without dates"),
    ],
)
def test_bad_values_are_refused_by_name(keys, message):
    with pytest.raises(UserError, match=message) as caught:
        made(**keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["model", "space", "objectives"])
def test_missing_keys_are_named(key):
    data = {k: v for k, v in BASE.items() if k != key}
    with pytest.raises(UserError, match=f"key {key!r} is missing"):
        experiment_from_dict(data, where="x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", r"mine\.yaml, line \d+: "),
        ("a: b: c", "line 1: mapping values are not allowed"),
        ("- model", "expected a mapping"),
        ("", "expected a mapping"),
        ("model: !!timestamp 2024-99-99", "month"),
        ("seed: 1\nseed: 2", "line 2: key 'seed' stands twice"),
        ("a: {b: 1, 'b': 2}", "line 1: key 'b' stands twice"),
        ("model: !!python/object/apply:os.system [ls]", "line 1: .*python"),
        ("model: &m {name: mixture, x: *m}", "alias"),
        ("? [1, 2]\n: 3", "unhashable|expected"),
    ],
)
def test_bad_yaml_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load_experiment(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def laughs(levels: int) -> str:
    """A few hundred bytes whose aliases stand for ten values to the power of ``levels``."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_are_bounded(tmp_path, merge):
    text = laughs(8)
    assert len(text) < 461
    if merge:
        text = "\n".join(
            ["b0: &b0 {k: v}"]
            + [f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 10)}]}}" for i in range(1, 9)]
        )
    start = time.monotonic()
    with pytest.raises(UserError, match="aliases stand for more than 100,000 values"):
        load_experiment(written(tmp_path, text))
    assert time.monotonic() - start < 1


def test_a_few_aliases_and_merges_are_read():
    data = read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]")
    assert data == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("0100", 100),
        ("-0", 0),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("7.", 7.0),
        ("+1E3", 1000.0),
        ("on", "on"),
        ("Yes", "Yes"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2024-01-05", "2024-01-05"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("'1e-3'", "1e-3"),
        ("=", "="),
    ],
)
def test_plain_values_are_those_of_version_1_2(text, value):
    read = read_yaml(text)
    assert read == value
    assert type(read) is type(value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read the experiment: No such file"):
        load_experiment(str(tmp_path / "none.yaml"))
    (tmp_path / "dir.yaml").mkdir()
    with pytest.raises(UserError, match="cannot read the experiment: Is a directory"):
        load_experiment(str(tmp_path / "dir.yaml"))
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        load_experiment(str(tmp_path / "b.yaml"))
    with pytest.raises(UserError, match="unknown experiment 'mixtur'; did you mean 'mixture'"):
        load_experiment("mixtur")
    for odd in ("a" * 5000, "\0", ""):
        with pytest.raises(UserError, match="unknown experiment"):
            load_experiment(odd)


# -- fuzz --------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=True)
    | st.text(max_size=6)
    | st.sampled_from(["fid", "nfe", "mixture", "ddim", "ddim@4", "timesteps", "solver", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                ["name", "steps", "min", "max", "candidates", "timesteps", "samples"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "model",
        "space",
        "objectives",
        "report",
        "constraints",
        "baselines",
        "algorithm",
        "samples",
        "budget",
        "validation",
        "workers",
        "order",
        "lag",
        "seed",
        "rungs",
        "other",
    ]
)


@settings(max_examples=200, deadline=None)
@given(keys=st.dictionaries(KEYS, JSON, max_size=3), whole=st.booleans())
def test_any_data_gives_an_experiment_or_one_clear_line(keys, whole):
    data = keys if whole else {**BASE, **keys}
    with refused_in_one_line():
        experiment = experiment_from_dict(data, where="x")
        assert experiment_from_dict(experiment.to_dict(), where="x") == experiment


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_gives_a_problem_with_a_name(text):
    with refused_in_one_line():
        load_experiment("mixture", [text])


def test_what_starts_from_fits_is_refined_unless_somebody_says_otherwise() -> None:
    data = {
        "model": "mixture",
        "space": {"timesteps": {}, "solver": {}},
        "objectives": ["teacher_fid", "nfe"],
    }

    def chosen(**keys: object) -> str:
        return str(experiment_from_dict({**data, **keys}, where="test").algorithm["name"])

    assert chosen() == chosen(space={"timesteps": {}}) == chosen(baselines=None) == "refine"
    assert chosen(baselines=["ddim"]) == "nsga2"
    assert chosen(algorithm={"population": 8}) == "nsga2"
    assert chosen(space={"timesteps": {}, "cache": {}}) == "nsga2"
    assert chosen(space={"few_step": {}}) == "nsga2"
    assert chosen(objectives=["fid", "kid", "nfe"]) == chosen(objectives=["fid"]) == "nsga2"
