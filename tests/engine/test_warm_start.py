"""Searches that start from what others found."""

import json
import logging
import shutil

import pytest

from autosearch.baselines import baseline
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.study.front import Front
from autosearch.study.progress import Progress


def run(tools, folder, *, resume=False, **keys):
    return run_study(tools.experiment(**keys), folder, resume=resume, progress=Progress())


def given(study):
    return [c.name for c in study.candidates.values() if c.kind == "init"]


@pytest.fixture
def places(tmp_path, tools, fake_workers):
    """A study, its front in a file, and a recipe of a model of the same kind."""
    first = run(tools, tmp_path / "first")
    table = Front.of(first).to_dict()
    (tmp_path / "front.json").write_text(json.dumps(table))
    problem = Problem.of(first.experiment)
    baseline("dpmpp_2m@5", problem.denoiser).save(tmp_path / "own.json")
    return tmp_path, table


def test_studies_fronts_and_recipes(places, tools):
    folder, table = places
    found = {f"first#{p['id']}" for p in table["points"] if p["on_front"] and not p["baseline"]}
    for place in (folder / "first", folder / "front.json"):
        study = run(tools, folder / f"by-{place.stem}", init=[str(place)])
        assert found <= set(given(study)) | {None}
        first = next(c for c in study.candidates.values() if c.kind == "init")
        assert first.id == sum(c.kind == "baseline" for c in study.candidates.values())
        assert all(p.baseline != name for p in Front.of(study).points for name in found)
    assert given(run(tools, folder / "third", init=[str(folder / "own.json")])) == ["own"]


def test_what_was_read_is_kept_for_the_resume(places, tools):
    folder, _ = places
    keys = {"init": [str(folder / "first"), str(folder / "own.json")]}
    whole = run(tools, folder / "whole", **keys)
    run(tools, folder / "cut", **keys, budget={"candidates": 15})
    shutil.rmtree(folder / "first")
    (folder / "own.json").unlink()
    found = run(tools, folder / "cut", resume=True, **keys)
    asked = [[(c.kind, c.identity) for c in s.candidates.values()] for s in (found, whole)]
    assert asked[0] == asked[1]
    assert given(found) == given(whole) != []


def test_recipes_of_other_models_are_named_and_left_out(places, tools, caplog):
    folder, _ = places
    baseline("ddim@3", DigitsModel.load().denoiser).save(folder / "digits.json")
    with caplog.at_level(logging.WARNING):
        study = run(tools, folder / "fourth", init=[str(folder / "digits.json")])
    assert given(study) == []
    assert "init: digits is left out: recipe: model.prediction is 'v'" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "give a study, a front.json or a recipe"),
        ("{", "not JSON; give a study, a front.json or a recipe"),
        ('{"points": 5}', "no front of a study"),
        ('{"version": 2}', "unknown recipe version 2"),
    ],
)
def test_other_files_are_refused_before_anything_is_written(tmp_path, tools, text, message):
    place = tmp_path / "a.json"
    if text is not None:
        place.write_text(text)
    with pytest.raises(UserError, match=message):
        run(tools, tmp_path / "study", init=[str(place)])
    assert not (tmp_path / "study").exists()
