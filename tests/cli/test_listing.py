"""``list`` and ``schema``."""

import jsonschema
import pytest
import yaml

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
        "{model: digits, space: {timesteps: {}}, objectives: [fid], sampels: 4}",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), experiment_schema())
