"""A search among calibrated solvers: measured once, inherited, carried by exports."""

from pathlib import Path
from typing import Any

from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore, carry_artifacts
from autosearch.engine.evaluate import load_recipe
from autosearch.engine.run import run_study
from autosearch.experiment import experiment_from_dict
from autosearch.models import MixtureModel
from autosearch.study.events import Fitted
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

KEYS: dict[str, Any] = {
    "model": "mixture",
    "space": {
        "timesteps": {"steps": [3, 5]},
        "solver": {"forms": ["taylor", "unipc_bh2", "v3"], "compensation": 1.0},
        "correction": {},
    },
    "objectives": ["fid", "nfe"],
    "baselines": [
        "unipc+v3:40:40",
        "unipc+dc:5:20@3",
        "ddim+olss:20:10@4",
        "unipc+boss:20:5@4",
    ],
    "algorithm": {"name": "nsga2", "population": 8, "initial": 2, "fresh": 0.0},
    "samples": 400,
    "validation": {"samples": 400},
    "budget": {"candidates": 34},
    "workers": {"executor": "inprocess"},
    "lag": 4,
}


def run(folder: Path, **keys: Any) -> Study:
    wanted = experiment_from_dict({**KEYS, **keys}, where="test")
    return run_study(wanted, folder, resume=folder.exists(), progress=Progress())


def test_statistics_are_measured_once_and_inherited(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    study = run(folder)
    fits = {e.name: e for e in read_journal(folder) if isinstance(e, Fitted)}
    assert set(fits) == {*(f"unipc+v3:40:40@{n}" for n in (3, 4, 5)), *KEYS["baselines"][1:]}
    spent = [fits[f"unipc+v3:40:40@{n}"].budgeted for n in (3, 4, 5)]
    assert sorted(spent) == [0, 0, 41 * 40 * 4]
    (kept,) = (folder / FOLDER).glob("*.safetensors")
    candidates = study.candidates.values()
    assert all(candidate.status == "ok" for candidate in candidates)
    foreign = {c.name for c in candidates if c.foreign}
    assert foreign == {"ddim+olss:20:10@4"}
    heirs = [
        c
        for c in candidates
        if c.name is None and any(s.form == "v3" for s in study.recipe(c).steps)
    ]
    assert heirs
    recipe = study.recipe(heirs[0])
    recipe.save(tmp_path / "best.json")
    carry_artifacts(recipe, folder, tmp_path)
    loaded = load_recipe(str(tmp_path / "best.json"), MixtureModel.load().denoiser, ArtifactStore())
    assert loaded.plan.identity == heirs[0].identity
    assert (tmp_path / FOLDER / kept.name).read_bytes() == kept.read_bytes()


def test_a_search_that_goes_on_is_the_search_that_never_stopped(tmp_path: Path) -> None:
    part = run(tmp_path / "part", budget={"candidates": 20})
    assert len(part.candidates) == 20
    resumed = run(tmp_path / "part", budget={"candidates": 26})
    whole = run(tmp_path / "whole", budget={"candidates": 26})
    assert [c.identity for c in resumed.candidates.values()] == [
        c.identity for c in whole.candidates.values()
    ]
