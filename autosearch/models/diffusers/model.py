"""``diffusers``: a pretrained pipeline of diffusers as a model to search."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.models.base import Model, Rows, to_uint8
from autosearch.models.diffusers.families import Size
from autosearch.models.diffusers.folder import PipelineFolder
from autosearch.models.diffusers.inception import WIDTHS, Inception
from autosearch.models.diffusers.loading import LazyDenoiser, Source
from autosearch.models.diffusers.prompts import read_prompts
from autosearch.models.diffusers.statistics import ImageFolder

__all__ = ["PipelineModel"]

# Samples in a seed block of a model without classes and prompts.
_BLOCK = 16
# Streams whose samples are of prompts that no search has seen.
_FRESH = (Stream.VALIDATION, Stream.EVALUATE)


class PipelineModel(Model):
    """The network of a saved pipeline; its states are latents, its images decoded from them.

    ``prompts`` are those of the search, then those of its validation; labels are places among
    them. A model of classes has the same labels in both.
    """

    name = "diffusers"
    summary = "a pretrained pipeline of diffusers, from a folder or a hub (extra 'diffusers')"

    denoiser: LazyDenoiser
    inception: Inception | None = None

    @classmethod
    def load(
        cls,
        *,
        path: str,
        revision: str | None = None,
        height: int | None = None,
        width: int | None = None,
        max_sequence_length: int | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        guidance_scale: float | None = None,
        prompts: str | None = None,
        prompt_count: int | None = None,
        classes: list[int] | int | None = None,
        block: int | None = None,
        call: dict[str, Any] | None = None,
        reference: str | None = None,
        inception: str | None = None,
        compile: bool = False,
    ) -> "PipelineModel":
        """Read the configurations of a pipeline; its weights are read when they are needed.

        Args:
            path: a folder that ``save_pretrained`` wrote, or a name on the hub.
            revision: of the hub's files, such as a tag.
            height: of the images, in pixels; the pipeline's own by default.
            width: of the images, in pixels; the pipeline's own by default.
            max_sequence_length: tokens of text, for pipelines that let it be chosen.
            dtype: of the network and the autoencoder; states stay in single precision.
            guidance_scale: of classifier-free guidance, which baselines are then run with; of a
                guidance-distilled network, what is embedded.
            prompts: a file of prompts, one a line; see :mod:`autosearch.models.diffusers.prompts`.
            prompt_count: how many of them the search uses, and as many others its validation.
            classes: of a class model, which labels, or how many, evenly spaced.
            block: samples in a seed block; by default one of each class or prompt.
            call: further arguments of the pipeline's call.
            reference: a folder of real images, or saved statistics of one.
            inception: torch-fidelity's Inception weights; by default its own download.
            compile: whether the network's blocks go through ``torch.compile``.

        Raises:
            UserError: for a pipeline that cannot be read or is not supported, or such settings.
        """
        folder = PipelineFolder(path, revision)
        condition = Source.family_in(folder).condition
        split = read_prompts(prompts, count=prompt_count) if condition == "text" else None
        texts = (*split.search, *split.validation) if split else ()
        source = Source(
            folder,
            size=Size(height=height, width=width, text=max_sequence_length),
            dtype=getattr(torch, dtype),
            prompts=texts,
            classes=_classes(classes, folder) if condition == "class" else (),
            guidance_scale=guidance_scale,
            compiled=compile,
            call=call or {},
        )
        count = len(split.search) if split else len(source.classes)
        network = Inception(inception)
        model = cls(
            LazyDenoiser(source, labels=count),
            ImageFolder(reference, network),
            block_size=_block(block, count),
        )
        model.inception = network if reference is not None else None
        model.prompts = texts
        return model

    @property
    def widths(self) -> Mapping[str, int]:
        return WIDTHS if self.inception is not None else {}

    def labels(self, indices: Sequence[int], stream: Stream) -> Tensor:
        labels = super().labels(indices, stream)
        fresh = bool(self.prompts) and stream in _FRESH
        return labels + self.denoiser.classes if fresh else labels

    def images(self, x: Tensor) -> Tensor:
        self.denoiser.load()
        return to_uint8(self.denoiser.source.decode(x))

    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        wanted = needs & WIDTHS.keys()
        if not wanted:
            return {}
        assert self.inception is not None
        found = self.inception.rows(self.images(x))
        return {name: found[name] for name in wanted}

    def to(self, device: torch.device | str) -> "PipelineModel":
        self.denoiser.to(device)
        if self.inception is not None:
            self.inception.to(device)
        return self


def _classes(given: Sequence[int] | int | None, folder: PipelineFolder) -> tuple[int, ...]:
    total = int(folder.configs.network.get("num_embeds_ada_norm") or 0)
    if given is None:
        return tuple(range(total))
    if isinstance(given, int):
        if not 1 <= given <= total:
            raise UserError(f"model.classes: {given}; the model has {total}")
        return tuple(i * total // given for i in range(given))
    wrong = [label for label in given if not 0 <= label < total]
    if wrong or not given or len(set(given)) < len(given):
        raise UserError(
            f"model.classes: expected different labels from 0 to {total - 1}, got {list(given)}"
        )
    return tuple(given)


def _block(given: int | None, count: int) -> int:
    block = given or count or _BLOCK
    if block < 1 or (count and block % count):
        raise UserError(
            f"model.block: {block} is not a multiple of the {count} classes or prompts; "
            f"use {max(1, round(block / count)) * count}"
        )
    return block
