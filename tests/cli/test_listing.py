"""``list`` and ``schema``."""

import jsonschema
import pytest
import yaml

from autosearch.baselines import SOLVERS
from autosearch.cli.baseline_list import baselines_text, solver_kind
from autosearch.cli.listing import KINDS, catalog, experiment_schema
from autosearch.errors import UserError
from autosearch.experiment import load_experiment, shipped_experiments


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_lists_names_and_summaries(cli, kind: str) -> None:
    entries = cli("list", kind, "--json").data
    assert entries
    for entry in entries:
        assert set(entry) == {"name", "summary"}
        assert entry["name"]
        assert entry["summary"]
    text = cli("list", kind)
    assert text.code == 0
    for entry in entries:
        assert entry["name"] in text.out


def test_known_names_are_there() -> None:
    names = {kind: {entry["name"] for entry in catalog(kind)} for kind in KINDS}
    assert {"digits", "mixture"} <= names["models"]
    assert {"digits", "mixture"} <= names["experiments"]
    assert {"fid", "nfe", "fd_pixels"} <= names["objectives"]
    assert {"ddim", "dpmpp_2m"} <= names["baselines"]
    assert {"timesteps", "solver"} <= names["spaces"]
    assert {"nsga2", "random"} <= names["algorithms"]


def test_a_word_shows_what_has_it_in_its_name_or_summary(cli) -> None:
    names = [entry["name"] for entry in cli("list", "baselines", "UniPC", "--json").data]
    assert "unipc_noise" in names
    assert all("unipc" in name for name in names)
    assert "+v3" in [e["name"] for e in cli("list", "baselines", "statistics", "--json").data]
    text = cli("list", "baselines", "forecast").out
    assert "+taylorseer" in text
    assert "+fora" not in text
    assert [e["name"] for e in cli("list", "objectives", "nfe", "--json").data] == ["nfe"]


def test_a_word_of_a_grid_shows_it_by_family(cli) -> None:
    lines = cli("list", "baselines", "karras").out.splitlines()
    grids = lines[lines.index("grids: -NAME after a solver") + 1 :]
    assert [line.split() for line in grids[:2]] == [["betas", "karras"], ["EDM", "karras"]]
    assert cli("list", "baselines", "flow-shift", "--json").data == []


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("unipcc", "'unipc'"),
        ("karrass", "'karras'"),
        ("momnts", "'moments'"),
        ("qqqq", "shows all"),
    ],
)
def test_a_word_that_nothing_has_names_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"list baselines: nothing has '{word}' .*{hint}"):
        catalog("baselines", word)


@pytest.mark.parametrize("columns", [80, 90, 200])
def test_the_page_of_baselines_fits_a_terminal(monkeypatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = baselines_text().splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    # Every name stands once, at the beginning of its line and below a heading.
    shown = [line.split()[0].partition("[")[0].partition(":")[0] for line in lines if line.strip()]
    for entry in catalog("baselines"):
        assert shown.count(entry["name"]) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ddim", "one-step"),
        ("euler", "one-step"),
        ("dpmpp_2m", "multistep"),
        ("deis_rho_3", "multistep"),
        ("taylor_3s", "singlestep"),
        ("unipc_1", "predictor-corrector"),
        ("evodiff", "predictor-corrector"),
        ("heun", "solvers with two evaluations"),
        ("flow_heun", "solvers with two evaluations"),
        ("dpmpp_2m_afs", "solvers with an analytic first step"),
        ("ddpm", "stochastic"),
        ("dpmpp_3m_sde", "stochastic"),
    ],
)
def test_solvers_stand_by_what_their_steps_choose(name: str, kind: str) -> None:
    assert solver_kind(SOLVERS[name]).startswith(kind)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'models'"):
        catalog("modls")


def test_the_schema_accepts_every_shipped_experiment(cli) -> None:
    schema = cli("schema").data
    jsonschema.Draft202012Validator.check_schema(schema)
    for name in shipped_experiments():
        jsonschema.validate(load_experiment(name).to_dict(), schema)


@pytest.mark.parametrize(
    "text",
    [
        "{model: digits, space: {timesteps: null}, objectives: [fid, nfe]}",
        "{model: {name: mixture, seed: 3}, space: {solver: {}}, objectives: [fid]}",
        "{model: digits, space: {solver: {}}, objectives: [nfe], algorithm: random}",
        "{model: digits, space: {solver: {}}, objectives: [nfe], baselines: all}",
    ],
)
def test_the_schema_accepts_shorthands(text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), experiment_schema())


@pytest.mark.parametrize(
    "text",
    [
        "{space: {timesteps: {}}, objectives: [fid]}",
        "{model: digits, space: {}, objectives: [fid]}",
        "{model: digits, space: {timestep: {}}, objectives: [fid]}",
        "{model: digits, space: {timesteps: {}}, objectives: [fdi]}",
        "{model: {seed: 3}, space: {timesteps: {}}, objectives: [fid]}",
        "{model: digits, space: {timesteps: {}}, objectives: [fid], baselines: ddim}",
        "{model: digits, space: {timesteps: {}}, objectives: [fid], sampels: 4}",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), experiment_schema())
