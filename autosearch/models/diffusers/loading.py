"""A model of diffusers: known from its configurations, its weights read when they are needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.errors import UserError
from autosearch.models.diffusers.conditions import ClassLabels, Conditions, Given
from autosearch.models.diffusers.denoiser import PipelineDenoiser
from autosearch.models.diffusers.families import (
    PipelineFamily,
    Size,
    class_name,
    family_of,
    latent_grid,
)
from autosearch.models.diffusers.folder import PipelineFolder
from autosearch.models.diffusers.macs import count
from autosearch.models.diffusers.optional_import import diffusers_class, quiet
from autosearch.models.diffusers.prompt_capture import capture_prompts
from autosearch.models.diffusers.scheduler_grids import SchedulerGrids

__all__ = ["LazyDenoiser", "Source"]

_WHERE = "model.path"


# States that are decoded at a time.
_BATCH = 8


@dataclass
class Source:
    """Where a network, its autoencoder and its conditions come from, and how they are used.

    Attributes:
        folder: the pipeline's.
        size: of the images and the text.
        dtype: of the network and the autoencoder.
        prompts: of a text model, those of the search before those of its validation.
        classes: of a class model, the labels that samples are of.
        guidance_scale: of classifier-free guidance, which its baselines use; of a
            guidance-distilled network, what is embedded.
        compiled: whether the network's blocks go through ``torch.compile``.
        call: further arguments of the pipeline's call.
    """

    folder: PipelineFolder
    size: Size
    dtype: torch.dtype = torch.float32
    prompts: Sequence[str] = ()
    classes: Sequence[int] = ()
    guidance_scale: float | None = None
    compiled: bool = False
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configs = self.folder.configs
        self.family = self.family_in(self.folder)
        self.grids = self._grids()
        self.schedule, self.prediction = self.grids.schedule, self.grids.prediction
        self.sample_shape = self.family.sample_shape(self.configs, self.size)
        self.vae: Any = None
        self._conditions: Conditions | None = None

    def _grids(self) -> SchedulerGrids:
        """The grids of the scheduler, called as the pipeline calls it."""
        scheduler, tokens = self.configs.scheduler, self.family.tokens
        return SchedulerGrids(
            scheduler,
            tokens=tokens(self.configs, self.size) if tokens else None,
            # Such pipelines leave solvers that came from betas to themselves.
            even=self.family.even_levels and not scheduler.get("use_flow_sigmas"),
            where=f"{_WHERE}: scheduler",
        )

    @staticmethod
    def family_in(folder: PipelineFolder) -> PipelineFamily:
        """The kind of network that a folder holds.

        Raises:
            UserError: for a kind that is not supported, or a folder that cannot be read.
        """
        return family_of(folder.configs.network, where=_WHERE)

    def outline(self) -> nn.Module:
        """The network without weights."""
        kind = diffusers_class(class_name(self.configs.network))
        with quiet(), torch.device("meta"):
            network: nn.Module = kind.from_config(dict(self.configs.network))
        return network.eval()

    def conditions(self) -> Conditions:
        """What the branches are given; prompts once they are encoded, and their modes before."""
        if self._conditions is not None:
            return self._conditions
        if self.family.condition == "class":
            null = int(self.configs.network["num_embeds_ada_norm"])
            return ClassLabels(self.classes, null)
        return Given(
            {mode: {} for mode in (("cond", "uncond") if self.family.guided else ("cond",))}
        )

    def load(self, device: torch.device) -> nn.Module:
        """Read the weights, encode the prompts, and keep the network and the autoencoder.

        Raises:
            UserError: when the files cannot be read, or do not fit the configurations.
        """
        try:
            with quiet():
                pipeline = diffusers_class("DiffusionPipeline").from_pretrained(
                    self.folder.local, torch_dtype=self.dtype, use_safetensors=True
                )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"{_WHERE}: {self.folder.path}: cannot load: {reason}") from None
        pipeline.set_progress_bar_config(disable=True)
        pipeline.to(device)
        network: nn.Module = getattr(pipeline, self.configs.component)
        if self.family.condition == "text":
            with quiet():
                self._conditions = self._encode(pipeline, network)
        # Text encoders go with the pipeline.
        self.vae = getattr(pipeline, "vae", None)
        return network.eval().requires_grad_(False)

    def _encode(self, pipeline: Any, network: nn.Module) -> Conditions:
        size = self.size
        given: dict[str, float | None]
        given = {"height": size.height, "width": size.width, "max_sequence_length": size.text}
        if not self.family.guided:
            given["guidance_scale"] = self.guidance_scale
        chosen = {name: value for name, value in given.items() if value is not None}
        call = {**self.call, **chosen}
        return capture_prompts(pipeline, network, self.family, self.prompts, call)

    @torch.inference_mode()
    def decode(self, x: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] of final states [N, *sample_shape]."""
        vae = self.vae
        if vae is None:
            return x.clamp(-1, 1)
        latents = _unpack(x, *latent_grid(self.configs, self.size)) if self.family.packed else x
        config = vae.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        scaled = latents / config["scaling_factor"]
        if mean is not None and deviation is not None:
            shape = (1, -1, *([1] * (latents.dim() - 2)))
            factors, offsets = (
                torch.tensor(values, dtype=latents.dtype, device=latents.device).view(shape)
                for values in (deviation, mean)
            )
            scaled = scaled * factors + offsets
        scaled = scaled + (config.get("shift_factor") or 0.0)
        parts = [
            vae.decode(part.to(vae.dtype), return_dict=False)[0].float()
            for part in torch.split(scaled, _BATCH)
        ]
        return torch.cat(parts).clamp(-1, 1)


