"""Applying and removing leaves nothing behind; what cannot be done is said in one line."""

import gc
import json
import weakref
from typing import Any

import pytest
import torch

import autosearch
from autosearch.diffusion.sites.swapped import swapped
from autosearch.errors import UserError


def state(tiny: Any) -> dict[str, Any]:
    """Everything that applying could leave behind."""
    pipe, network = tiny.pipe, tiny.network
    modules = {name: sorted(vars(module)) for name, module in network.named_modules()}
    hooks = {
        name: [len(module._forward_hooks), len(module._forward_pre_hooks)]
        for name, module in network.named_modules()
    }
    processors = {
        name: id(module) for name, module in getattr(network, "attn_processors", {}).items()
    }
    return {
        "scheduler": id(pipe.scheduler),
        "scheduler config": dict(pipe.scheduler.config),
        "config": json.dumps(dict(pipe.config), default=str),
        "pipe": sorted(vars(pipe)),
        "modules": modules,
        "hooks": hooks,
        "processors": processors,
        "grad": [parameter.requires_grad for parameter in network.parameters()],
        "training": network.training,
    }


def full(tiny: Any) -> Any:
    step = {"order": 2, "sites": {tiny.block: "reuse"}}
    perturbed = tiny.pag() if tiny.model.denoiser.heads else {}
    return tiny.recipe([{}, step, perturbed, {**step, "eta": 0.5}, {}])


def test_remove_gives_the_pipeline_back_bit_by_bit(family):
    output = family.theirs(None)
    before = state(family)
    autosearch.apply(full(family), family.pipe)
    applied = family.run(family.pipe)
    assert not torch.equal(applied, output)
    autosearch.remove(family.pipe)
    assert state(family) == before
    assert torch.equal(family.theirs(None), output)


