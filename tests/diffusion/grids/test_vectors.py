"""Named schedules at the numbers of their definitions, to all printed digits.

All of k-diffusion's, ComfyUI's and RES4LYF's formulas were once compared with their own functions,
at 1 to 40 steps on betas, EDM and flows, to 1e-12.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from autosearch.diffusion.grids import grid
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError

# Levels of Stable Diffusion 1 and 2, SDXL; of the models of EDM; of flows.
SD = VariancePreserving("scaled_linear")
LINEAR = VariancePreserving("linear")
VE = EDM()
FLOW, UNSHIFTED = RectifiedFlow(), RectifiedFlow(shift=1.0)


def levels(name: str, schedule: NoiseSchedule, steps: int) -> list[float]:
    """Sigma / alpha of the points of a grid, or a flow's sigma; on real times."""
    found = []
    for time, log_snr in grid(name, schedule, steps, whole=False):
        level = schedule.log_snr(time) if log_snr is None else log_snr
        found.append(schedule.alpha_sigma(level)[1])
        if schedule.family != "flow":
            found[-1] /= schedule.alpha_sigma(level)[0]
    return found


def assert_digits(found: list[float], printed: str) -> None:
    """Each number equals the printed one to all its digits."""
    texts = printed.split()
    assert len(found) == len(texts)
    for value, text in zip(found, texts, strict=True):
        digits = len(text.partition(".")[2])
        assert abs(value - float(text)) <= 0.5 * 10.0**-digits * (1 + 1e-6), (found, printed)


@pytest.mark.parametrize(
    ("name", "schedule", "printed"),
    [
        ("kl_optimal", VE, "80 2.3549 .9896 .4123 .002"),
        ("simple", SD, "14.6146 5.0878 2.2765 1.1606 .5693"),
        ("ddim_uniform", SD, "5.1344 2.2929 1.1682 .5741 .0413"),
        ("normal", SD, "14.6146 4.0861 1.6156 .6951 .0292"),
        ("sgm_uniform", SD, "14.6146 5.0924 2.2797 1.1629 .5712"),
        ("exponential", VE, "80 5.65685 .4 .0282843 .002"),
        ("polyexponential", VE, "80 5.65685 .4 .0282843 .002"),
        ("polyexponential:2", VE, "80 .775691 .0282843 .0038785 .002"),
        ("vp", LINEAR, "152.16697 25.14885 6.11166 2.03443 .723807 .010486"),
        ("beta-diffusers", UNSHIFTED, "1 .8595 .6 .3405 .2"),
        ("linear_quadratic", UNSHIFTED, "1 .99375 .9875 .98125 .975 .90938 .725 .42188"),
        ("bong_tangent", FLOW, "1 .978 .9479 .9043 .8364 .7198 .5 .2574 .1175 .0433"),
        ("flow-shift:3", UNSHIFTED, "1 .9 .75 .5"),
        ("flow-dynamic", FLOW, "1 .9045 .7595 .5128"),
        ("flow-dynamic:4096:1.0986122887:1.0986122887", FLOW, "1 .9 .75 .5"),
        ("flow-qwen", FLOW, "1 .7667 .4556 .02"),
        ("flow-shift-ms:5", FLOW, "1 .9376 .8336 .6259"),
    ],
)
def test_vectors(name: str, schedule: NoiseSchedule, printed: str) -> None:
    assert_digits(levels(name, schedule, len(printed.split())), printed)


def test_beta_of_training_steps_by_index() -> None:
    indices = [999, 959, 876, 765, 637, 500, 362, 234, 123, 40]
    assert [time for time, _ in grid("beta", SD, 10)] == indices
    flow = [time for time, _ in grid("beta", UNSHIFTED, 10)]
    assert flow == pytest.approx([(index + 1) / 1000 for index in indices], rel=1e-12)


def test_beta_is_the_quantile_of_its_distribution() -> None:
    for alpha, beta in ((0.6, 0.6), (0.5, 0.7), (2.0, 3.0)):
        name = f"beta-diffusers:{alpha}:{beta}"
        found = (np.array(levels(name, VE, 7)) - VE.last) / (VE.first - VE.last)
        assert stats.beta.cdf(found, alpha, beta) == pytest.approx(np.linspace(1, 0, 7), abs=1e-9)


def test_vp_is_even_in_the_time_of_its_process() -> None:
    """Its sigma is that of Song's process at even times, within the levels of linear betas."""
    t = np.linspace(1, 1e-3, 6)
    expected = np.sqrt(np.exp(19.9 * t**2 / 2 + 0.1 * t) - 1)
    assert levels("vp", LINEAR, 6) == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("schedule", [SD, VE], ids=["sd", "edm"])
def test_vp_is_cut_to_the_levels_of_the_model(schedule: NoiseSchedule) -> None:
    found = levels("vp", schedule, 12)
    high, low = (schedule.edm_sigma(time) for time in (schedule.first, schedule.last))
    assert found[0] == pytest.approx(min(high, 152.16697), rel=1e-6)
    assert found[-1] >= low * (1 - 1e-9)
    beta_d, beta_min = 19.9, 0.1
    times = [
        (math.sqrt(beta_min**2 + 2 * beta_d * math.log1p(s**2)) - beta_min) / beta_d for s in found
    ]
    assert np.diff(times) == pytest.approx([times[1] - times[0]] * 11, rel=1e-6)