def _unpack(x: Tensor, rows: int, columns: int) -> Tensor:
    """Latents [N, C, rows, columns] from tokens [N, rows * columns / 4, 4 C] of 2 x 2 latents."""
    grid = x.view(len(x), rows // 2, columns // 2, -1, 2, 2)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(len(x), -1, rows, columns)


class LazyDenoiser(PipelineDenoiser):
    """Known from the configurations; the weights are read at the first call, or by ``to``.

    So a search refuses what its model cannot do before it reads any weights, and the process that
    leads it never holds them unless it samples itself.
    """

    def __init__(self, source: Source, *, labels: int) -> None:
        self.source = source
        family = source.family
        network = source.outline()
        site_specs = family.site_specs(network)
        counts = count(
            network,
            family,
            site_specs,
            sample_shape=source.sample_shape,
            inputs=family.inputs(source.configs, source.size),
        )
        super().__init__(
            network,
            family,
            site_specs=site_specs,
            sites=counts.sites,
            macs=counts.macs,
            schedule=source.schedule,
            prediction=source.prediction,
            sample_shape=source.sample_shape,
            given=source.conditions(),
            classes=labels,
        )
        self.own_grids = source.grids
        self.own_scheduler = str(source.configs.scheduler["_class_name"])
        self.loaded = False
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if family.guided:
            self.guidance_scale = source.guidance_scale

    @property
    def weights(self) -> str:  # type: ignore[override]
        """A digest, made when it is asked for: the search itself does without."""
        return self.source.folder.weights

    def to(self, device: torch.device | str) -> "LazyDenoiser":
        """Read the weights there, or move them; returns itself."""
        self.device = torch.device(device)
        if self.loaded:
            self.network.to(self.device)
            if self.source.vae is not None:
                self.source.vae.to(self.device)
            self.set_conditions(self.source.conditions().to(self.device))
        self.load()
        return self

    def load(self) -> None:
        """Read the weights, unless that is done."""
        if self.loaded:
            return
        device = self.device
        network = self.source.load(device)
        self.set_network(network, self.family.site_specs(network))
        if self.source.compiled:
            self.compile()
        self.device = device
        self.set_conditions(self.source.conditions())
        self.loaded = True

    def denoise(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        self.load()
        return super().denoise(*args, **kwargs)
