"""A run is a call: what else happens to a pipeline does not reach it, and the other way round."""

import copy
import threading
from typing import Any

import pytest
import torch

import autosearch
from autosearch.baselines import baseline
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


# -- conditions in lists ---------------------------------------------------------------------


def with_ddim(one: Any, pipe: Any) -> Recipe:
    """Set diffusers' DDIM, and give the recipe that is the same in five steps."""
    from diffusers import DDIMScheduler

    leading = {"timestep_spacing": "leading", "steps_offset": 0, "set_alpha_to_one": True}
    config = {**pipe.scheduler.config, "clip_sample": False, **leading}
    pipe.scheduler = DDIMScheduler.from_config(config)
    pipe.set_progress_bar_config(disable=True)
    recipe = baseline("ddim-leading@5", one.model.denoiser)
    steps = [
        {**step, "guidance": {"rule": "cfg", "scale": 4.0}} for step in recipe.to_dict()["steps"]
    ]
    return Recipe.from_dict({**recipe.to_dict(), "steps": steps})


def check_equal_to_stock(one: Any, pipe: Any, difference: Any, **call: Any) -> None:
    recipe = with_ddim(one, pipe)
    asked = {"guidance_scale": 4.0, **call}
    stock = one.run(pipe, **asked)
    autosearch.apply(recipe, pipe)
    applied = one.run(pipe, **asked)
    autosearch.remove(pipe)
    assert difference(applied, stock) < 1e-4
    assert difference(one.run(pipe, **asked), stock) == 0


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_a_controlnet_is_stocks(tiny, difference, name):
    from diffusers import (
        ControlNetModel,
        StableDiffusionControlNetPipeline,
        StableDiffusionXLControlNetPipeline,
    )

    one = tiny(name)
    torch.manual_seed(0)
    # As many halvings as this tiny autoencoder has.
    net = ControlNetModel.from_unet(one.pipe.unet, conditioning_embedding_out_channels=(8, 16))
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    kinds = {
        "sd15": StableDiffusionControlNetPipeline,
        "sdxl": StableDiffusionXLControlNetPipeline,
    }
    pipe = kinds[name](**one.loaded().components, controlnet=net.eval())
    size = one.pipe.unet.config.sample_size * one.pipe.vae_scale_factor
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    check_equal_to_stock(one, pipe, difference, image=image.repeat(2, 1, 1, 1))


def test_an_ip_adapter_is_stocks(tiny, difference):
    from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection

    one = tiny("sd15")
    pipe = one.loaded()
    unet = pipe.unet
    width = unet.config.cross_attention_dim
    torch.manual_seed(1)
    adapters = ip_adapter_processors(unet, width)
    unet.set_attn_processor(adapters)
    unet.encoder_hid_proj = MultiIPAdapterImageProjection(
        [ImageProjection(image_embed_dim=8, cross_attention_dim=width, num_image_text_embeds=4)]
    )
    unet.config.encoder_hid_dim_type = "ip_image_proj"
    embeds = torch.randn(2, 1, 8)  # without the image and with it
    check_equal_to_stock(one, pipe, difference, ip_adapter_image_embeds=[embeds])


def ip_adapter_processors(unet: Any, width: int) -> dict[str, Any]:
    from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0

    found = {}
    for name, module in unet.named_modules():
        if not name.endswith(("attn1", "attn2")):
            continue
        inner = module.to_q.in_features
        found[f"{name}.processor"] = (
            AttnProcessor2_0()
            if name.endswith("attn1")
            else IPAdapterAttnProcessor2_0(inner, width, num_tokens=[4])
        )
    return found


def test_perturbed_attention_of_a_pipelines_own_is_refused(tiny):
    from diffusers import StableDiffusionPAGPipeline

    one = tiny("sd15")
    pipe = StableDiffusionPAGPipeline(**one.loaded().components, pag_applied_layers="mid")
    pipe.set_progress_bar_config(disable=True)
    autosearch.apply(plain(one), pipe)
    with pytest.raises(UserError, match="pag_scale"):
        one.run(pipe)


def test_the_scheduler_alone_is_compared_with_its_model(tiny):
    recipe = tiny("flux").recipe([{}] * 5)
    config = {**tiny("sd15").pipe.scheduler.config, "prediction_type": "v_prediction"}
    with pytest.raises(UserError, match="prediction_type"):
        autosearch.RecipeScheduler.beside(config, recipe)
