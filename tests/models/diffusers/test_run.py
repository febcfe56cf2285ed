"""Searches from the command line, end to end, on tiny pipelines."""

import json

import pytest

from autosearch.cli import main

# The tiny pipeline of each shipped experiment.
EXPERIMENTS = {
    "dit_xl": "dit",
    "sd15": "sd15",
    "sdxl": "sdxl",
    "pixart": "pixart",
    "sd3": "sd3",
    "flux": "flux",
}


def changes(tiny, *, steps: str, samples: int = 40) -> list[str]:
    """An experiment's settings at the least size."""
    settings = {
        "model": json.dumps(
            {"name": "diffusers", "guidance_scale": 3.0, **tiny.options, "block": 40}
        ),
        "space.timesteps.steps": steps,
        "baselines": "[ddim]",
        "samples": samples,
        "validation.samples": samples,
        "budget": "{candidates: 5}",
        "workers": "{executor: inprocess}",
        "algorithm": "{name: random}",
    }
    return [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]


def run(tiny, experiment, out, capsys, *, steps="[2, 3]", more=()) -> dict:
    arguments = ["run", experiment, "--out", str(out), "--json", *changes(tiny, steps=steps)]
    assert main([*arguments, *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_dit_from_the_command_line(tiny, tmp_path, capsys):
    dit = tiny("dit", num_layers=1)
    table = run(dit, "dit_xl", tmp_path / "study", capsys)
    assert table["cost"]["candidates"] == 5
    assert table["cost"]["failed"] == 0
    assert {axis["name"] for axis in table["objectives"]} == {"teacher_mse", "nfe"}
    for point in table["points"]:
        assert point["recipe"]["model"]["weights"] == dit.model.denoiser.weights
    assert (tmp_path / "study" / "samples.png").is_file()
    study, fast = str(tmp_path / "study"), tmp_path / "fast"
    export = ["export", study, "--pick", "knee", "--format", "diffusers", "-o", str(fast)]
    assert main(export) == 2
    assert f"names model.path '{dit.folder}'"[:40] in capsys.readouterr().err
    assert not fast.exists()
    assert main([*export, "--trust"]) == 0
    assert main([*export, "--set", f"model.path={dit.folder}"]) == 0
    assert {path.name for path in fast.iterdir()} >= {
        "README.md",
        "example.py",
        "recipe.json",
        "scheduler",
    }
    line = tmp_path / "sigmas.txt"
    assert main(["export", study, "--pick", "knee", "--format", "sigma-text", "-o", str(line)]) == 0
    assert line.read_text(encoding="utf-8").endswith(", 0\n")


@pytest.mark.diffusers
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_shipped_experiment(tiny, experiment, tmp_path, capsys):
    table = run(tiny(EXPERIMENTS[experiment]), experiment, tmp_path / "study", capsys)
    assert table["cost"]["candidates"] == 5
    assert table["cost"]["failed"] == 0


@pytest.mark.diffusers
@pytest.mark.parametrize("name", ["ddpm", "sd21", "sana"])
def test_families_without_an_experiment_of_their_own(tiny, name, tmp_path, capsys):
    model = json.dumps({"name": "diffusers", **tiny(name).options, "block": 40})
    table = run(tiny(name), "dit_xl", tmp_path / "study", capsys, more=["--set", f"model={model}"])
    assert table["cost"]["candidates"] == 5


@pytest.mark.diffusers
def test_a_dry_run_says_time_and_memory(tiny, capsys):
    dit = tiny("dit")
    assert main(["run", "dit_xl", "--dry-run", "--json", *changes(dit, steps="[2, 3]")]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["candidates"] == 5
    assert data["seconds"] > 0
    assert data["memory_bytes"]["declared"] > 0
    assert data["model"]["sites"]


@pytest.mark.diffusers
def test_two_workers_measure_the_same(tiny, tmp_path, capsys, ray_cluster):
    """On Ray, in processes that hash strings each in its own way."""
    dit = tiny("dit")
    tables = [
        run(dit, "dit_xl", tmp_path / f"study{count}", capsys, more=["--set", f"workers={workers}"])
        for count, workers in (
            (1, "{executor: inprocess}"),
            (2, "{executor: ray, count: 2, cpus: 1}"),
        )
    ]
    values = [
        {point["id"]: point["values"]["teacher_mse"]["search"] for point in table["points"]}
        for table in tables
    ]
    assert values[0] == values[1]


def test_a_missing_folder_is_one_line(capsys):
    assert main(["run", "dit_xl", "--set", "model.path=/nowhere/at/all"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("autosearch: dit_xl: model.path: no folder at /nowhere/at/all")
    assert len(error.splitlines()) == 1
