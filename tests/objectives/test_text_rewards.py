"""CLIP score, PickScore and ImageReward on tiny models that the tests build and save."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from autosearch.errors import UserError
from autosearch.objectives import ClipScore, ImageRewardScore, PickScore
from autosearch.objectives.text_rewards import _HEAD_WIDTHS

PROMPTS = ["a zero", "a one", "a two", "a zero"]


def words() -> list[str]:
    return [*"abcdefghijklmnopqrstuvwxyz"]


def randomized(model: Any) -> Any:
    """All weights large enough that every part of the input matters."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    letters = words()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 32}
    size |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **size,
            "vocab_size": len(tokens),
            "max_position_embeddings": 16,
            "bos_token_id": len(tokens) - 2,
            "eos_token_id": len(tokens) - 1,
        },
        vision_config={**size, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    randomized(transformers.CLIPModel(config)).save_pretrained(folder)
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *words(), *(f"##{letter}" for letter in words())]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 32}
    size |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**size, "vocab_size": len(tokens), "max_position_embeddings": 40}
    config = transformers.BlipConfig(
        text_config={**text, "encoder_hidden_size": 16},
        vision_config={**size, "image_size": 16, "patch_size": 8},
        projection_dim=8,
        image_text_hidden_size=8,
    )
    randomized(transformers.BlipForImageTextRetrieval(config)).save_pretrained(folder)
    images = transformers.BlipImageProcessor(size={"height": 16, "width": 16})
    transformers.BlipProcessor(images, tokenizer).save_pretrained(folder)
    generator = torch.Generator().manual_seed(1)
    widths, head = (16, *_HEAD_WIDTHS), {}
    for place, (a, b) in zip((0, 2, 4, 6, 7), pairwise(widths), strict=True):
        head[f"layers.{place}.weight"] = torch.randn(b, a, generator=generator) / a**0.5
        head[f"layers.{place}.bias"] = torch.randn(b, generator=generator)
    save_file(head, folder / "reward_head.safetensors")
    return folder


def images(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)


def loaded(kind: Any, path: Path, **more: str) -> Any:
    return kind.reward.load({"path": str(path), **more}, where="model.rewards")


def explicit_cosines(folder: Path) -> torch.Tensor:
    """Image by image, each with its own prompt."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    found = []
    for image, prompt in zip(images(), PROMPTS, strict=True):
        inputs = processor(text=[prompt], images=[image], return_tensors="pt")
        with torch.no_grad():
            output = model(**inputs)
        found.append(output.logits_per_image[0, 0] / model.logit_scale.exp())
    return torch.stack(found).detach()


def test_clip_score_is_a_hundred_cosines(clip: Path) -> None:
    scores = loaded(ClipScore, clip).score(images(), PROMPTS)
    expected = 100 * explicit_cosines(clip).clamp(min=0)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    assert len({round(v, 3) for v in explicit_cosines(clip).tolist()}) == 4


def test_pick_score_is_a_logit(clip: Path) -> None:
    scores = loaded(PickScore, clip, processor=str(clip)).score(images(), PROMPTS)
    scale = transformers.CLIPModel.from_pretrained(clip).logit_scale.exp().detach()
    torch.testing.assert_close(scores, scale * explicit_cosines(clip), rtol=1e-4, atol=1e-4)


def test_image_reward_depends_on_image_and_prompt(blip: Path) -> None:
    reward = loaded(ImageRewardScore, blip)
    scores = reward.score(images(), PROMPTS)
    assert scores.shape == (4,)
    torch.testing.assert_close(reward.score(images()[1:2], PROMPTS[1:2]), scores[1:2])
    assert abs(reward.score(images()[:1], ["a two"]) - scores[0]) > 1e-4
    assert abs(reward.score(images()[1:2], ["a zero"]) - scores[0]) > 1e-4
    # The head is linear, so its layers are one.
    tensors = reward.head.state_dict()
    weight, bias = torch.eye(16), torch.zeros(16)
    for place in (0, 2, 4, 6, 7):
        weight = tensors[f"{place}.weight"] @ weight
        bias = tensors[f"{place}.weight"] @ bias + tensors[f"{place}.bias"]
    state = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(reward.head(state), state @ weight.T + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [ClipScore, PickScore, ImageRewardScore])
def test_what_cannot_be_loaded_is_refused_in_one_line(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model.rewards: cannot load .*") as caught:
        loaded(kind, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"model.rewards: give a path, a folder or a name"):
        kind.reward.load({}, where="model.rewards")
    with pytest.raises(UserError, match="unknown key 'pth'; valid: path, processor"):
        kind.reward.load({"path": "x", "pth": "y"}, where="model.rewards")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    message = r"transformers is not installed; pip install 'autosearch\[rewards\]'"
    with pytest.raises(UserError, match=message):
        ClipScore.reward.load({"path": "somewhere"}, where="model.rewards.clip_score")


def test_a_models_images_are_scored_with_the_prompts_of_their_labels(clip: Path) -> None:
    from autosearch.models.spec import ModelSpec

    prompts = [f"a {name}" for name in ("zero", "one", "two", "three", "four")] * 2
    rewards = {"clip_score": str(clip), "prompts": prompts}
    model = ModelSpec("digits", {"rewards": rewards}).load()
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = torch.tensor([0, 4, 9])
    rows = model.rewards["clip_score"](x, labels)
    assert rows.shape == (3,)
    assert np.isfinite(rows).all()
    reward = loaded(ClipScore, clip)
    expected = reward.score(model.images(x), [prompts[0], prompts[4], prompts[9]])
    np.testing.assert_allclose(rows, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ({"clip_score": "x"}, "model.rewards.prompts: expected one for each of the model's 10"),
        ({"clip": "x", "prompts": ["a"] * 10}, "model.rewards: unknown objective 'clip'; did you"),
        ({"fid": "x", "prompts": ["a"] * 10}, "model.rewards.fid: 'fid' is no reward"),
        (["clip_score"], "model.rewards: expected a mapping"),
    ],
)
def test_impossible_rewards_are_refused(rewards: Any, message: str) -> None:
    from autosearch.models.spec import ModelSpec

    with pytest.raises(UserError, match=message):
        ModelSpec("digits", {"rewards": rewards}).load()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"fdi": [1, 0]}, "model.bounds: unknown objective 'fdi'; did you mean 'fid'"),
        ({"fid": [1]}, r"model.bounds.fid: expected two numbers \[worst, best\]"),
        ({"fid": [1, "a"]}, "model.bounds.fid: expected two numbers"),
        ([1], "model.bounds: expected a mapping"),
    ],
)
def test_impossible_bounds_are_refused(bounds: Any, message: str) -> None:
    from autosearch.models.spec import ModelSpec

    with pytest.raises(UserError, match=message):
        ModelSpec("digits", {"bounds": bounds}).load()
    model = ModelSpec("digits", {"bounds": {"fid": [0.3, 0.02]}}).load()
    assert model.reference["bounds.fid"].tolist() == [0.3, 0.02]
