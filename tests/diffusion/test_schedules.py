"""Schedules against their definitions and against diffusers' tables."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.diffusion.schedules import (
    EDM,
    ZERO_SNR_FLOOR,
    NoiseSchedule,
    RectifiedFlow,
    VariancePreserving,
    get_schedule,
)
from autosearch.errors import UserError

VP = [VariancePreserving(name) for name in ("linear", "scaled_linear", "cosine")]
ALL: list[NoiseSchedule] = [*VP, EDM(), RectifiedFlow()]
VARIANTS = [
    VariancePreserving("linear", betas=(1e-4, 0.03)),
    VariancePreserving("cosine", train_steps=500, snr_shift=2.5),
    VariancePreserving("scaled_linear", zero_snr=True),
    VariancePreserving("scaled_linear", snr_shift=3.0, zero_snr=True),
    VariancePreserving(trained_betas=[1e-4, 1.23456789e-3, 0.2]),
    VariancePreserving(trained_betas=[0.1, 0.2, 0.3], snr_shift=0.5, zero_snr=True),
]
IDS = [f"{schedule.family}-{schedule.name}" for schedule in ALL]
FINITE = st.floats(-40, 40)

DIFFUSERS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear"},
    "scaled_linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


@pytest.mark.parametrize("name", DIFFUSERS)
def test_whole_times_are_those_of_diffusers(name: str) -> None:
    schedule = VariancePreserving(name)
    theirs = DDPMScheduler(**DIFFUSERS[name])
    # Diffusers accumulates in single precision; the products are formed again in double.
    betas = theirs.betas.double().numpy()
    np.testing.assert_allclose(schedule.alphas_cumprod, np.cumprod(1 - betas), rtol=1e-4)
    np.testing.assert_allclose(
        schedule.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=3e-4
    )
    for time in (0, 1, 250, 500, 998, 999):
        alpha, sigma = schedule.alpha_sigma(schedule.log_snr(float(time)))
        assert alpha**2 == pytest.approx(schedule.alphas_cumprod[time], rel=1e-12)
        assert sigma**2 == pytest.approx(1 - schedule.alphas_cumprod[time], rel=1e-9)


def test_trained_betas_are_a_schedule() -> None:
    betas = VariancePreserving("cosine", train_steps=40)
    theirs = DDPMScheduler(num_train_timesteps=40, beta_schedule="squaredcos_cap_v2").betas
    schedule = VariancePreserving(trained_betas=theirs.tolist())
    np.testing.assert_allclose(schedule.alphas_cumprod, betas.alphas_cumprod, rtol=1e-4)
    assert (schedule.train_steps, schedule.first) == (40, 39.0)


def test_the_signal_to_noise_ratio_is_divided_by_its_shift() -> None:
    plain, shifted = VariancePreserving(), VariancePreserving(snr_shift=3.0)
    for time in (0.0, 300.5, 999.0):
        assert shifted.log_snr(time) == pytest.approx(plain.log_snr(time) - 0.5 * math.log(3))


def test_zero_terminal_snr_is_that_of_diffusers() -> None:
    schedule = VariancePreserving("scaled_linear", zero_snr=True)
    options = {**DIFFUSERS["scaled_linear"], "rescale_betas_zero_snr": True}
    theirs = DDPMScheduler(**options).alphas_cumprod.double().numpy()
    np.testing.assert_allclose(schedule.alphas_cumprod, theirs, rtol=2e-4, atol=1e-9)
    floor = DPMSolverMultistepScheduler(**options).lambda_t[-1]
    assert float(floor) == pytest.approx(ZERO_SNR_FLOOR, abs=1e-5)
    assert schedule.log_snr(999) == -math.inf
    assert schedule.alpha_sigma(-math.inf) == (0.0, 1.0)


@pytest.mark.parametrize("schedule", [s for s in VARIANTS if s.name.endswith("zero_snr")])
def test_alpha_falls_linearly_to_zero_terminal_snr(schedule: VariancePreserving) -> None:
    last = schedule.first
    alphas = [schedule.alpha_sigma(schedule.log_snr(last - t))[0] for t in (1, 0.75, 0.5, 0.25, 0)]
    assert np.diff(alphas) == pytest.approx([-alphas[0] / 4] * 4)
    for time in (last, last - 0.25, last - 0.999, last - 1, last - 1.5):
        assert schedule.time(schedule.log_snr(time)) == pytest.approx(time)


@pytest.mark.parametrize(
    "changes",
    [
        {"trained_betas": [0.1]},
        {"trained_betas": [0.1, 1.0]},
        {"betas": (0.0, 0.1)},
        {"train_steps": 1},
        {"snr_shift": 0.0},
    ],
)
def test_impossible_betas_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"variance-preserving schedule '(linear|trained)'"):
        VariancePreserving(**changes)


@given(log_snr=FINITE)
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("schedule", ALL, ids=IDS)
def test_scales_follow_the_family(schedule: NoiseSchedule, log_snr: float) -> None:
    alpha, sigma = schedule.alpha_sigma(log_snr)
    assert alpha > 0
    assert sigma > 0
    assert math.log(alpha / sigma) == pytest.approx(log_snr, abs=1e-10)
    whole = {"vp": math.hypot(alpha, sigma), "edm": alpha, "flow": alpha + sigma}
    assert whole[schedule.family] == pytest.approx(1, abs=1e-12)


@given(share=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("schedule", ALL, ids=IDS)
def test_time_inverts_log_snr(schedule: NoiseSchedule, share: float) -> None:
    first = min(schedule.first, 0.9999) if schedule.family == "flow" else schedule.first
    time = schedule.last + share * (first - schedule.last)
    log_snr = schedule.log_snr(time)
    assert schedule.time(log_snr) == pytest.approx(time, rel=1e-9, abs=1e-9)
    assert schedule.log_snr(schedule.time(log_snr)) == pytest.approx(log_snr, rel=1e-9, abs=1e-9)


@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=20, unique=True))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("schedule", ALL, ids=IDS)
def test_log_snr_grows_as_time_falls(schedule: NoiseSchedule, shares: list[float]) -> None:
    times = sorted(schedule.last + s * (schedule.first - schedule.last) for s in shares)
    log_snrs = [schedule.log_snr(time) for time in times]
    assert all(a >= b for a, b in pairwise(log_snrs))
    for (high, early), (low, late) in pairwise(zip(log_snrs, times, strict=True)):
        assert high > low or late - early < 1e-9 * max(late, 1)


@pytest.mark.parametrize("schedule", VP, ids=IDS[:3])
def test_log_snr_is_linear_between_whole_times(schedule: VariancePreserving) -> None:
    low, high = schedule.log_snr(300), schedule.log_snr(301)
    assert schedule.log_snr(300.25) == pytest.approx(low + 0.25 * (high - low), rel=1e-12)


def test_flow_is_infinite_at_both_ends() -> None:
    schedule = RectifiedFlow()
    assert schedule.log_snr(1.0) == -math.inf
    assert schedule.log_snr(0.0) == math.inf
    assert schedule.alpha_sigma(-math.inf) == (0.0, 1.0)
    assert schedule.time(-math.inf) == 1.0
    assert schedule.time(math.inf) == 0.0


@pytest.mark.parametrize("schedule", ALL, ids=IDS)
def test_clean_end_has_no_noise(schedule: NoiseSchedule) -> None:
    assert schedule.alpha_sigma(math.inf) == (1.0, 0.0)


def test_edm_time_is_the_noise_level() -> None:
    schedule = EDM()
    assert schedule.alpha_sigma(schedule.log_snr(7.5)) == (1.0, pytest.approx(7.5))
    assert schedule.log_snr(0.0) == math.inf
    assert schedule.edm_sigma(80.0) == pytest.approx(80.0)


@pytest.mark.parametrize("schedule", VP, ids=IDS[:3])
def test_training_times_of_discrete_models_are_whole(schedule: VariancePreserving) -> None:
    assert [schedule.training_time(i) for i in range(1000)] == list(range(1000))
    assert schedule.training_time(0.5) == 0.5


@pytest.mark.parametrize("schedule", [*ALL, *VARIANTS], ids=lambda s: s.name[:40])
def test_get_schedule_finds_each(schedule: NoiseSchedule) -> None:
    found = get_schedule(schedule.family, schedule.name)
    assert type(found) is type(schedule)
    assert found.name == schedule.name
    time = schedule.last + 0.37 * (schedule.first - schedule.last)
    assert found.log_snr(time) == schedule.log_snr(time)


@pytest.mark.parametrize(
    ("family", "name", "hint"),
    [
        ("vp", "scaled_liner", "did you mean 'scaled_linear'"),
        ("vp", "linear:snr_shift=x", "unknown variance-preserving schedule"),
        ("vp", "linear:zero_snr:zero_snr", "unknown variance-preserving schedule"),
        ("vp", "trained", "unknown variance-preserving schedule"),
        ("flwo", "rectified", "did you mean 'flow'"),
        ("edm", "linear", "valid: edm"),
    ],
)
def test_get_schedule_names_the_nearest(family: str, name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        get_schedule(family, name)
