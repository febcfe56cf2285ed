"""Factors on prediction and state (Q-Sched), against the same arithmetic by hand."""

import pytest
import torch

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.sampling.sampler import sample
from autosearch.models.exact import ExactDenoiser
from autosearch.recipe import Recipe


def plan_of(denoiser: ExactDenoiser, *steps: dict) -> Plan:
    data = {"version": 1, "model": model_key(denoiser).model_dump(), "steps": list(steps)}
    return compile_recipe(Recipe.from_dict(data), denoiser)


def noise() -> torch.Tensor:
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", ["vp", "cosine", "flow"])
def test_a_step_is_that_of_the_scaled_prediction_from_the_scaled_state(make, model: str) -> None:
    denoiser = make(model)
    schedule = denoiser.schedule
    times = [0.9, 0.4] if model == "flow" else [800, 300]
    factors = [(0.9, 1.1), (1.05, 0.97)]
    steps = [{"time": t, "scaling": list(f)} for t, f in zip(times, factors, strict=True)]
    x = noise()
    levels = [schedule.log_snr(t) for t in times]
    for i, (time, (output, state)) in enumerate(zip(times, factors, strict=True)):
        alpha, sigma = schedule.alpha_sigma(levels[i])
        said = output * denoiser.denoise(x, time, None)["cond"]
        data, eps = to_data_and_noise(denoiser.prediction, said, state * x, alpha, sigma)
        after, left = schedule.alpha_sigma(levels[i + 1]) if i == 0 else (1.0, 0.0)
        x = after * data + left * eps
    found = sample(denoiser, plan_of(denoiser, *steps), noise(), None)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


def test_released_euler_of_flows(make) -> None:
    """``x' = s x + (t' - t) m v``, as its authors' scheduler does it."""
    denoiser = make("flow")
    x = noise()
    plan = plan_of(denoiser, {"time": 0.8, "scaling": [0.9, 1.02]}, {"time": 0.3})
    velocity = denoiser.denoise(x, 0.8, None)["cond"]
    wanted = 1.02 * x + (0.3 - 0.8) * 0.9 * velocity
    data = 0.3, denoiser.denoise(wanted, 0.3, None)["cond"]
    torch.testing.assert_close(
        sample(denoiser, plan, x, None), wanted - data[0] * data[1], rtol=1e-5, atol=1e-5
    )


def test_factors_of_one_are_inert(make) -> None:
    denoiser = make("vp")
    plain = plan_of(denoiser, {"time": 800}, {"time": 300})
    assert plan_of(denoiser, {"time": 800, "scaling": [1, 1]}, {"time": 300}) == plain
    changed = plan_of(denoiser, {"time": 800, "scaling": [1, 1.01]}, {"time": 300})
    assert changed.identity != plain.identity
    # Where the network is not asked there is nothing to scale.
    first = {"time": 800, "evaluate": "zero_x0"}
    assert plan_of(denoiser, {**first, "scaling": [0.9, 0.9]}, {"time": 300}) == plan_of(
        denoiser, first, {"time": 300}
    )


def test_a_corrected_state_is_scaled_too(make) -> None:
    denoiser = make("vp")
    steps = [{"time": t, "form": "unipc_bh2", "corrector": "pseudo"} for t in (900, 600, 300)]
    plain = sample(denoiser, plan_of(denoiser, *steps), noise(), None)
    steps[1]["scaling"] = [1, 1.2]
    assert not torch.allclose(sample(denoiser, plan_of(denoiser, *steps), noise(), None), plain)
