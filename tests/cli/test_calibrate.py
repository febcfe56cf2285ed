"""``calibrate``, and what becomes of its files: the same samples in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.engine.evaluate import load_recipe
from autosearch.models import MixtureModel
from autosearch.recipe import Recipe

MIXTURE = ("--model", "mixture", "--samples", "400", "--objectives", "fid,nfe", "--json")


def test_statistics_are_a_file_that_any_recipe_takes(cli, tmp_path: Path) -> None:
    path = tmp_path / "calibration.safetensors"
    result = cli("calibrate", "mixture", "--method", "dpm-solver-v3", "--samples", 20, "-o", path)
    assert (result.code, result.out) == (0, "")
    assert "measured with 9680 forwards" in result.err
    found = cli("evaluate", f"baseline:unipc+v3_from:{path}@5", *MIXTURE).data
    plain = cli("evaluate", "baseline:unipc@5", *MIXTURE).data
    assert found["recipe"]["artifacts"].keys() == {"v3"}
    assert found["values"]["fid"]["value"] < plain["values"]["fid"]["value"]


def test_fitted_recipes_are_a_folder(cli, tmp_path: Path) -> None:
    for method, solver in (("dc", "unipc"), ("olss", "ddim"), ("boss", "ddim")):
        folder = tmp_path / method
        options = ("--method", method, "--steps", 3, 4, "--samples", 10, "--json", "-o", folder)
        result = cli("calibrate", "mixture", *options)
        # One fine trajectory of ten samples serves all numbers of steps where it can.
        spent = result.data["forward_equivalents"]
        assert spent > 1000 if method == "dc" else spent == 1000
        names = {path.name for path in folder.iterdir()}
        wanted = {f"{solver}+{method}@{count}.json" for count in (3, 4)}
        assert names == wanted | ({"cascade.json"} if method == "dc" else set())
        assert {Path(path).name for path in result.data["files"]} == names
        recipe = folder / f"{solver}+{method}@4.json"
        assert cli("evaluate", recipe, *MIXTURE).data["values"]["nfe"]["value"] == 4
    cascade = tmp_path / "dc" / "cascade.json"
    found = cli("evaluate", f"baseline:unipc+cpr:{cascade}@7", *MIXTURE).data
    assert any("compensation" in step for step in found["recipe"]["steps"])


def test_times_of_a_schedule_are_recipes_for_nothing(cli, tmp_path: Path) -> None:
    options = ("--method", "dmn", "--steps", 4, 5, "--json", "-o", tmp_path / "dmn")
    result = cli("calibrate", "mixture", *options)
    assert result.data["forward_equivalents"] == 0
    assert [Path(path).name for path in result.data["files"]] == [
        "unipc+dmn@4.json",
        "unipc+dmn@5.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mixture", "--method", "v4", "-o", "x"), "unknown method 'v4'"),
        (("mixture", "--method", "v3", "-o", "x"), "use that suffix"),
        (("mixture", "--method", "v3", "--steps", 3, 5, "-o", "x.safetensors"), "leave it out"),
        (("mixture", "--method", "dc", "--steps", 5, 3, "-o", "x"), "is no range"),
        (("mixture", "--method", "dc", "--samples", 0, "-o", "x"), "is outside 1 to"),
        (("mixture", "--method", "dmn", "--samples", 9, "-o", "x"), "dmn asks no network"),
        (("mixture", "--method", "dc", "--solver", "nix", "-o", "x"), "unknown baseline solver"),
        (("nothing", "--method", "dc", "-o", "x"), "unknown model"),
    ],
)
def test_wrong_input_is_one_line(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("calibrate", *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_calibrations_are_one_line(cli, tmp_path: Path) -> None:
    path = tmp_path / "calibration.safetensors"
    cli("calibrate", "mixture", "--method", "v3", "--samples", 20, "-o", path)
    foreign = cli("evaluate", f"baseline:ddim+v3_from:{path}@5", "--samples", 400, "--json")
    assert (foreign.code, foreign.err.count("\n")) == (2, 1)
    assert "measured on another model" in foreign.err
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    damaged = cli("evaluate", f"baseline:ddim+v3_from:{path}@5", *MIXTURE)
    assert (damaged.code, damaged.err.count("\n")) == (2, 1)
    assert "damaged" in damaged.err


FRESH = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.engine.evaluate import load_recipe
from autosearch.models import MixtureModel
denoiser, store = MixtureModel.load().denoiser, ArtifactStore()
found = {}
for path in map(Path, sys.argv[2:]):
    plan = load_recipe(str(path), denoiser, store).plan
    found[path.stem] = sample_indices(
        denoiser, plan, range(50), seed=3, stream=Stream.EVALUATE, artifact_store=store
    )
save_file(found, sys.argv[1])
"""


def test_recipes_with_calibrations_sample_alike_in_a_fresh_process(tmp_path: Path) -> None:
    denoiser = MixtureModel.load().denoiser
    artifact_store = ArtifactStore([tmp_path / FOLDER])
    names = ("unipc+v3:40:40@5", "unipc+dc:10:40@5", "ddim+olss:30:10@4", "ddim+boss:30:10@4")
    wanted, paths = {}, []
    for i, name in enumerate((*names, "evodiff@5")):
        recipe = resolve(name, Calibrator(denoiser, artifact_store)).recipe
        plan = compile_recipe(recipe, denoiser)
        wanted[f"r{i}"] = sample_indices(
            denoiser,
            plan,
            range(50),
            seed=3,
            stream=Stream.EVALUATE,
            artifact_store=artifact_store,
        )
        paths.append(tmp_path / f"r{i}.json")
        recipe.save(paths[-1])
        assert Recipe.load(paths[-1]) == recipe
    out = tmp_path / "samples.safetensors"
    subprocess.run([sys.executable, "-c", FRESH, out, *paths], check=True, timeout=120)
    from safetensors.torch import load_file

    found = load_file(out)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert load_recipe(str(paths[0]), denoiser, ArtifactStore()).plan.artifacts
    assert json.loads(paths[2].read_text())["steps"][1]["form"] == "linear"
