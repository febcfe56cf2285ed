"""Tiny pipelines of every family, and both ways to sample from them: ours and theirs."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import autosearch
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.sites.swapped import swapped
from autosearch.experiments.benchmarks.tiny_pipelines import PIPELINES, pipeline_folder
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.diffusers.optional_import import quiet
from autosearch.recipe import Recipe

warnings.filterwarnings("ignore", module="diffusers|transformers")

# What the tiny pipelines need to be told.
SHORT: Mapping[str, Any] = {"max_sequence_length": 16}
SMALL: Mapping[str, Any] = {"height": 16, "width": 16}
NO_BINS: Mapping[str, Any] = {"use_resolution_binning": False}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "dit": {"classes": [3, 7]},
    "ddpm": {"block": 2},
    "pixart": {**SHORT, "call": NO_BINS},
    "pixart_alpha": {**SHORT, **SMALL, "call": NO_BINS},
    "sd3": {**SHORT, **SMALL},
    "flux": {**SHORT, **SMALL, "guidance_scale": 3.5},
    "sana": {
        **SHORT,
        "height": 32,
        "width": 32,
        "call": {**NO_BINS, "complex_human_instruction": None},
    },
}
PROMPTS = ("a cat", "two dogs", "a boat", "red shoes")


@dataclass
class Tiny:
    """One family's pipeline: saved, loaded, and as our model."""

    name: str
    folder: Path
    _made: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def options(self) -> dict[str, Any]:
        """Of the model, as an experiment says them."""
        options = {"path": str(self.folder), **OPTIONS.get(self.name, {})}
        if self.text:
            prompts = self.folder.parent / "prompts.txt"
            prompts.write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
            options["prompts"] = str(prompts)
        return options

    @property
    def text(self) -> bool:
        return self.name not in ("dit", "ddpm")

    @cached_property
    def model(self) -> PipelineModel:
        with quiet():
            return PipelineModel.load(**self.options).to("cpu")

    @cached_property
    def pipe(self) -> Any:
        """Loaded as a user does; shared, so tests leave it as it was."""
        return self.loaded()

    def loaded(self, **options: Any) -> Any:
        from diffusers import DiffusionPipeline

        with quiet():
            pipe = DiffusionPipeline.from_pretrained(self.folder, **options)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    @property
    def network(self) -> Any:
        return getattr(self.pipe, "transformer", None) or self.pipe.unet

    @cached_property
    def asked(self) -> dict[str, Any]:
        """How the pipeline is called for the samples of labels 0 and 1."""
        if self.name == "dit":
            return {"class_labels": [3, 7]}
        if self.name == "ddpm":
            return {"batch_size": 2}
        known = ("height", "width", "max_sequence_length")
        given = {name: self.options[name] for name in known if name in self.options}
        guidance = {"guidance_scale": 3.5} if self.name == "flux" else {}
        call = self.options.get("call", {})
        return {"prompt": [PROMPTS[0], PROMPTS[2]], **given, **guidance, **call}

    def unit_noise(self, seed: int = 0) -> Tensor:
        """What the pipeline draws first from a generator with this seed, as a state."""
        generator = torch.Generator().manual_seed(seed)
        if self.name != "flux":
            return torch.randn(2, *self.model.denoiser.sample_shape, generator=generator)
        from diffusers import FluxPipeline

        return FluxPipeline._pack_latents(torch.randn(2, 4, 8, 8, generator=generator), 2, 4, 8, 8)

    def step_noise(self, k: int) -> Tensor:
        return self.unit_noise(100 + k)

    def ours(self, recipe: Recipe) -> Tensor:
        """Our sampler's last states [2, *sample_shape]."""
        denoiser = self.model.denoiser
        plan = compile_recipe(recipe, denoiser)
        condition = torch.tensor([0, 1]) if denoiser.classes else None
        return sample(denoiser, plan, self.unit_noise(), condition, step_noise=self.step_noise)

    def theirs(self, recipe: Recipe | None, **call: Any) -> Tensor:
        """The pipeline's last latents, with a recipe applied or without."""
        if recipe is None:
            return self.run(self.pipe, **call)
        autosearch.apply(recipe, self.pipe, step_noise=self.step_noise)
        try:
            return self.run(self.pipe, **call)
        finally:
            autosearch.remove(self.pipe)

    def run(self, pipe: Any, **call: Any) -> Tensor:
        """Call a pipeline and catch what its scheduler gives last."""
        caught: list[Tensor] = []

        def catching(step: Any) -> Any:
            def caught_step(*args: Any, **kwargs: Any) -> Any:
                found = step(*args, **kwargs)
                caught.append(found[0])
                return found

            return caught_step

        form = {} if self.name in ("dit", "ddpm") else {"output_type": "latent"}
        # An applied recipe's scheduler is there for the length of a call.
        with ExitStack() as stack:
            for kind in {type(pipe.scheduler), autosearch.RecipeScheduler}:
                stack.enter_context(swapped(kind, "step", catching(kind.step)))
            pipe(
                **{
                    "num_inference_steps": 5,
                    "generator": torch.Generator().manual_seed(0),
                    **form,
                    **self.asked,
                    **call,
                }
            )
        return caught[-1][:2]

    def recipe(self, steps: list[dict[str, Any]], **rest: Any) -> Recipe:
        """A recipe of five steps at times of no grid, from middle noise on."""
        denoiser = self.model.denoiser
        flow = denoiser.schedule.family == "flow"
        times = (0.93, 0.71, 0.523, 0.31, 0.12) if flow else (701.5, 533.25, 371.0, 205.125, 40.5)
        model = {
            "family": denoiser.schedule.family,
            "schedule": denoiser.schedule.name,
            "prediction": denoiser.prediction,
        }
        made = [{"time": time, **step} for time, step in zip(times, steps, strict=True)]
        return Recipe.from_dict({"version": 1, "model": model, "steps": made, **rest})

    @cached_property
    def block(self) -> str:
        """A site that passes its input on, in the middle."""
        return [s.name for s in self.model.denoiser.sites if s.residual and s.parent is None][1]

    @cached_property
    def part(self) -> str:
        """The last site inside or beside a block."""
        ends = (".mlp", ".res.0")
        return [s.name for s in self.model.denoiser.sites if s.name.endswith(ends)][-1]

    @property
    def guided(self) -> bool:
        return "uncond" in self.model.denoiser.conditions

    def cfg(self, scale: float = 3.0) -> dict[str, Any]:
        return {"guidance": [{"rule": "cfg", "scale": scale}]}

    def pag(self) -> dict[str, Any]:
        """Perturbed heads in the first and the last attention."""
        sites = list(self.model.denoiser.heads)
        heads = {sites[0]: [0, 2], sites[-1]: "all"}
        return {"guidance": [{"rule": "pag", "scale": 2.0, "heads": heads, "strength": 0.7}]}


def relative(one: Tensor, other: Tensor) -> float:
    """The largest difference, in shares of the largest number."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.fixture(scope="session")
def difference() -> Callable[[Tensor, Tensor], float]:
    return relative


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Tiny]]:
    """The pipeline of a family, built once."""
    pytest.importorskip("diffusers")
    place = tmp_path_factory.mktemp("pipelines")
    made: dict[str, Tiny] = {}

    def get(name: str, **changes: Any) -> Tiny:
        key = f"{name} {changes}"
        if key not in made:
            with quiet():
                folder = pipeline_folder(name, place / str(len(made)), **changes)
            made[key] = Tiny(name, folder)
        return made[key]

    yield get
    made.clear()


@pytest.fixture(params=[name for name in PIPELINES if name != "pixart_alpha"])
def family(request: pytest.FixtureRequest, tiny: Callable[[str], Tiny]) -> Tiny:
    """Each family in turn."""
    return tiny(request.param)
