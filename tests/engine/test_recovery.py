"""A search whose candidates are fine-tuned before they are measured."""

import json
from pathlib import Path

import pytest

from autosearch.cli import main
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.experiment import experiment_from_dict
from autosearch.recipe import Recipe
from autosearch.study.progress import Progress
from autosearch.study.study import Study

# One process has all of these: they share a search.
pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.soak]

SETTINGS = {
    "model": "digits",
    "space": {
        "named": {"recipes": ["ddim@2"]},
        "prune": {"remove": [4, 4], "recovery": {"steps": 1, "rate": 0.001}},
    },
    # The kernel distance is content with few samples.
    "objectives": ["kid", "macs"],
    "baselines": ["ddim", "ddim+drop:0", "ddim+bksdm+recover:1:0.001"],
    "algorithm": {"name": "random"},
    "samples": 200,
    "validation": {"samples": 200},
    "budget": {"candidates": 5},
    # So that all of a candidate's samples are executed.
    "workers": {"executor": "inprocess", "call_cache": "off"},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    out = tmp_path_factory.mktemp("recovery") / "study"
    experiment = experiment_from_dict(SETTINGS, where="test")
    return out, run_study(experiment, out, resume=False, progress=Progress())


def test_candidates_pay_for_their_training(study: tuple[Path, Study]) -> None:
    directory, found = study
    problem = Problem.of(found.experiment)
    store = ArtifactStore([directory / FOLDER])
    searched = [c for c in found.candidates.values() if c.kind == "search"]
    assert searched
    for candidate in searched:
        plan = problem.compile(found.recipe(candidate))
        assert plan.training is not None
        assert candidate.nominal == plan.cost(200)
        assert store.find(plan.training.provenance) is not None
        once = plan.training.macs - plan.training.shared_macs
        # The samples to train on were there already: the fit drew them.
        assert candidate.executed == pytest.approx((200 * plan.macs + once) / plan.full_macs)
        assert len(candidate.genome["pruned"]) == 4
        assert candidate.status == "ok"


def test_a_fitted_baseline_is_a_point_of_the_space(study: tuple[Path, Study]) -> None:
    """Its weights are those that the search would train: same plan, paid for by the fit."""
    _, found = study
    named = {c.name: c for c in found.candidates.values() if c.name}
    fitted = named["ddim+bksdm+recover:1:0.001@2"]
    assert not fitted.foreign
    assert fitted.genome["recovery"] == {"steps": 1, "rate": 0.001}
    assert "artifacts" not in fitted.genome
    assert fitted.nominal == pytest.approx(fitted.executed)
    # Without recovery they are no candidates, but yardsticks.
    assert named["ddim+drop:0@2"].foreign


def test_an_exported_recipe_has_its_weights_with_it(
    study: tuple[Path, Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = study
    path = tmp_path / "mine.json"
    place = ["--format", "json", "-o", str(path)]
    assert main(["export", str(directory), "--pick", "best:macs", *place]) == 0
    exported = Recipe.load(path)
    assert len(exported.pruned) == 4
    assert exported.recovery is None
    weights = exported.artifacts["weights"]
    assert (tmp_path / FOLDER / f"{weights.key}.safetensors").is_file()
    capsys.readouterr()
    assert main(["evaluate", str(path), "--samples", "200", "--objectives", "kid", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recipe"]["artifacts"]["weights"]["key"] == weights.key
