"""Grids that no scheduler of diffusers has, and what a grid refuses."""

import math
from itertools import pairwise

import numpy as np
import pytest

from autosearch.baselines import split_name
from autosearch.diffusion.few_step import PRESETS
from autosearch.diffusion.grids import GRIDS, grid, grid_end, grids_for, sampling_grid
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError

VP = VariancePreserving()
ALL: list[NoiseSchedule] = [VP, VariancePreserving("cosine"), EDM(), RectifiedFlow()]


def times(name: str, schedule: NoiseSchedule, steps: int, *, whole: bool = True) -> list[float]:
    return [time for time, _ in grid(name, schedule, steps, whole=whole)]


def test_examples_at_four_steps() -> None:
    assert times("leading", VP, 4) == [750, 500, 250, 0]
    assert times("leading-ms", VP, 4) == [800, 600, 400, 200]
    assert times("linspace", VP, 4) == [999, 666, 333, 0]
    assert times("linspace-ms", VP, 4) == [999, 749, 500, 250]
    assert times("trailing", VP, 4) == [999, 749, 499, 249]


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20, 29])
def test_quadratic_is_that_of_the_ddim_code(steps: int) -> None:
    """Squares of evenly spaced roots up to 0.8 T, cut to whole times; no 1 is added."""
    expected = [int(root**2) for root in np.linspace(0, np.sqrt(1000 * 0.8), steps)]
    assert times("quadratic", VP, steps) == expected[::-1]


def test_quadratic_refuses_what_would_repeat_a_time() -> None:
    with pytest.raises(UserError, match=r"'quadratic' repeats times at 50 steps; use fewer"):
        grid("quadratic", VP, 50)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_logsnr_is_uniform_and_stops_before_the_end(schedule: NoiseSchedule) -> None:
    log_snrs = [schedule.log_snr(time) for time in times("logsnr", schedule, 8)]
    gaps = np.diff([*log_snrs, schedule.log_snr(schedule.last)])
    assert gaps == pytest.approx([gaps[0]] * 8, rel=1e-6)
    assert math.isfinite(log_snrs[0])


@pytest.mark.parametrize("schedule", [VP, EDM()], ids=["vp", "edm"])
def test_edm_levels_are_those_of_karras(schedule: NoiseSchedule) -> None:
    sigmas = [schedule.edm_sigma(time) for time in times("edm", schedule, 7)]
    roots = np.array(sigmas) ** (1 / 7)
    assert np.diff(roots) == pytest.approx([np.diff(roots)[0]] * 6, rel=1e-6)
    assert sigmas[0] == pytest.approx(schedule.edm_sigma(schedule.first))
    assert sigmas[-1] == pytest.approx(schedule.edm_sigma(schedule.last))


def test_karras_gives_network_and_solver_different_levels() -> None:
    points = grid("karras", VP, 5)
    assert all(time == int(time) for time, _ in points)
    apart = [abs(VP.log_snr(time) - log_snr) for time, log_snr in points if log_snr is not None]
    assert len(apart) == 5
    assert 1e-4 < max(apart) < 0.5
    assert all(log_snr is None for _, log_snr in grid("karras", VP, 5, whole=False))


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "cosine"])
def test_karras_repeats_times_and_not_levels(betas: str) -> None:
    schedule, repeats = VariancePreserving(betas), 0
    for steps in range(1, 101):
        points = grid("karras", schedule, steps)
        levels = [log_snr for _, log_snr in points if log_snr is not None]
        assert len(levels) == steps
        assert all(b > a for a, b in pairwise(levels))
        repeats += len({time for time, _ in points}) < steps
    assert repeats


def test_karras_and_edm_are_one_grid_where_time_is_continuous() -> None:
    assert grid("karras", EDM(), 6) == grid("edm", EDM(), 6)


def test_linspace_keeps_real_times_for_euler() -> None:
    assert times("linspace", VP, 5) == [999, 749, 500, 250, 0]
    assert times("linspace", VP, 5, whole=False) == [999, 749.25, 499.5, 249.75, 0]


def test_settings_of_a_name() -> None:
    schedule = RectifiedFlow(shift=5.0)
    assert times("flow-shift:0", schedule, 4) == times("flow-shift", schedule, 4)
    assert times("flow-shift:3", schedule, 4) == pytest.approx([1, 0.9, 0.75, 0.5])
    assert grid_end("few-step", VP, 5) == sampling_grid("few-step", VP, 5).end
    made = sampling_grid("flow-shift:3:0.25", schedule, 3)
    assert made.points[-1] == (0.25, None)
    assert (made.end, made.start_in_sigma) == ("clean", "sigma")


