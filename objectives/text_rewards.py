"""CLIP score, PickScore and ImageReward, loaded by transformers from a folder or a hub's name."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autosearch.errors import UserError, missing
from autosearch.objectives.rewards import Reward, RewardObjective

__all__ = ["ClipScore", "ImageRewardScore", "PickScore"]

_KEYS = ("path", "processor")
# ImageReward's text length, head and the moments that make its scores unit normal (Xu et al. 2023,
# released code).
_LENGTH = 35
_HEAD = "reward_head.safetensors"
_HEAD_WIDTHS = (1024, 128, 64, 16, 1)
_MEAN, _DEVIATION = 0.16717362830052426, 1.0333394966054072


class _Pretrained(Reward):
    """A model of transformers and the processor of its inputs."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    @classmethod
    def load(cls, settings: Mapping[str, Any], *, where: str) -> "_Pretrained":
        for key in settings:
            if key not in _KEYS:
                raise UserError(f"{where}: unknown key {key!r}; valid: {', '.join(_KEYS)}")
        path = str(settings.get("path", ""))
        if not path:
            raise UserError(f"{where}: give a path, a folder or a name on the hub")
        try:
            import transformers
        except ImportError as error:
            raise missing(error, install="autosearch[rewards]", what=where) from None
        try:
            return cls.read(transformers, path, str(settings.get("processor", path)), where=where)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"{where}: cannot load {path}: {reason}") from None

    @classmethod
    @abstractmethod
    def read(cls, transformers: Any, path: str, source: str, *, where: str) -> "_Pretrained":
        """Build it from the library, the model's path and the processor's."""


class _Clip(_Pretrained):
    """Image and text towers of one CLIP model, with the cosine between their embeddings."""

    @classmethod
    def read(cls, transformers: Any, path: str, source: str, *, where: str) -> "_Clip":
        model = transformers.CLIPModel.from_pretrained(path, use_safetensors=True)
        return cls(model.eval(), transformers.CLIPProcessor.from_pretrained(source))

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
        output = self.model(**inputs.to(self.model.device))
        own = torch.tensor([distinct.index(prompt) for prompt in prompts]).to(self.model.device)
        cosines: Tensor = (output.image_embeds * output.text_embeds[own]).sum(dim=1)
        return cosines


class _ClipCosine(_Clip):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return 100.0 * self.cosine(images, prompts).clamp(min=0)


class _PickLogit(_Clip):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        scale: Tensor = self.model.logit_scale.exp().detach()
        return scale * self.cosine(images, prompts)


class _ImageReward(_Pretrained):
    """BLIP's text encoder looking at the image, and a linear head of five layers on its summary."""

    def __init__(self, model: Any, processor: Any, head: nn.Module) -> None:
        super().__init__(model, processor)
        self.head = head

    @classmethod
    def read(cls, transformers: Any, path: str, source: str, *, where: str) -> "_ImageReward":
        kind = transformers.BlipForImageTextRetrieval
        model = kind.from_pretrained(path, use_safetensors=True)
        processor = transformers.BlipProcessor.from_pretrained(source)
        tensors = load_file(transformers.utils.cached_file(path, _HEAD))
        head = _head(model.config.text_config.hidden_size)
        try:
            head.load_state_dict({name.removeprefix("layers."): t for name, t in tensors.items()})
        except RuntimeError:
            raise UserError(f"{where}: {_HEAD} of {path} is no head of ImageReward") from None
        return cls(model.eval(), processor, head.eval())

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
        rewards: Tensor = self.head(read.last_hidden_state[:, 0])[:, 0]
        return (rewards - _MEAN) / _DEVIATION


class ClipScore(RewardObjective):
    """100 times the cosine of CLIP's image and text embeddings, at least 0.

    Hessel et al. (2021), with the factor that is usual for text-to-image models.
    """

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


def _head(width: int) -> nn.Module:
    """The linear head with the released names; its dropout does nothing here."""
    widths = (width, *_HEAD_WIDTHS)
    linears = [nn.Linear(a, b) for a, b in pairwise(widths)]
    parts: list[nn.Module] = []
    for i, linear in enumerate(linears):
        parts += [linear, nn.Dropout()] if i < len(linears) - 2 else [linear]
    return nn.Sequential(*parts)
