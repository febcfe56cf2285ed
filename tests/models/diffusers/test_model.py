"""A pipeline as a model to search: known before its weights are read, refused before that too."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.errors import UserError
from autosearch.experiment import experiment_from_dict
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.spec import ModelSpec


def experiment(tiny: Any, folder: Path, **space: Any) -> Any:
    return experiment_from_dict(
        {
            "model": {"name": "diffusers", **tiny.options, "path": str(folder)},
            "space": space or {"timesteps": {"steps": [2, 3]}},
            "objectives": ["teacher_mse", "nfe"],
            "baselines": ["ddim"],
            "samples": 40,
            "validation": {"samples": 40},
            "budget": {"candidates": 4},
            "workers": {"executor": "inprocess"},
        },
        where="test",
    )


@pytest.fixture
def configs_only(tiny, tmp_path):
    """A folder of a family with everything but weights."""

    def make(name: str, **changes: Any) -> Path:
        folder = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tiny(name).folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        for file, values in changes.items():
            place = next(folder.glob(f"{file}/*config.json"))
            data = {**json.loads(place.read_text(encoding="utf-8")), **values}
            place.write_text(json.dumps(data), encoding="utf-8")
        return folder

    return make


def test_everything_that_a_search_needs_is_known_without_weights(family, configs_only):
    folder = configs_only(family.name)
    outline = PipelineModel.load(**{**family.options, "path": str(folder)}).denoiser
    denoiser = family.model.denoiser
    for name in ("sites", "heads", "macs", "sample_shape", "conditions", "classes", "prediction"):
        assert getattr(outline, name) == getattr(denoiser, name)
    assert outline.schedule.name == denoiser.schedule.name
    assert not outline.loaded
    with pytest.raises(UserError, match="no safetensors"):
        _ = outline.weights


def test_what_a_model_cannot_do_is_refused_before_its_weights_are_read(tiny, configs_only):
    flux, ddpm = configs_only("flux"), configs_only("ddpm")
    with pytest.raises(UserError, match="needs a model that also runs without its condition"):
        Problem.of(experiment(tiny("flux"), flux, timesteps={}, guidance={}))
    with pytest.raises(UserError, match="height"):
        PipelineModel.load(path=str(ddpm), height=32)
    plain = {"down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2}
    without = configs_only("ddpm", unet={**plain, "add_attention": False})
    with pytest.raises(UserError, match="attention heads"):
        Problem.of(experiment(tiny("ddpm"), without, timesteps={}, heads={}))
    with pytest.raises(UserError, match=r"unknown site 'block\.3'"):
        Problem.of(experiment(tiny("ddpm"), without, timesteps={}, cache={"sites": ["block.3"]}))
    distilled = configs_only("sd15", scheduler={"_class_name": "LCMScheduler"})
    with pytest.raises(UserError, match="distilled for fixed times"):
        Problem.of(experiment(tiny("sd15"), distilled))
    inpainting = configs_only("sdxl", unet={"in_channels": 9})
    with pytest.raises(UserError, match="inpainting and editing"):
        Problem.of(experiment(tiny("sdxl"), inpainting))
    unknown = configs_only("pixart", transformer={"_class_name": "OtherModel"})
    with pytest.raises(UserError, match="class OtherModel are not supported"):
        Problem.of(experiment(tiny("pixart"), unknown))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid' is not supported"),
        ({"trained_betas": [0.1, 0.2]}, "trained_betas has 2 numbers"),
        ({"timestep_type": "continuous", "_class_name": "EulerDiscreteScheduler"}, "continuous"),
        ({"prediction_type": "unknown"}, "prediction_type 'unknown'"),
        ({"_class_name": "TCDScheduler"}, "distilled"),
    ],
)
def test_schedulers_that_are_not_understood_are_refused(tiny, configs_only, config, message):
    folder = configs_only("dit", scheduler=config)
    with pytest.raises(UserError, match=message):
        PipelineModel.load(path=str(folder), classes=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "/nowhere/at/all"}, "no folder at"),
        ({"classes": 2000}, "the model has 1000"),
        ({"classes": [1, 1]}, "different labels"),
        ({"classes": [1, 4000]}, "different labels"),
        ({"classes": 4, "block": 6}, "not a multiple of the 4"),
    ],
)
def test_settings_are_checked(tiny, options, message):
    with pytest.raises(UserError, match=message):
        PipelineModel.load(**{"path": str(tiny("dit").folder), **options})


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read model_index\.json"):
        PipelineModel.load(path=str(tmp_path))
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="neither a transformer nor a unet"):
        PipelineModel.load(path=str(tmp_path))


def test_unreadable_weights_are_the_users_matter(configs_only):
    folder = configs_only("dit")
    model = PipelineModel.load(path=str(folder), classes=4)
    with pytest.raises(UserError, match="cannot load"):
        model.to("cpu")


def test_prompts_of_search_and_validation_never_meet(tiny):
    model = tiny("sd15").model
    assert list(model.prompts) == ["a cat", "a boat", "two dogs", "red shoes"]
    assert model.denoiser.classes == 2
    assert model.block_size == 2
    seen = {
        stream: set(model.labels(range(8), stream).tolist())
        for stream in (Stream.SEARCH, Stream.REFERENCE, Stream.VALIDATION, Stream.EVALUATE)
    }
    assert seen[Stream.SEARCH] == seen[Stream.REFERENCE] == {0, 1}
    assert seen[Stream.VALIDATION] == seen[Stream.EVALUATE] == {2, 3}


def test_images_are_those_of_the_pipeline(family):
    """Decoded from the same latents, to the last grey level but one."""
    plain = family.recipe([{"order": 2}] * 5)
    images = family.model.images(family.ours(plain)).permute(0, 2, 3, 1).numpy().astype(float)
    import autosearch

    autosearch.apply(plain, family.pipe)
    try:
        shown = family.pipe(
            num_inference_steps=5,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
            **family.asked,
        ).images
    finally:
        autosearch.remove(family.pipe)
    assert np.abs(images - 255 * np.asarray(shown)).max() <= 1


def test_a_worker_reads_the_weights_once_and_scores_the_same_again(tiny):
    dit = tiny("dit")
    spec = ModelSpec("diffusers", dit.options)
    problem = Problem.of(experiment(dit, dit.folder))
    plan = make_baselines(problem, {})[0].plan
    assert not problem.denoiser.loaded
    task = SampleTask(0, plan, 0, Stream.SEARCH, (0, 1), 2, frozenset({"final"}))
    first = ModelEvaluator(spec).evaluate(task).rows["final"]
    second = ModelEvaluator(spec).evaluate(task).rows["final"]
    assert np.array_equal(first, second)
    # Labels differ, and so do the samples of one noise.
    assert not np.array_equal(first[0], first[1])


def test_baselines_are_guided_as_the_model_usually_is(tiny):
    dit = tiny("dit")
    options = {**dit.options, "guidance_scale": 4.0}
    from autosearch.baselines import baseline

    denoiser = PipelineModel.load(**options).denoiser
    steps = baseline("dpmpp_2m@3", denoiser).steps
    assert [step.guidance[0].scale for step in steps] == [4.0] * 3
    # What a distilled network embeds is no guidance of ours.
    flux = tiny("flux").model.denoiser
    assert baseline("ddim@2", flux).steps[0].guidance == []


def test_embedded_guidance_reaches_the_network(tiny, difference):
    flux = tiny("flux")
    plain = flux.recipe([{}] * 5)
    assert difference(flux.theirs(plain), flux.ours(plain)) < 1e-5
    assert difference(flux.theirs(plain, guidance_scale=9.0), flux.ours(plain)) > 1e-4


@pytest.mark.diffusers
def test_the_cost_of_a_published_network():
    """DiT-XL/2 at 256: 118.6 billion multiply-accumulates (Peebles and Xie 2023, table 4)."""
    pytest.importorskip("diffusers")
    from diffusers import DiTTransformer2DModel

    from autosearch.models.diffusers.families import FAMILIES
    from autosearch.models.diffusers.macs import count

    with torch.device("meta"):
        network = DiTTransformer2DModel(num_layers=28, out_channels=8)
    family = FAMILIES["DiTTransformer2DModel"]
    site_specs = family.site_specs(network)
    found = count(
        network, family, site_specs, sample_shape=(4, 32, 32), inputs={"class_labels": ()}
    )
    assert found.macs == pytest.approx(118.64e9, rel=1e-3)


@pytest.mark.diffusers
def test_compiled_blocks_give_the_same(tiny, difference, monkeypatch):
    """Blocks inside which something acts are run as they are; what is left behind is nothing."""
    compiled: list[str] = []
    compiler = torch.compile

    def eager(function: Any) -> Any:
        compiled.append(function.__qualname__)
        return compiler(function, backend="eager")

    monkeypatch.setattr(torch, "compile", eager)
    dit = tiny("dit")
    model = PipelineModel.load(**dit.options, compile=True).to("cpu")
    assert len(compiled) == 3
    plain = dit.model
    recipe = dit.recipe(
        [{}, {"sites": {"block.1": "reuse"}}, dit.pag(), {"sites": {"block.0.mlp": "reuse"}}, {}]
    )
    ours = dit.ours(recipe)
    dit.model = model
    try:
        assert difference(dit.ours(recipe), ours) < 1e-5
    finally:
        dit.model = plain
    network = model.denoiser.network
    assert not [name for name, module in network.named_modules() if "forward" in vars(module)]


def test_rewards_are_told_the_prompts_of_their_stream(tiny, monkeypatch):
    from autosearch.models import rewards
    from autosearch.objectives.rewards import Reward, RewardObjective

    asked: list[list[str]] = []

    class Fake(Reward):
        @classmethod
        def load(cls, settings: Any, *, where: str) -> "Fake":
            return cls()

        def score(self, images: torch.Tensor, prompts: Any) -> torch.Tensor:
            asked.append(list(prompts))
            return images.float().mean(dim=(1, 2, 3))

    class FakeScore(RewardObjective):
        name = "fake"
        summary = "the mean grey level"
        reward = Fake

    monkeypatch.setattr(rewards, "find", lambda *_, **__: FakeScore)
    sd15 = tiny("sd15")
    evaluator = ModelEvaluator(
        ModelSpec("diffusers", {**sd15.options, "rewards": {"fake": "nowhere"}})
    )
    problem = Problem.of(experiment(sd15, sd15.folder))
    plan = make_baselines(problem, {})[0].plan
    for stream in (Stream.SEARCH, Stream.VALIDATION):
        task = SampleTask(0, plan, 0, stream, (0,), 2, frozenset({"fake"}))
        assert evaluator.evaluate(task).rows["fake"].shape == (2,)
    assert asked == [["a cat", "a boat"], ["two dogs", "red shoes"]]


def shifted(name: str) -> dict[str, Any]:
    """Settings of a scheduler of flows that its pipeline can be asked for."""
    if name == "sana":  # whose pipeline does not say the size of its images
        return {"shift": 4.0, "use_karras_sigmas": True}
    return {"use_dynamic_shifting": True, "shift_terminal": 0.05, "base_shift": 0.7}


@pytest.mark.parametrize("name", ["flux", "sd3", "sana"])
def test_baselines_run_where_the_pipeline_would(name: str, tiny: Any, configs_only: Any) -> None:
    """Levels and times that the pipeline asks its own scheduler for, size of the image included."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    family = tiny(name)
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", **shifted(name)}
    folder = configs_only(name, scheduler=config)
    denoiser = PipelineModel.load(**{**family.options, "path": str(folder)}).denoiser
    vars(denoiser.source.folder)["weights"] = "0" * 16  # which recipes name
    pipe = family.loaded()
    pipe.scheduler = FlowMatchEulerDiscreteScheduler(**shifted(name))
    for steps in (2, 5):
        family.run(pipe, num_inference_steps=steps)
        for solver in ("ddim", "dpmpp_2m", "unipc"):
            times = [step.time for step in baseline(f"{solver}@{steps}", denoiser).steps]
            assert times == pytest.approx(pipe.scheduler.sigmas[:-1].tolist(), abs=1e-6)
