"""``evaluate`` and ``sample``."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.models import MixtureModel
from autosearch.recipe import Recipe

MIXTURE = ("--model", "mixture", "--samples", "400")


def test_evaluate_prints_the_values_that_the_model_can_give(cli) -> None:
    data = cli("evaluate", "baseline:ddim@4", *MIXTURE, "--json").data
    assert set(data) == {"name", "recipe", "samples", "seed", "speed", "values"}
    assert (data["samples"], data["seed"]) == (400, 0)
    assert set(data["values"]) == {"fid", "fid_plain", "nfe"}
    assert data["values"]["nfe"] == {"value": 4.0, "ci": [4.0, 4.0]}
    low, high = data["values"]["fid"]["ci"]
    assert low < data["values"]["fid"]["value"] < high
    expected = baseline("ddim@4", MixtureModel.load().denoiser)
    assert Recipe.from_dict(data["recipe"]) == expected


def test_a_file_and_its_baseline_are_measured_alike(cli, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    baseline("ddim@4", MixtureModel.load().denoiser).save(path)
    by_file = cli("evaluate", path, *MIXTURE, "--json").data
    by_name = cli("evaluate", "baseline:ddim@4", *MIXTURE, "--json").data
    assert by_file["values"] == by_name["values"]


def test_against_pairs_the_two_on_the_same_noise(cli) -> None:
    arguments = ("evaluate", "baseline:ddim@4", *MIXTURE, "--against", "baseline:dpmpp_2m@4")
    data = cli(*arguments, "--json").data
    assert set(data["against"]) == {"name", "recipe", "samples", "seed", "speed", "values"}
    pair = data["paired"]["fid"]
    ours, theirs = data["values"]["fid"]["value"], data["against"]["values"]["fid"]["value"]
    assert pair["difference"] == pytest.approx(ours - theirs)
    low, high = pair["ci"]
    assert low < pair["difference"] < high
    # Shared noise cancels: narrower than either alone.
    alone = data["values"]["fid"]["ci"]
    assert high - low < alone[1] - alone[0]
    text = cli(*arguments).out
    assert "baseline:dpmpp_2m@4" in text
    assert "difference" in text


def test_what_fitting_took_is_said(cli, tmp_path: Path) -> None:
    name = "baseline:ddim+boss:20:10@4"
    data = cli("evaluate", name, *MIXTURE, "--against", "baseline:ddim@4", "--json").data
    assert data["forward_equivalents"] == 20 * 10
    assert "forward_equivalents" not in data["against"]
    first, second = cli("evaluate", name, *MIXTURE, "--against", "baseline:ddim@4").out.split("\n")[
        :2
    ]
    assert first == f"{name}, fitted in 200 forwards"
    assert second == "baseline:ddim@4"
    drawn = cli("sample", name, *MIXTURE[:2], "-n", 4, "-o", tmp_path / "cloud.png")
    assert drawn.err.endswith("in 4 evaluations each, fitted in 200 forwards\n")


def test_other_weights_are_one_warning(cli, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    baseline("ddim@2", MixtureModel.load(seed=1).denoiser).save(path)
    result = cli("evaluate", path, *MIXTURE, "--against", path, "--json")
    assert result.code == 0
    assert result.data["paired"]["fid"]["difference"] == 0.0
    assert result.err.count("\n") == 1
    assert result.err.startswith("autosearch: warning:")
    assert "weights" in result.err


def test_samples_of_digits_stand_in_rows_by_class(cli, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "grid.png"
    result = cli("sample", "baseline:dpmpp_2m-logsnr@2", "-n", "20", "-o", path)
    assert (result.code, result.out) == (0, "")
    picture = matplotlib.image.imread(path)
    # 10 rows and 2 columns of 8 x 8 pixels, each six times as large, and borders of 2 pixels.
    assert picture.shape[:2] == (10 * 50 + 2, 2 * 50 + 2)
    assert np.ptp(picture[2:50, 2:50, 0]) > 0.5


def test_samples_of_a_mixture_are_a_cloud(cli, tmp_path: Path) -> None:
    path = tmp_path / "cloud.png"
    result = cli("sample", "baseline:ddim@4", "--model", "mixture", "-n", "50", "-o", path)
    assert result.code == 0
    assert matplotlib.image.imread(path).shape[:2] == (540, 1040)


def test_samples_of_one_dimension_are_histograms(cli, tmp_path: Path) -> None:
    experiment = tmp_path / "line.yaml"
    experiment.write_text(
        "model: {name: mixture, dimension: 1}\nspace: {solver: {}}\nobjectives: [fid]\n"
    )
    path = tmp_path / "line.png"
    result = cli("sample", "baseline:ddim@4", "--experiment", experiment, "-n", "50", "-o", path)
    assert result.code == 0
    assert path.stat().st_size > 0


def test_evaluate_says_how_fast_and_on_what(cli):
    speed = cli("evaluate", "baseline:ddim@4", *MIXTURE, "--json").data["speed"]
    assert (speed["device"], speed["batch"], speed["dtype"]) == ("cpu", 100, "float32")
    assert speed["samples_per_second"] > 0
    assert speed["peak_memory_bytes"] is None


EXPERIMENT = """
model: {name: mixture, dimension: 3}
space: {timesteps: {steps: [2, 4]}}
objectives: [fid_plain, nfe]
report: [fid]
validation: {samples: 300}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(EXPERIMENT)
    return path


