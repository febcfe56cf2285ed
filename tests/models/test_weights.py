from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autosearch.errors import UserError
from autosearch.models.classifier import FEATURES_FILE, load_features
from autosearch.models.dit import DiTConfig, load_dit
from autosearch.models.weights import read_weights


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    for load in (load_dit, load_features, read_weights):
        with pytest.raises(UserError, match="no weights at"):
            load(tmp_path / "none.safetensors")


def test_a_file_of_another_format_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("not weights at all")
    with pytest.raises(UserError, match="no readable safetensors"):
        read_weights(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"config": "{"},
        {"config": "[]"},
        {"config": '{"colour": 3}'},
        {"config": '{"patch": 3}'},
        {"config": DiTConfig(width=24, heads=3).to_json()},
    ],
)
def test_other_weights_are_a_user_error(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, str(path), metadata=metadata)
    with pytest.raises(UserError, match="holds no DiT"):
        load_dit(path)


def test_weights_of_one_network_are_not_those_of_another() -> None:
    with pytest.raises(UserError, match="holds no DiT"):
        load_dit(FEATURES_FILE)
    with pytest.raises(UserError, match="holds no ImageFeatures"):
        load_features(FEATURES_FILE.with_name("digits.safetensors"))


def test_loading_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_features()
    load_dit(FEATURES_FILE.with_name("digits.safetensors"))
    assert torch.equal(torch.rand(3), expected)


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    save_file({"a": torch.arange(3.0)}, str(path), metadata={"config": "x", "b": "y"})
    tensors, metadata = read_weights(path)
    assert torch.equal(tensors["a"], torch.arange(3.0))
    assert metadata == {"config": "x", "b": "y"}