@pytest.mark.parametrize(("tokens", "mu"), [(1024, 0.63), (2304, 0.8467), (4096, 1.15)])
def test_dynamic_shift_of_three_sizes(tokens: int, mu: float) -> None:
    """FLUX.1's mu of images of 512, 768 and 1024 pixels."""
    found = levels(f"flow-dynamic:{tokens}", FLOW, 5)
    shift = [
        level * (1 - t) / (t * (1 - level))
        for level, t in zip(found[1:], (0.8, 0.6, 0.4, 0.2), strict=True)
    ]
    assert np.log(shift) == pytest.approx([mu] * 4, abs=5e-5)


@pytest.mark.parametrize(("steps", "mu"), [(50, 2.0234), (28, 2.1514)])
def test_flux2_shifts_by_the_number_of_steps(steps: int, mu: float) -> None:
    (_, level, *_), t = levels("flow-flux2", FLOW, steps), 1 - 1 / steps
    assert math.log(level * (1 - t) / (t * (1 - level))) == pytest.approx(mu, abs=5e-5)


def test_flux2_of_large_images_shifts_by_the_tokens_alone() -> None:
    for steps in (4, 50):
        level, t = levels("flow-flux2:8192", FLOW, steps)[1], 1 - 1 / steps
        mu = math.log(level * (1 - t) / (t * (1 - level)))
        assert mu == pytest.approx(1.6927e-4 * 8192 + 0.45666666, abs=1e-6)


@pytest.mark.parametrize(("name", "terminal"), [("flow-ltx", 0.1), ("flow-shift:2:0.3", 0.3)])
def test_stretched_grids_end_at_their_terminal(name: str, terminal: float) -> None:
    for steps in (2, 5, 30):
        assert levels(name, FLOW, steps)[-1] == pytest.approx(terminal, rel=1e-9)
    assert levels(name, FLOW, 1) == [1.0]


def test_the_linear_shift_is_mu_itself() -> None:
    assert levels("flow-dynamic-linear:4096:1:3", FLOW, 4) == pytest.approx([1, 0.9, 0.75, 0.5])


def test_whole_thousandths_of_small_levels_are_the_least_time() -> None:
    """Networks are asked at 0 there, of which a recipe may only come near."""
    for name in ("flow-shift-dpm:0.001", "flow-karras:80:0.0001"):
        points = grid(name, FLOW, 6)
        assert points[-1][0] == FLOW.least
        assert points[-1][1] == pytest.approx(FLOW.log_snr(grid(name, FLOW, 6, whole=False)[-1][0]))


def test_normal_of_a_flow_is_shifted_twice() -> None:
    """As ComfyUI's and as diffusers' of a step count alone."""
    assert levels("normal", FLOW, 6) == pytest.approx(levels("flow-shift-linspace", FLOW, 6))


def test_a_clean_end_is_no_step_of_normal_and_ddim_uniform() -> None:
    """Where the least level is as good as clean, ComfyUI does not stop there."""
    barely = RectifiedFlow(shift=0.004)
    assert grid("normal", barely, 5) == grid("sgm_uniform", barely, 5)
    assert len(grid("ddim_uniform", barely, 4)) == 4
    assert grid("ddim_uniform", barely, 4)[-1][0] > 1e-4


@pytest.mark.parametrize("name", ["simple", "normal", "sgm_uniform", "beta", "ddim_uniform"])
def test_times_of_edm_models_are_even_in_log_sigma(name: str) -> None:
    """ComfyUI's table of a continuous model; its entries are those of the training steps."""
    steps = [index for index, _ in grid(name, SD, 5)]
    share = (np.log(levels(name, VE, 5)) - math.log(VE.last)) / math.log(VE.first / VE.last)
    assert share * 999 == pytest.approx(steps, abs=1e-6)


def test_ddim_uniform_refuses_counts_that_it_would_exceed() -> None:
    for steps in (6, 7, 11, 12):
        with pytest.raises(UserError, match=rf"'ddim_uniform' has {steps + 1} steps where {steps}"):
            grid("ddim_uniform", SD, steps)


def test_bong_tangent_starts_at_two_steps() -> None:
    assert levels("bong_tangent", FLOW, 2) == pytest.approx([1, 0.5])
    with pytest.raises(UserError, match="from 2 steps on, not for 1"):
        grid("bong_tangent", FLOW, 1)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_levels_of_zero_terminal_snr_begin_at_a_finite_one(name: str) -> None:
    schedule = VariancePreserving(name, zero_snr=True)
    for kind in ("exponential", "kl_optimal", "beta-diffusers", "linear_quadratic"):
        found = levels(kind, schedule, 6)
        assert found[0] == pytest.approx(4096, rel=1e-6)
        assert all(b < a for a, b in pairwise(found))
