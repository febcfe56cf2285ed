"""The scheduler runs every named solver as our sampler does, in anybody's loop."""

import pytest
import torch

import autosearch
from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models import MixtureModel
from autosearch.models.exact import ExactDenoiser

MODELS = {
    "vp": (VariancePreserving(), "noise"),
    "edm": (EDM(), "data"),
    "flow": (RectifiedFlow(), "flow"),
}


@pytest.mark.parametrize("model", MODELS)
# A scheduler alone does not know the mean of the data.
@pytest.mark.parametrize("solver", [name for name in SOLVERS if not name.endswith("_afs_mean")])
def test_the_loop_of_a_pipeline_gives_our_samples(solver, model):
    schedule, said = MODELS[model]
    denoiser = ExactDenoiser(MixtureModel.load().denoiser.mixture, schedule, said)
    if (solver, model) == ("neural_solver", "edm"):
        with pytest.raises(UserError, match="not for edm"):
            baseline(f"{solver}@6", denoiser)
        return
    recipe = baseline(f"{solver}@6", denoiser)

    def noise(k):
        generator = torch.Generator().manual_seed(k)
        return torch.randn(3, *denoiser.sample_shape, generator=generator)

    plan = compile_recipe(recipe, denoiser)
    ours = sample(denoiser, plan, noise(0), None, step_noise=noise)
    scheduler = autosearch.RecipeScheduler(recipe=recipe.to_dict())
    scheduler.step_noise = noise
    scheduler.set_timesteps(50)
    assert len(scheduler.timesteps) == plan.nfe + ("_afs" in solver)
    x = scheduler.init_noise_sigma * noise(0)
    unit = 1000 if model == "flow" else 1
    calls = [float(time) / unit for time in scheduler.timesteps]
    # In single precision a time is not quite the recipe's.
    exact = [step.time for step in plan.steps]
    for time, given in zip(calls, scheduler.timesteps, strict=True):
        near = min(exact, key=lambda own, time=time: abs(own - time))
        output = denoiser.denoise(x, near, None)["cond"]
        x = scheduler.step(output, given, x).prev_sample
    torch.testing.assert_close(x, ours, rtol=1e-4, atol=1e-4)
