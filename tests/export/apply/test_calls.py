"""A run is a call: what else happens to a pipeline does not reach it, and the other way round."""

import copy
import threading
from typing import Any

import pytest
import torch

import autosearch
from autosearch.errors import UserError
from autosearch.recipe import Recipe


def plain(one: Any, **fields: Any) -> Recipe:
    """Five steps, guided where the pipeline can be."""
    guided = one.model.denoiser.guidance_scale is not None
    return one.recipe([{**(one.cfg() if guided else {}), **fields}] * 5)


def test_a_scheduler_made_from_the_configuration_is_the_models(tiny, difference):
    """The commonest idiom there is, after a recipe was applied."""
    from diffusers import EulerDiscreteScheduler

    sd15 = tiny("sd15")
    pipe, own = sd15.loaded(), sd15.pipe.scheduler.config
    recipe = plain(sd15, order=2)
    autosearch.apply(recipe, pipe, step_noise=sd15.step_noise)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    assert pipe.scheduler.config.beta_end == own.beta_end
    assert difference(sd15.run(pipe), sd15.ours(recipe)) < 1e-5
    autosearch.remove(pipe)
    assert type(pipe.scheduler) is EulerDiscreteScheduler
    # So it is of the scheduler that runs a recipe alone.
    beside = autosearch.RecipeScheduler.beside(own, recipe)
    other = EulerDiscreteScheduler.from_config(beside.config)
    assert (other.config.beta_end, other.config.beta_schedule) == (own.beta_end, own.beta_schedule)


def test_equal_states_are_no_doubled_batch(tiny, difference):
    """Two prompts from one state, without guidance: each sample keeps its own prompt."""
    pixart = tiny("pixart")
    recipe = pixart.recipe([{}] * 5)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    autosearch.apply(recipe, pixart.pipe)
    both = pixart.run(pixart.pipe, guidance_scale=1.0, latents=latents.repeat(2, 1, 1, 1))
    alone = [
        pixart.run(pixart.pipe, prompt=[prompt], guidance_scale=1.0, latents=latents)
        for prompt in pixart.asked["prompt"]
    ]
    autosearch.remove(pixart.pipe)
    assert difference(both, torch.cat(alone)) < 1e-5
    assert difference(both[:1], both[1:]) > 1e-4


def test_a_pipeline_made_from_it_is_its_own(tiny, difference):
    from diffusers import StableDiffusionPipeline

    sd15 = tiny("sd15")
    pipe = sd15.loaded()
    autosearch.apply(plain(sd15), pipe)
    with_recipe = sd15.run(pipe)
    other = StableDiffusionPipeline.from_pipe(pipe)
    other.set_progress_bar_config(disable=True)
    unapplied = sd15.run(other, guidance_scale=1.0)
    assert difference(unapplied, sd15.theirs(None, guidance_scale=1.0)) == 0
    assert difference(sd15.run(pipe), with_recipe) == 0


