"""The closed-form few-step schedule, step by step as its authors build it."""

import math

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.few_step import PRESETS, FewStep, few_step, few_step_end, few_step_times
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import EDM, NoiseSchedule, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture

SCHEDULES: dict[str, NoiseSchedule] = {
    "linear": VariancePreserving(),
    "scaled_linear": VariancePreserving("scaled_linear"),
    "cosine": VariancePreserving("cosine"),
    "edm": EDM(),
}


def karras(schedule: NoiseSchedule, count: int, rho: float) -> list[float]:
    """Levels over the schedule's range, and the closing 0."""
    high, low = (schedule.edm_sigma(time) for time in (schedule.first, schedule.last))
    ramp = np.linspace(0, 1, count)
    levels = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return [*levels.tolist(), 0.0]


def test_presets_are_the_published_ones() -> None:
    found = {steps: (p.n, p.rho, p.k, p.rho_t) for steps, p in PRESETS.items()}
    assert found == {
        4: (8, 5, 5, 1.2),
        5: (8, 5, 6, 1.2),
        6: (8, 5, 6, 1.2),
        8: (12, 7, 8, 1.2),
    }


@pytest.mark.parametrize("steps", PRESETS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_built_as_published(name: str, steps: int) -> None:
    schedule, numbers = SCHEDULES[name], PRESETS[steps]
    levels = karras(schedule, numbers.n, numbers.rho)
    assert len(levels) == numbers.n + 1
    first, stop = (schedule.time(-math.log(levels[i])) for i in (0, numbers.k))
    ramp = np.linspace(0, 1, steps + 1)
    power = 1 / numbers.rho_t
    times = (first**power + ramp * (stop**power - first**power)) ** numbers.rho_t
    assert few_step_times(schedule, steps, numbers) == pytest.approx(times.tolist(), rel=1e-9)
    assert few_step(schedule, steps) == [
        (pytest.approx(time, rel=1e-9), None) for time in times[:-1]
    ]
    # Sampling stops at the level of index k, which is not clean.
    assert few_step_end(schedule, steps) == pytest.approx(-math.log(levels[numbers.k]), rel=1e-9)


def test_stops_inside_the_range_for_any_numbers() -> None:
    for schedule in SCHEDULES.values():
        for k in range(1, 10):
            times = few_step_times(schedule, 4, FewStep(10, 7, k, rho_t=2.0))
            assert len(times) == 5
            assert times == sorted(set(times), reverse=True)
            assert times[0] == pytest.approx(schedule.first)
            assert times[-1] >= schedule.last * (1 - 1e-12)


@pytest.mark.parametrize("steps", PRESETS)
def test_as_a_baseline(steps: int) -> None:
    denoiser = ExactDenoiser(
        Mixture.random(components=2, dimension=2, seed=0), VariancePreserving(), "noise"
    )
    for solver in ("ddim", "dpmpp_2m"):
        recipe = baseline(f"{solver}-few-step@{steps}", denoiser)
        assert recipe.end == pytest.approx(few_step_end(denoiser.schedule, steps), rel=1e-8)
        plan = compile_recipe(recipe, denoiser)
        assert plan.nfe == steps
        assert math.isfinite(plan.steps[-1].next_log_snr)


def test_other_step_counts_are_refused() -> None:
    with pytest.raises(UserError, match="published for 4, 5, 6, 8 steps, not for 7"):
        few_step(VariancePreserving(), 7)
    with pytest.raises(UserError, match="not for 10"):
        few_step_end(VariancePreserving(), 10)
