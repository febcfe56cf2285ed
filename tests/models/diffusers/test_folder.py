"""A saved pipeline's folder is data: it names classes that are installed, and brings none."""

import json
from pathlib import Path
from typing import Any

import pytest

from autosearch.errors import UserError
from autosearch.models.diffusers.folder import PipelineFolder

INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "requires_safety_checker": True,
    "feature_extractor": [None, None],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}


def saved(folder: Path, **changes: Any) -> PipelineFolder:
    for name in ("unet/config.json", "scheduler/scheduler_config.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "model_index.json").write_text(json.dumps({**INDEX, **changes}))
    return PipelineFolder(str(folder))


def test_classes_of_the_libraries_are_taken(tmp_path: Path) -> None:
    assert saved(tmp_path).configs.pipeline == "StableDiffusionPipeline"
    assert saved(tmp_path, image_encoder=[None, True]).configs.component == "unet"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_class_name", ["own", "Custom"]),
        ("_class_name", "X\nimport os"),
        ("_class_name", 3),
        ("vae", ["own", "Custom"]),
        ("vae", ["os", "path"]),
        ("vae", ["antigravity", "fly"]),
        ("vae", ["diffusers.utils", "x"]),
        ("vae", ["diffusers", "AutoencoderKL()"]),
        ("vae", ["diffusers", "A", "B"]),
        ("vae", ["diffusers", 3]),
        ("vae", []),
        ("../vae", ["diffusers", "AutoencoderKL"]),
    ],
)
def test_code_of_its_own_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"model_index.json: {key} is .* is not run"):
        _ = saved(tmp_path, **{key: value}).configs


def test_a_module_beside_a_part_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    (tmp_path / "unet" / "diffusers.py").write_text("")
    with pytest.raises(UserError, match=r"unet is .* is not run"):
        _ = folder.configs