def test_an_experiment_brings_its_objectives_and_samples(cli, experiment: Path) -> None:
    data = cli("evaluate", "baseline:ddim@4", "--experiment", experiment, "--json").data
    assert list(data["values"]) == ["fid_plain", "nfe", "fid"]
    assert data["samples"] == 300
    arguments = ("--experiment", experiment, "--objectives", "nfe", "--samples", "100", "--json")
    data = cli("evaluate", "baseline:ddim@4", *arguments).data
    assert (list(data["values"]), data["samples"]) == (["nfe"], 100)


def test_an_experiment_that_measures_nothing_asks_for_nothing(cli, experiment: Path) -> None:
    experiment.write_text(EXPERIMENT.replace("fid_plain, nfe", "nfe").replace("[fid]", "[]"))
    data = cli("evaluate", "baseline:ddim@4", "--experiment", experiment, "--json").data
    assert list(data["values"]) == ["nfe"]


def test_settings_are_changed_as_in_run(cli, experiment: Path, tmp_path: Path) -> None:
    change = ("--set", "model.dimension=5", "--set", "validation.samples=200")
    data = cli("evaluate", "baseline:ddim@4", "--experiment", experiment, *change, "--json").data
    assert data["samples"] == 200
    expected = MixtureModel.load(dimension=5).denoiser.weights
    assert data["recipe"]["model"]["weights"] == expected
    change = ("--model", "mixture", "--set", "model.dimension=5", "--samples", "200", "--json")
    assert cli("evaluate", "baseline:ddim@4", *change).data["recipe"] == data["recipe"]
    drawn = cli(
        *("sample", "baseline:ddim@4", "-n", 4, "-o", tmp_path / "x.png"),
        *("--set", "model={name: mixture, dimension: 1}"),
    )
    assert drawn.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "samples=3"], "without --experiment only the model can be changed; use --sam"),
        (["--set", "model.dimensions=3", "--model", "mixture"], "did you mean 'dimension'"),
        (["--set", "model"], "write key=value"),
    ],
)
def test_wrong_settings_are_one_line(cli, arguments: list[str], words: str) -> None:
    result = cli("evaluate", "baseline:ddim@4", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "change", "words"),
    [
        ("evaluate", "samples=200", "evaluate reads model, objectives, report, validation of"),
        ("evaluate", "samples=200", "of an experiment; use --samples"),
        ("evaluate", "seed=3", "use --seed"),
        ("evaluate", "workers={count: 2}", "use --workers"),
        ("evaluate", "budget.hours=1", "leave it out"),
        ("sample", "samples=200", "sample reads model of an experiment; use -n"),
        ("sample", "objectives=[nfe]", "leave it out"),
        ("evaluate", "smaples=200", "unknown key 'smaples'; did you mean 'samples'?"),
    ],
)
def test_a_change_that_would_change_nothing_is_refused(
    cli, experiment: Path, command: str, change: str, words: str
) -> None:
    place = experiment.with_suffix(".png")
    for more in [["-o", place]] if command == "sample" else [[], ["--json"]]:
        result = cli(command, "baseline:ddim@4", "--experiment", experiment, "--set", change, *more)
        assert (result.code, result.out) == (2, "")
        assert words in result.err
        assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "validation.samples=150"], "mine.yaml: validation.samples: 150 is not a mul"),
        (["--set", "objectives=[fid, fid]"], "mine.yaml: objectives: 'fid' stands twice"),
        (["--set", "objectives=[fdi]"], "mine.yaml: objectives: unknown objective 'fdi'"),
        (["--set", "model.dimensions=2"], "mine.yaml: model: unknown key 'dimensions'"),
        (["--samples", "150"], "autosearch: --samples: 150 is not a multiple"),
        (["--objectives", "fid,fid"], "autosearch: --objectives: 'fid' stands twice"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(
    cli, experiment: Path, arguments: list[str], words: str
) -> None:
    result = cli("evaluate", "baseline:ddim@4", "--experiment", experiment, *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_the_default_model_is_not_taken_for_another_s_recipe(
    cli, command: str, tmp_path: Path
) -> None:
    path = tmp_path / "four.json"
    baseline("ddim@4", MixtureModel.load().denoiser).save(path)
    output = ["-o", tmp_path / "x.png"] if command == "sample" else []
    result = cli(command, path, *output)
    assert result.code == 2
    assert "searched on another model than digits, which is the default" in result.err
    assert "--experiment or --model" in result.err
