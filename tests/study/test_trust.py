"""What of a study's journal is obeyed, and what needs a word."""

from pathlib import Path
from typing import Any

import pytest

from autosearch.errors import UserError
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.study.events import Header
from autosearch.study.study import Study
from autosearch.study.trust import left_out, resumed_experiment, trusted_experiment

BASE: dict[str, Any] = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 4]}},
    "objectives": ["fid", "nfe"],
}
HERE = Path("runs/x")


def study(overrides: tuple[str, ...] = (), **keys: Any) -> Study:
    experiment = experiment_from_dict({**BASE, **keys}, where="x").to_dict()
    return Study(
        Header(
            name="x",
            model_name="mixture",
            model={},
            experiment=experiment,
            overrides=list(overrides),
        )
    )


def obeyed(one: Study, *overrides: str, trust: bool = False) -> Experiment:
    return trusted_experiment(one, overrides, trust=trust, where=HERE)


PLACES = [
    ({"name": "digits", "path": "/x/w.safetensors"}, "model.path"),
    ({"name": "digits", "path": "w.safetensors"}, "model.path"),
    ({"name": "diffusers", "path": "some/pipeline"}, "model.path"),
    ({"name": "diffusers", "path": "."}, "model.path"),
    ({"name": "mixture", "reference": "images"}, "model.reference"),
    ({"name": "mixture", "prompts": "texts"}, "model.prompts"),
    ({"name": "mixture", "inception": "file"}, "model.inception"),
    ({"name": "digits", "rewards": {"clip_score": "hub"}}, "model.rewards.clip_score"),
    (
        {"name": "digits", "rewards": {"clip_score": {"path": "a", "processor": "b"}}},
        "model.rewards.clip_score.path",
    ),
    ({"name": "own", "weights": {"file": "a"}}, "model.weights.file"),
    ({"name": "own", "anything": "~/a"}, "model.anything"),
    ({"name": "own", "anything": ["..\\a"]}, "model.anything"),
    ({"name": "own", "call": {"image": "https://a.b/c"}}, "model.call.image"),
]


@pytest.mark.parametrize(("model", "key"), PLACES)
def test_a_place_of_the_journal_needs_a_word(model: dict[str, Any], key: str) -> None:
    one = study(model=model)
    with pytest.raises(UserError, match=rf"^runs/x: its journal names {key} .*--trust.*--set"):
        obeyed(one)
    assert obeyed(one, trust=True).model == model


def test_a_place_of_the_command_line_is_opened() -> None:
    one = study(model={"name": "digits", "path": "theirs"})
    assert obeyed(one, "model.path=mine").model["path"] == "mine"
    assert obeyed(one, "model={name: digits, path: mine}").model["path"] == "mine"


@pytest.mark.parametrize(
    "model", [{"name": "mixture", "family": "vp", "schedule": "linear"}, {"name": "digits"}]
)
def test_settings_that_are_no_places_need_none(model: dict[str, Any]) -> None:
    prompts = ["a cat / a dog", "a.b"]
    assert obeyed(study(model={**model, "rewards": {"prompts": prompts}})).model["name"]


@pytest.mark.parametrize("trust", [False, True])
def test_loggers_and_clusters(trust: bool) -> None:
    one = study(loggers=["wandb"], workers={"address": "a:1", "count": 2})
    made = obeyed(one, trust=trust)
    assert made.loggers == ([{"name": "wandb"}] if trust else [])
    assert made.workers.address == ("a:1" if trust else None)
    assert made.workers.count == 2
    assert len(left_out(one.experiment, made, where=HERE)) == (0 if trust else 2)
    asked = obeyed(one, "loggers=[mlflow]", "workers.address=b:2", trust=trust)
    assert asked.loggers == [{"name": "mlflow"}]
    assert asked.workers.address == "b:2"


def test_only_what_changes_no_result_is_given_anew() -> None:
    for text in ("samples=3", "objectives=[nfe]", "space.timesteps.steps=[2, 3]", "seed=1"):
        with pytest.raises(UserError, match="only loggers, model, workers can be given anew"):
            obeyed(study(), text, trust=True)


def resumed(one: Study, *overrides: str, trust: bool = False) -> tuple[Any, ...]:
    return resumed_experiment("mixture", one, overrides, trust=trust, where=HERE)


def test_what_was_changed_at_the_first_run_stays_changed() -> None:
    made, changes, notes = resumed(study(("samples=100", "seed=7")), "budget.candidates=9")
    assert (made.samples, made.seed, made.budget.candidates) == (100, 7, 9)
    assert changes == ["samples=100", "seed=7", "budget.candidates=9"]
    assert notes == []


@pytest.mark.parametrize("text", ["workers.address=a:1", "workers={address: a:1, count: 1}"])
def test_a_journal_s_changes_join_no_cluster_and_tell_nobody(text: str) -> None:
    one = study((text, "loggers=[wandb]", "samples=100"))
    made, changes, notes = resumed(one)
    assert (made.workers.address, made.loggers, made.samples) == (None, [], 100)
    assert "loggers=[wandb]" not in changes
    assert [line.partition(": ")[0] for line in notes] == ["runs/x", "runs/x"]
    made, changes, notes = resumed(one, trust=True)
    assert (made.workers.address, made.loggers) == ("a:1", [{"name": "wandb"}])
    assert notes == []
    made, changes, notes = resumed(one, "loggers=[mlflow]", "workers.address=b:2")
    assert (made.workers.address, made.loggers) == ("b:2", [{"name": "mlflow"}])
    assert notes == []


def test_a_journal_s_changes_open_nothing() -> None:
    one = study(("model={name: digits, path: theirs}",))
    with pytest.raises(UserError, match=r"its journal names model\.path 'theirs'"):
        resumed(one)
    assert resumed(one, trust=True)[0].model["path"] == "theirs"
    assert resumed(one, "model={name: digits, path: theirs}")[0].model["path"] == "theirs"