def test_after_an_exception_in_the_middle_too(tiny):
    dit = tiny("dit")
    before, output = state(dit), dit.theirs(None)
    autosearch.apply(full(dit), dit.pipe, step_noise=dit.step_noise)
    module = dit.network.transformer_blocks[2].ff
    calls: list[int] = []

    def fails(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("in the middle")

    handle = module.register_forward_pre_hook(fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        dit.run(dit.pipe)
    handle.remove()
    # The next call begins anew.
    again = dit.run(dit.pipe)
    autosearch.remove(dit.pipe)
    assert state(dit) == before
    assert torch.equal(dit.theirs(None), output)
    autosearch.apply(full(dit), dit.pipe, step_noise=dit.step_noise)
    assert torch.equal(dit.run(dit.pipe), again)
    autosearch.remove(dit.pipe)


def test_a_second_recipe_takes_the_place_of_the_first(tiny, difference):
    dit = tiny("dit")
    before = state(dit)
    autosearch.apply(dit.recipe([dit.cfg()] * 5), dit.pipe)
    assert difference(dit.theirs(full(dit)), dit.theirs(full(dit))) == 0
    autosearch.apply(full(dit), dit.pipe)
    autosearch.apply(dit.recipe([{}] * 5), dit.pipe)
    assert difference(dit.run(dit.pipe), dit.ours(dit.recipe([{}] * 5))) < 1e-5
    autosearch.remove(dit.pipe)
    autosearch.remove(dit.pipe)
    assert state(dit) == before


def test_hooks_of_others_stay(tiny, difference):
    dit = tiny("dit")
    network, original = dit.network, dit.network.forward
    calls: list[int] = []

    def theirs(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return original(*args, **kwargs)

    network.forward = theirs
    recipe = full(dit)
    try:
        assert difference(dit.theirs(recipe), dit.ours(recipe)) < 1e-5
        assert calls
        assert network.forward is theirs
    finally:
        del network.forward


def test_a_file_and_plain_data_are_recipes_too(tiny, tmp_path, difference):
    dit = tiny("dit")
    recipe = dit.recipe([{"order": 2}] * 5)
    recipe.save(tmp_path / "recipe.json")
    ours = dit.ours(recipe)
    for given in (recipe.to_dict(), str(tmp_path / "recipe.json"), tmp_path / "recipe.json"):
        assert autosearch.apply(given, dit.pipe) is dit.pipe
        assert difference(dit.run(dit.pipe), ours) < 1e-5
    autosearch.remove(dit.pipe)


def test_a_pipeline_is_not_kept_alive(tiny):
    pipe = tiny("dit").loaded()
    autosearch.apply(tiny("dit").recipe([{}] * 5), pipe)
    seen = weakref.ref(pipe)
    del pipe
    gc.collect()
    assert seen() is None


def test_guidance_must_be_prepared_by_the_pipeline(tiny):
    for name in ("dit", "sd15", "pixart"):
        one = tiny(name)
        with pytest.raises(UserError, match="guidance_scale above 1"):
            one.theirs(one.recipe([one.cfg()] * 5), guidance_scale=1.0)
        # Without guidance in the recipe either way will do.
        plain = one.recipe([{}] * 5)
        assert torch.allclose(one.theirs(plain, guidance_scale=1.0), one.theirs(plain), atol=1e-3)


def test_guidance_that_a_pipeline_adds_itself_is_refused(tiny):
    flux, sd3 = tiny("flux"), tiny("sd3")
    with pytest.raises(UserError, match="true_cfg_scale is the recipe's to say"):
        flux.theirs(flux.recipe([{}] * 5), negative_prompt=["x", "y"], true_cfg_scale=2.0)
    with pytest.raises(UserError, match="skip_guidance_layers is the recipe's to say"):
        sd3.theirs(
            sd3.recipe([{}] * 5),
            skip_guidance_layers=[1],
            skip_layer_guidance_start=0.0,
            skip_layer_guidance_stop=1.0,
        )


def test_recipes_of_other_models_are_refused(tiny):
    dit = tiny("dit")
    with pytest.raises(UserError, match=r"model.family is 'flow' but this model's is 'vp'"):
        autosearch.apply(tiny("flux").recipe([{}] * 5), dit.pipe)
    with pytest.raises(UserError, match=r"unknown site .block\.9"):
        autosearch.apply(dit.recipe([{"sites": {"block.9": "skip"}}] * 5), dit.pipe)
    sana = tiny("sana")
    rule = {"rule": "pag", "scale": 1.0, "heads": {"block.0.attn": [0]}}
    perturbed = sana.recipe([{"guidance": [rule]}] * 5)
    with pytest.raises(UserError, match="no attention heads"):
        autosearch.apply(perturbed, sana.pipe)
    assert type(dit.pipe.scheduler).__name__ == "DDIMScheduler"
    assert "forward" not in vars(dit.network)


def test_things_that_are_no_pipeline_are_refused(tiny):
    with pytest.raises(UserError, match="no transformer and no unet"):
        autosearch.apply(tiny("dit").recipe([{}] * 5), object())
    pipe = tiny("dit").loaded()
    pipe.transformer = torch.compile(pipe.transformer, backend="eager")
    with pytest.raises(UserError, match="compiled as a whole"):
        autosearch.apply(tiny("dit").recipe([{}] * 5), pipe)


def test_own_times_and_steps_are_not_asked_for(tiny, difference):
    """The recipe says them, whatever the call says."""
    sd15 = tiny("sd15")
    recipe = sd15.recipe([{"order": 2}] * 5)
    ours = sd15.ours(recipe)
    assert difference(sd15.theirs(recipe, num_inference_steps=17), ours) < 1e-5
    with pytest.raises(UserError, match="this call's timesteps is the recipe's to say"):
        sd15.theirs(recipe, timesteps=[900, 100])
    with pytest.raises(UserError, match="from its first step"):
        autosearch.RecipeScheduler(recipe=recipe.to_dict()).set_begin_index(2)


def test_half_precision_keeps_the_state_in_full(tiny, difference):
    """The network's own rounding aside, bfloat16 loses nothing between the steps."""
    dit = tiny("dit")
    pipe = dit.loaded(torch_dtype=torch.bfloat16)
    autosearch.apply(dit.recipe([{"order": 2}] * 5), pipe)
    seen: list[torch.dtype] = []
    step = autosearch.RecipeScheduler.step

    def watched(*args: Any, **kwargs: Any) -> Any:
        found = step(*args, **kwargs)
        seen.append(found.prev_sample.dtype)
        return found

    with swapped(autosearch.RecipeScheduler, "step", watched):
        pipe(**dit.asked, num_inference_steps=5, output_type="np")
    assert seen == [torch.float32] * 4 + [torch.bfloat16]
