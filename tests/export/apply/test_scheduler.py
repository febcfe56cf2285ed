"""The scheduler alone: saved and loaded, and in pipelines that guide themselves."""

import json

import pytest
import torch

import autosearch
from autosearch.errors import UserError
from autosearch.recipe import Recipe

STEPS = [
    {"order": 2},
    {"order": 2, "corrector": "pseudo"},
    {"order": 3, "form": "taylor", "prediction": "noise"},
    {"order": 2, "corrector": "implicit"},
    {"order": 2, "eta": 0.3},
]


def scheduler_of(tiny, recipe):
    made = autosearch.RecipeScheduler(recipe=recipe.to_dict())
    made.step_noise = tiny.step_noise
    return made


@pytest.mark.parametrize("name", ["dit", "sd15", "flux", "sd3"])
def test_alone_it_runs_times_and_solver(tiny, name, difference):
    one = tiny(name)
    recipe = one.recipe(STEPS)
    pipe = one.loaded()
    pipe.scheduler = scheduler_of(one, recipe)
    plain = {} if name == "flux" else {"guidance_scale": 1.0}
    if name == "dit":
        plain = {"guidance_scale": 1.0}
    assert difference(one.run(pipe, **plain), one.ours(recipe)) < 1e-4


def test_alone_it_leaves_guidance_to_the_pipeline(tiny, difference):
    sd15 = tiny("sd15")
    pipe = sd15.loaded()
    pipe.scheduler = scheduler_of(sd15, sd15.recipe(STEPS))
    guided = sd15.recipe([{**step, **sd15.cfg(4.0)} for step in STEPS])
    assert difference(sd15.run(pipe, guidance_scale=4.0), sd15.ours(guided)) < 1e-4


def test_the_recipe_is_saved_and_comes_back(tiny, tmp_path):
    recipe = tiny("sd15").recipe(STEPS, end=3.5, start={"scale": "sigma"})
    made = autosearch.RecipeScheduler(recipe=recipe.to_dict())
    made.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "scheduler_config.json").read_text(encoding="utf-8"))
    assert Recipe.from_dict(saved["recipe"]) == recipe
    back = autosearch.RecipeScheduler.from_pretrained(tmp_path)
    assert back.plan == made.plan
    again = autosearch.RecipeScheduler.from_config(made.config)
    assert again.plan == made.plan


def test_a_saved_pipeline_keeps_it(tiny, tmp_path, difference):
    from diffusers import DiffusionPipeline

    sd15 = tiny("sd15")
    recipe = sd15.recipe([{"order": 2}] * 5)
    pipe = sd15.loaded()
    pipe.scheduler = autosearch.RecipeScheduler(recipe=recipe.to_dict())
    pipe.save_pretrained(tmp_path / "fast")
    back = DiffusionPipeline.from_pretrained(tmp_path / "fast")
    back.set_progress_bar_config(disable=True)
    assert type(back.scheduler) is autosearch.RecipeScheduler
    assert difference(sd15.run(back, guidance_scale=1.0), sd15.ours(recipe)) < 1e-4


def test_times_are_those_of_pipelines(tiny):
    flow = tiny("flux").recipe([{"corrector": "implicit"}, {}, {}, {}, {}])
    made = autosearch.RecipeScheduler(recipe=flow.to_dict())
    # The corrector asks once more at the second time.
    expected = [930.0, 710.0, 710.0, 523.0, 310.0, 120.0]
    assert torch.allclose(made.timesteps, torch.tensor(expected))
    made.set_timesteps(50, device="cpu", sigmas=[1.0, 0.5], mu=0.7)
    assert made.num_inference_steps == 6
    vp = autosearch.RecipeScheduler(recipe=tiny("dit").recipe([{}] * 5).to_dict())
    assert vp.timesteps.tolist() == [701.5, 533.25, 371.0, 205.125, 40.5]
    assert len(vp) == 1000


def test_noise_comes_from_the_generator(tiny):
    recipe = tiny("sd15").recipe([{"eta": 1.0}] * 5)
    found = []
    for seed in (0, 0, 1):
        made = autosearch.RecipeScheduler(recipe=recipe.to_dict())
        made.set_timesteps()
        generator = torch.Generator().manual_seed(seed)
        x = made.step(torch.ones(2, 3), made.timesteps[0], torch.ones(2, 3), generator).prev_sample
        found.append(x)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_noisy_samples_are_those_of_the_schedule(tiny):
    from diffusers import DDIMScheduler

    sd15 = tiny("sd15")
    made = autosearch.RecipeScheduler(recipe=sd15.recipe([{}] * 5).to_dict())
    theirs = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    data, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    times = torch.tensor([10, 900])
    ours = made.add_noise(data, noise, times)
    assert torch.allclose(ours, theirs.add_noise(data, noise, times), atol=1e-5)


def test_steps_out_of_turn_are_refused(tiny):
    made = autosearch.RecipeScheduler(recipe=tiny("dit").recipe([{}] * 5).to_dict())
    with pytest.raises(UserError, match="all steps are done"):
        made.step(torch.zeros(1, 4), 1.0, torch.zeros(1, 4))


def test_an_invalid_recipe_is_refused():
    with pytest.raises(UserError, match="key 'version' is missing"):
        autosearch.RecipeScheduler(recipe={})
