"""Artifacts: what they are called, and what is refused."""

from pathlib import Path

import pytest
import torch

from autosearch.diffusion.artifact_store import (
    FOLDER,
    ArtifactStore,
    Provenance,
    carry_artifacts,
    pack_artifact,
)
from autosearch.errors import UserError
from autosearch.recipe import Artifact, Recipe

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor([3])}
PROVENANCE = Provenance("test", {"steps": 5}, "weights", 0)


def test_the_key_says_where_it_comes_from() -> None:
    assert PROVENANCE.key == Provenance("test", {"steps": 5}, "weights", 0).key
    others = [
        Provenance("other", {"steps": 5}, "weights", 0),
        Provenance("test", {"steps": 6}, "weights", 0),
        Provenance("test", {"steps": 5}, "others", 0),
        Provenance("test", {"steps": 5}, "weights", 1),
    ]
    assert len({PROVENANCE.key, *(one.key for one in others)}) == 5


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_kept_comes_back(tmp_path: Path, kept: bool) -> None:
    artifact, content = pack_artifact(PROVENANCE, TENSORS)
    artifact_store = ArtifactStore([tmp_path / "deep" / FOLDER] if kept else [])
    artifact_store.add(artifact.key, content)
    found = artifact_store.on(artifact, torch.device("cpu"), torch.float64)
    assert torch.equal(found["a"], TENSORS["a"].double())
    assert found["n"].dtype == torch.int64
    assert pack_artifact(PROVENANCE, TENSORS)[0] == artifact


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    artifact, content = pack_artifact(PROVENANCE, TENSORS)
    with pytest.raises(UserError, match=rf"{artifact.key}.safetensors \(test\) is not in"):
        ArtifactStore([tmp_path]).tensors(artifact)
    path = tmp_path / f"{artifact.key}.safetensors"
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="is damaged or another one"):
        ArtifactStore([tmp_path]).tensors(artifact)
    path.write_bytes(pack_artifact(PROVENANCE, {"a": torch.ones(1)})[1])
    with pytest.raises(UserError, match="is damaged or another one"):
        ArtifactStore([tmp_path]).tensors(artifact)


def test_a_recipe_takes_its_artifacts_along(tmp_path: Path) -> None:
    artifact, content = pack_artifact(PROVENANCE, TENSORS)
    ArtifactStore([tmp_path / "study" / FOLDER]).add(artifact.key, content)
    recipe = Recipe.from_dict(
        {
            "version": 1,
            "model": {"family": "vp", "schedule": "linear", "prediction": "noise"},
            "steps": [{"time": 500}],
            "artifacts": {"test": artifact.model_dump()},
        }
    )
    (copy,) = carry_artifacts(recipe, tmp_path / "study", tmp_path / "out")
    assert copy.read_bytes() == content
    other = Artifact(method="test", key="0" * 24, sha256="0" * 64)
    lost = recipe.model_copy(update={"artifacts": {"test": other}})
    with pytest.raises(UserError, match="is not in"):
        carry_artifacts(lost, tmp_path / "study", tmp_path / "out")