def test_flow_grids() -> None:
    schedule = RectifiedFlow()
    assert times("flow", schedule, 4) == [1, 0.75, 0.5, 0.25]
    shifted = times("flow-shift", schedule, 4)
    assert shifted == pytest.approx([1, 0.9, 0.75, 0.5])
    with_end = times("flow-shift-linspace", schedule, 3)
    assert with_end == pytest.approx([1, 0.751121, 0.008929], abs=1e-6)
    assert times("flow-shift-linspace", schedule, 1) == [1]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_every_grid_falls_inside_the_range_and_has_its_count(schedule: NoiseSchedule) -> None:
    for name in grids_for(schedule):
        for steps in range(1, 30):
            try:
                points = grid(name, schedule, steps)
            except UserError as error:
                refused = {"few-step": steps not in PRESETS, "bong_tangent": steps == 1}
                exceeds = name == "ddim_uniform" and f"where {steps} are asked for" in str(error)
                assert refused.get(name) or exceeds or "repeats times" in str(error)  # noqa: PT017
                continue
            found = [time for time, _ in points]
            assert len(found) == steps
            assert found == sorted(found, reverse=True)
            # Only a grid that says its own levels has a time twice.
            levels = [schedule.log_snr(t) if own is None else own for t, own in points]
            assert all(b > a for a, b in pairwise(levels))
            assert schedule.first * (1 + 1e-12) >= found[0]
            assert found[-1] >= schedule.least * (1 - 1e-12)


@pytest.mark.parametrize(
    ("name", "schedule", "steps", "message"),
    [
        ("trailng", VP, 5, "unknown grid 'trailng'; did you mean 'trailing'?"),
        ("flow", VP, 5, "grid 'flow' is not defined for vp models; use leading,"),
        ("leading", EDM(), 5, "grid 'leading' is not defined for edm models; use karras,"),
        ("leading", VP, 0, "grid 'leading': the number of steps is 0; it must be at least 1"),
        ("few-step", VP, 7, "grid 'few-step' is published for 4, 5, 6, 8 steps, not for 7"),
        ("few-step", RectifiedFlow(), 5, "grid 'few-step' is not defined for flow models; use"),
        ("leading", VP, 1001, "grid 'leading' repeats times at 1001 steps; use fewer steps"),
        ("beta", VP, 200, "grid 'beta' repeats times at 200 steps; use fewer steps"),
        ("ddim_uniform", VP, 7, "has 8 steps where 7 are asked for, as at its source; use another"),
        ("flow-shift:x", RectifiedFlow(), 5, "flow-shift's shift is 'x'; expected a number from 0"),
        ("flow-dynamic:9:0:1:5:5", RectifiedFlow(), 5, "low and high are both 5 tokens"),
        ("flow-dynamic:4096:50:99", RectifiedFlow(), 5, "mu is 99; it must be within 30"),
        (
            "flow-dynamic-linear:1:0:1",
            RectifiedFlow(),
            5,
            "the shift is -0.0664062; it must be above",
        ),
    ],
)
def test_refusals(name: str, schedule: NoiseSchedule, steps: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        grid(name, schedule, steps)
    assert message in str(caught.value)


def test_every_grid_belongs_to_a_family() -> None:
    assert {name for schedule in ALL for name in grids_for(schedule)} == set(GRIDS)
    for name, one in GRIDS.items():
        assert name == one.name
        assert one.summary
        assert one.source
        assert split_name(f"ddim-{name}@4").grid == name


def test_searches_try_few_grids_of_themselves() -> None:
    counted = "leading leading-ms linspace linspace-ms trailing quadratic"
    usual = {
        "vp": f"{counted} karras logsnr edm few-step",
        "edm": "karras logsnr edm few-step",
        "flow": "logsnr flow flow-shift flow-shift-linspace",
    }
    for schedule in ALL:
        names = grids_for(schedule, usual=True)
        assert names == usual[schedule.family].split()
        assert set(names) < set(grids_for(schedule))


def test_only_the_few_step_grid_ends_before_clean_data() -> None:
    for name in GRIDS:
        if name != "few-step":
            assert grid_end(name, VP, 5) == "clean"
    end = grid_end("few-step", VP, 5)
    assert isinstance(end, float)
    assert math.isfinite(end)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_real_times_begin_at_a_finite_level_of_zero_terminal_snr(name: str) -> None:
    points = grid("linspace", VariancePreserving(name, zero_snr=True), 5, whole=False)
    assert points[0][1] == pytest.approx(-math.log(4096), abs=1e-6)  # as in diffusers' Euler
    assert all(level is not None and math.isfinite(level) for _, level in points)
