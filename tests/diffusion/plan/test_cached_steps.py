"""ERTACache's numbers in a recipe: rectified predictions and shorter intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site
from autosearch.errors import UserError
from autosearch.recipe import Recipe


class Linear(Denoiser):
    """Predicts half of the state, in each branch another half; has one site, which it ignores."""

    def __init__(self, *, flow: bool = False) -> None:
        self.schedule = RectifiedFlow() if flow else VariancePreserving()
        self.prediction = "flow" if flow else "data"
        self.sample_shape = (2,)
        self.classes = 2
        self.conditions = ("cond", "uncond")
        self.sites = (Site("block.0", 5, 2, residual=True),)
        self.heads = {}
        self.macs = 10
        self.weights = "linear"

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        return {one.name: (0.5 if one.condition == "cond" else 0.25) * x for one in branches}


def compiled(denoiser: Denoiser, *steps: Mapping[str, Any]) -> Plan:
    model = model_key(denoiser).model_dump()
    recipe = Recipe.from_dict({"version": 1, "model": model, "steps": list(steps)})
    return compile_recipe(recipe, denoiser)


SKIP = {"sites": {"block.0": "skip"}}


@pytest.mark.parametrize("guidance", [[], [{"rule": "cfg", "scale": 3.0}]])
def test_a_prediction_is_rectified_after_guidance_or_before(guidance: list[Any]) -> None:
    denoiser = Linear()
    step = {"time": 500, "guidance": guidance}
    noise = torch.tensor([[1.0, -2.0]])
    condition = torch.tensor([0])
    plain = sample(denoiser, compiled(denoiser, step), noise, condition)
    plan = compiled(denoiser, {**step, **SKIP, "rectify": [1.5, 0.25]})
    # One step to the clean end gives the predicted data.
    torch.testing.assert_close(sample(denoiser, plan, noise, condition), 1.5 * plain + 0.25)


def test_the_identity_and_whole_steps_have_nothing_to_rectify() -> None:
    denoiser = Linear()
    bare = compiled(denoiser, {"time": 900}, {"time": 500, **SKIP})
    same = compiled(denoiser, {"time": 900}, {"time": 500, **SKIP, "rectify": [1, 0]})
    assert bare == same
    assert bare.identity == same.identity
    whole = compiled(denoiser, {"time": 900, "rectify": [0.5, 1]}, {"time": 500, **SKIP})
    assert whole == bare
    moved = compiled(denoiser, {"time": 900}, {"time": 500, **SKIP, "rectify": [0.5, 0]})
    assert moved.identity != bare.identity


def test_shorter_intervals_leave_more_for_the_steps_after() -> None:
    """On an even grid these are ERTACache's: the next step is what is left over what remains."""
    denoiser = Linear(flow=True)
    span = 1 - denoiser.schedule.last
    even = [{"time": 1 - span * i / 5} for i in range(5)]
    factors = {1: 0.5, 3: 0.25}
    steps = [{**step, "interval": factors.get(i, 1)} for i, step in enumerate(even)]
    times, spent = [], 0.0
    for i in range(5):
        times.append(1 - span * spent)
        spent += (1 - spent) / (5 - i) * factors.get(i, 1)
    plan = compiled(denoiser, *steps)
    assert [step.time for step in plan.steps] == pytest.approx(times)
    assert plan == compiled(denoiser, *({"time": step.time} for step in plan.steps))


def test_a_moved_step_has_the_noise_level_of_its_own_time() -> None:
    denoiser = Linear()
    steps = [{"time": 900, "log_snr": -4}, {"time": 500, "log_snr": 0.5}, {"time": 100}]
    plan = compiled(denoiser, {**steps[0], "interval": 0.5}, *steps[1:])
    assert [step.time for step in plan.steps] == pytest.approx([900, 700, 140])
    log_snrs = [-4, *(denoiser.schedule.log_snr(step.time) for step in plan.steps[1:])]
    assert [step.log_snr for step in plan.steps] == pytest.approx(log_snrs)
    # The last interval goes to the end, whatever its factor.
    assert compiled(denoiser, *steps[:2], {**steps[2], "interval": 0.5}) == compiled(
        denoiser, *steps
    )


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"rectify": [1]}, "steps[0].rectify"),
        ({"rectify": 1}, "steps[0].rectify"),
        ({"interval": 0}, "steps[0].interval"),
        ({"interval": 1.5}, "steps[0].interval"),
        (
            {"rectify": [1, 1], "gate": {"probe": "a", "threshold": 1, "covers": {"b": "skip"}}},
            "'rectify' is for whole steps",
        ),
    ],
)
def test_numbers_that_cannot_be(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError) as caught:
        compiled(Linear(), {"time": 500, **fields})
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)