def test_an_interrupted_call_leaves_nothing_behind(tiny, difference):
    """Neither for the next call, nor for another pipeline on the same network."""
    from diffusers import StableDiffusionPipeline

    sd15 = tiny("sd15")
    pipe = sd15.loaded()
    other = StableDiffusionPipeline(**pipe.components)
    other.set_progress_bar_config(disable=True)
    expected = sd15.run(other)
    autosearch.apply(plain(sd15), pipe)
    whole = sd15.run(pipe)

    def stops(pipeline: Any, step: int, time: Any, kwargs: Any) -> Any:
        pipeline._interrupt = True
        return kwargs

    def fails(pipeline: Any, step: int, time: Any, kwargs: Any) -> Any:
        raise RuntimeError("in the middle")

    sd15.run(pipe, callback_on_step_end=stops)
    assert difference(sd15.run(other), expected) == 0
    with pytest.raises(RuntimeError, match="in the middle"):
        sd15.run(pipe, callback_on_step_end=fails)
    assert difference(sd15.run(other), expected) == 0
    assert difference(sd15.run(pipe), whole) == 0


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_noise_comes_from_the_calls_generator(tiny, difference, name):
    """These pipelines hand their scheduler none."""
    one = tiny(name)
    autosearch.apply(plain(one, eta=0.5), one.pipe)
    try:
        runs = [
            one.run(one.pipe, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        ]
        lists = [
            one.run(one.pipe, generator=[torch.Generator().manual_seed(s) for s in (5, 6)])
            for _ in range(2)
        ]
    finally:
        autosearch.remove(one.pipe)
    assert difference(runs[0], runs[1]) == 0
    assert difference(runs[0], runs[2]) > 1e-3
    assert difference(*lists) == 0


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sd15", {"guidance_rescale": 0.7}),
        ("sd15", {"eta": 0.5}),
        ("sd15", {"sigmas": [10.0, 1.0]}),
        ("flux", {"sigmas": [1.0, 0.5]}),
        ("sd3", {"skip_guidance_layers": [1]}),
    ],
)
def test_what_the_recipe_says_is_refused_in_a_call(tiny, name, call):
    one = tiny(name)
    with pytest.raises(UserError, match=f"this call's {next(iter(call))} is the recipe's"):
        one.theirs(plain(one), **call)


def test_two_threads_take_turns(tiny, difference):
    dit = tiny("dit")
    pipe = dit.loaded()
    step = {"order": 2, "sites": {dit.block: "reuse"}}
    autosearch.apply(dit.recipe([{}, step, {}, step, {}]), pipe)

    def called(seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        return pipe([seed % 10], num_inference_steps=5, generator=generator, output_type="np")

    expected = {seed: called(seed).images for seed in range(4)}
    found: dict[int, Any] = {}

    def work(seeds: tuple[int, ...]) -> None:
        for seed in seeds:
            found[seed] = called(seed).images

    threads = [threading.Thread(target=work, args=(seeds,)) for seeds in ((0, 1), (2, 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[seed] == expected[seed]).all() for seed in expected)


def test_copies_have_the_recipe_for_themselves(tiny, difference):
    dit = tiny("dit")
    pipe = dit.loaded()
    unapplied = dit.run(pipe)
    autosearch.apply(plain(dit, order=2), pipe)
    applied = dit.run(pipe)
    other = copy.deepcopy(pipe)
    assert difference(dit.run(other), applied) == 0
    autosearch.remove(other)
    assert difference(dit.run(other), unapplied) == 0
    assert difference(dit.run(pipe), applied) == 0
    del pipe
    assert difference(dit.run(other), unapplied) == 0


def test_precision_may_change_between_calls(tiny):
    dit = tiny("dit")
    pipe = dit.loaded()
    autosearch.apply(plain(dit), pipe)
    dit.run(pipe)
    pipe.to(torch.bfloat16)
    assert dit.run(pipe).isfinite().all()


def test_caches_of_others_are_refused_in_either_order(tiny):
    from diffusers import FirstBlockCacheConfig

    flux = tiny("flux")
    pipe = flux.loaded()
    autosearch.apply(plain(flux), pipe)
    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    with pytest.raises(UserError, match="disable_cache"):
        flux.run(pipe)
    autosearch.remove(pipe)
    with pytest.raises(UserError, match="disable_cache"):
        autosearch.apply(plain(flux), pipe)
    pipe.transformer.disable_cache()


def test_a_pipeline_still_looks_like_itself(tiny):
    import inspect

    dit = tiny("dit")
    pipe = dit.loaded()
    own = type(pipe)
    autosearch.apply(plain(dit), pipe)
    assert isinstance(pipe, own)
    assert type(pipe).__name__ == own.__name__
    assert inspect.signature(pipe.__call__) == inspect.signature(dit.pipe.__call__)
    assert pipe.config == dit.pipe.config
    autosearch.remove(pipe)
    assert type(pipe) is own
