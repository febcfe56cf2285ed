"""CLIP score, PickScore and ImageReward, loaded by transformers from a folder or a hub's name."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.errors import UserError
from autosearch.objectives.rewards import Reward, RewardObjective

__all__ = ["ClipScore", "ImageRewardScore", "PickScore"]

_KEYS = ("path", "processor")
# ImageReward's text length, head and the moments that make its scores unit normal (Xu et al. 2023,
# released code).
_LENGTH = 35
_HEAD = "reward_head.safetensors"
_HEAD_WIDTHS = (1024, 128, 64, 16, 1)
_MEAN, _DEVIATION = 0.16717362830052426, 1.0333394966054072


class _Clip(Reward):
    """Image and text towers of one CLIP model, with the cosine between what they say."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    @classmethod
    def load(cls, settings: Mapping[str, Any], *, where: str) -> "_Clip":
        def make(transformers: Any, path: str, source: str) -> "_Clip":
            model = transformers.CLIPModel.from_pretrained(path, use_safetensors=True)
            return cls(model.eval(), transformers.CLIPProcessor.from_pretrained(source))

        loaded: _Clip = _loaded(make, settings, where)
        return loaded

    @torch.inference_mode()
    def cosine(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """[N] cosines between images and their prompts; each prompt is read once."""
        distinct = sorted(set(prompts))
        inputs = self.processor(
            text=distinct,
            images=list(images),
            return_tensors="pt",
            padding=True,
            truncation=True,
            input_data_format="channels_first",
        )
        found = self.model(**inputs.to(self.model.device))
        own = torch.tensor([distinct.index(prompt) for prompt in prompts])
        return (found.image_embeds * found.text_embeds[own.to(self.model.device)]).sum(dim=1)


class _ClipCosine(_Clip):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return 100.0 * self.cosine(images, prompts).clamp(min=0)


class _PickLogit(_Clip):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return self.model.logit_scale.exp().detach() * self.cosine(images, prompts)


class _ImageReward(Reward):
    """BLIP's text encoder looking at the image, and a linear head of five layers on its summary."""

    def __init__(self, model: Any, processor: Any, head: nn.Module) -> None:
        self.model = model
        self.processor = processor
        self.head = head

    @classmethod
    def load(cls, settings: Mapping[str, Any], *, where: str) -> "_ImageReward":
        def make(transformers: Any, path: str, source: str) -> "_ImageReward":
            kind = transformers.BlipForImageTextRetrieval
            model = kind.from_pretrained(path, use_safetensors=True)
            processor = transformers.BlipProcessor.from_pretrained(source)
            tensors = _head_tensors(transformers, path)
            head = _head(model.config.text_config.hidden_size)
            try:
                head.load_state_dict(tensors)
            except RuntimeError:
                raise UserError(f"{where}: {_HEAD} of {path} is no head of ImageReward") from None
            return cls(model.eval(), processor, head.eval())

        loaded: _ImageReward = _loaded(make, settings, where)
        return loaded

    @torch.inference_mode()
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        inputs = self.processor(
            text=list(prompts),
            images=list(images),
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=_LENGTH,
            input_data_format="channels_first",
        ).to(self.model.device)
        seen = self.model.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
        read = self.model.text_encoder(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.long),
        )
        return (self.head(read.last_hidden_state[:, 0])[:, 0] - _MEAN) / _DEVIATION


class ClipScore(RewardObjective):
    """100 times the cosine of CLIP's image and text embeddings, at least 0 (Hessel et al. 2021,
    with the factor that is usual for text-to-image models)."""

    name = "clip_score"
    summary = "CLIP score: 100 x cosine of image and prompt (extra 'rewards')"
    reward = _ClipCosine


class PickScore(RewardObjective):
    """The logit of a CLIP model trained on human choices (Kirstain et al. 2023)."""

    name = "pick_score"
    summary = "PickScore: a CLIP trained on human choices (extra 'rewards')"
    reward = _PickLogit


class ImageRewardScore(RewardObjective):
    """ImageReward (Xu et al. 2023), a BLIP with a linear head trained on human rankings.

    Read from a folder, or a hub's repository, that holds the BLIP in the layout of transformers
    and the head as ``reward_head.safetensors`` with the released names (``layers.0.weight``, ...).
    """

    name = "image_reward"
    summary = "ImageReward: a BLIP trained on human rankings (extra 'rewards')"
    reward = _ImageReward


def _loaded(make: Callable[[Any, str, str], Any], settings: Mapping[str, Any], where: str) -> Any:
    """Call with the library, the model's path and the processor's; failures are the user's."""
    for key in settings:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key {key!r}; valid: {', '.join(_KEYS)}")
    path = str(settings.get("path", ""))
    if not path:
        raise UserError(f"{where}: give a path, a folder or a name on the hub")
    try:
        import transformers
    except ImportError as error:
        from autosearch.errors import missing

        raise missing(error, install="autosearch[rewards]", what=where) from None
    try:
        return make(transformers, path, str(settings.get("processor", path)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{where}: cannot load {path}: {reason}") from None


def _head(width: int) -> nn.Module:
    """The linear head with the released names; its dropout does nothing here."""
    widths = (width, *_HEAD_WIDTHS)
    linears = [nn.Linear(a, b) for a, b in pairwise(widths)]
    parts: list[nn.Module] = []
    for i, linear in enumerate(linears):
        parts += [linear, nn.Dropout()] if i < len(linears) - 2 else [linear]
    return nn.Sequential(*parts)


def _head_tensors(transformers: Any, path: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    file = transformers.utils.cached_file(path, _HEAD)
    return {name.removeprefix("layers."): t for name, t in load_file(file).items()}
