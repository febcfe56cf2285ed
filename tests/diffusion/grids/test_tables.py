"""Published tables of levels: their digits, other numbers of steps, and models of other ranges."""

import json
import math
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.grids import GRIDS, grid
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError

SD = VariancePreserving("scaled_linear")
VIDEO = EDM(sigma_max=700.0)
VE = EDM()
FLOW = RectifiedFlow()
LSUN = VariancePreserving("linear", betas=(0.0015, 0.0195))
TABLES = json.loads(
    files("autosearch.diffusion.grids").joinpath("tables.json").read_text(encoding="utf-8")
)


def levels(name: str, schedule: NoiseSchedule, steps: int) -> list[float]:
    """Sigma / alpha of the points of a grid, or a flow's sigma."""
    found = []
    for time, log_snr in grid(name, schedule, steps):
        alpha, sigma = schedule.alpha_sigma(schedule.log_snr(time) if log_snr is None else log_snr)
        found.append(sigma if schedule.family == "flow" else sigma / alpha)
    return found


def printed(text: str) -> list[float]:
    return [float(one) for one in text.split()]


AYS_SD = (
    "14.6146412293 6.4745760956 3.8636745985 2.6946151520 1.8841921177 1.3943805092 .9642583904 "
    ".6523686016 .3977456272 .1515232662"
)
AYS_SDXL = (
    "14.6146412293 6.3184485287 3.7681790315 2.1811480769 1.3405244945 .8620721141 .5550693289 "
    ".3798540708 .2332364134 .1114188177"
)


@pytest.mark.parametrize(
    ("name", "schedule", "row"),
    [
        ("ays-sd", SD, AYS_SD),
        ("ays-sdxl", SD, AYS_SDXL),
        ("ays-svd", VIDEO, "700 54.5 15.886 7.977 4.248 1.789 .981 .403 .173 .034"),
        ("ays-sd-diffusers", SD, "14.615 6.475 3.861 2.697 1.886 1.396 .963 .652 .399 .152"),
        ("ays-sdxl-diffusers", SD, "14.615 6.315 3.771 2.181 1.342 .862 .555 .380 .234 .113"),
        ("gits", SD, "14.61464119 1.56271636 .52423614"),
        ("gits", SD, "14.61464119 2.84484982 1.24153244 .59516323 .25053367"),
        ("gits:0.8", SD, "14.61464119 7.49001646"),
        ("gits:0.95", SD, "14.61464119 7.49001646 2.84484982 .89115214"),
        ("gits-sd-dpmpp", SD, "14.6146 4.39 1.4467 .6114 .2255"),
        (
            "gits-sd-dpmpp",
            SD,
            "14.6146 7.6188 4.0861 2.4211 1.4467 .9324 .6114 .3811 .2255 .1258",
        ),
        ("gits-sd-ipndm", SD, "14.6146 4.39 1.5286 .6526 .2667"),
        (
            "gits-sd-ipndm",
            SD,
            "14.6146 5.9489 3.3251 2.0267 1.2969 .8319 .5712 .3811 .2255 .1258",
        ),
        ("gits-cifar10", VE, "80 10.9836 3.8811 1.584 .5666 .1698"),
        ("gits-cifar10", VE, "80 5.8389 2.1632 .8119 .2107"),
        ("gits-ffhq", VE, "80 9.7232 2.9152 .9654 .2597"),
        ("gits-afhqv2", VE, "80 8.5888 2.9152 .9654 .2107"),
        ("gits-lsun", LSUN, "83.8225 2.4793 1.1629 .5745 .2411"),
        ("oss-flux", FLOW, ".9968 .9886 .9819 .975 .966 .9471 .9158 .8287 .5512 .2808"),
        (
            "oss-wan",
            FLOW,
            "1 .997 .995 .993 .991 .989 .987 .985 .98 .975 .973 .968 .96 .946 .927 .902 .864 .776 "
            ".539 .208",
        ),
        ("flux2-turbo", FLOW, "1 .6509 .4374 .2932 .1893 .1108 .0495 .00031"),
    ],
)
def test_printed_levels(name: str, schedule: NoiseSchedule, row: str) -> None:
    expected = printed(row)
    assert levels(name, schedule, len(expected)) == pytest.approx(expected, rel=1e-9)


def test_chroma_has_forty_steps() -> None:
    found = levels("oss-chroma", FLOW, 40)
    assert found == pytest.approx(TABLES["oss-chroma"]["rows"][0][:-1], rel=1e-12)
    assert (found[0], found[20], found[-1]) == pytest.approx((0.992, 0.69, 0.048), rel=1e-12)


@pytest.mark.parametrize(
    ("steps", "row"),
    [
        (3, "14.6146 1.5627 .5242"),
        (4, "14.6146 2.3633 .9219 .3662"),
        (5, "14.6146 2.8448 1.2415 .5952 .2505"),
        (6, "14.6146 5.8552 2.0504 .9535 .4557 .1703"),
        (7, "14.6146 5.8552 2.4507 1.2415 .6443 .2981 .0982"),
        (8, "14.6146 5.8552 2.4507 1.3696 .8033 .4557 .2505 .0982"),
        (9, "14.6146 5.8552 2.8448 1.6156 .9535 .5952 .3662 .1989 .0982"),
        (10, "14.6146 5.8552 2.8448 1.6705 1.0890 .7481 .5012 .3210 .1989 .0982"),
    ],
)
def test_gits_by_default_is_that_of_coefficient_1_2(steps: int, row: str) -> None:
    found = levels("gits", SD, steps)
    assert found == pytest.approx(printed(row), abs=0.5e-4 * (1 + 1e-6))
    assert levels("gits:1.20", SD, steps) == found


def test_gits_has_fifteen_coefficients_of_two_to_twenty_steps() -> None:
    rows = TABLES["gits"]["rows"]
    assert [float(key) for key in rows] == pytest.approx(np.arange(0.80, 1.501, 0.05))
    for table in rows.values():
        assert [len(row) for row in table] == list(range(3, 22))
    with pytest.raises(UserError, match=r"'gits' has no coefficient 0\.83; it has 0\.8, 0\.85"):
        grid("gits:0.83", SD, 5)
    with pytest.raises(UserError, match=r"gits's coefficient is '2'; expected a number from 0\.8"):
        grid("gits:2", SD, 5)


def test_every_row_falls_and_names_its_source() -> None:
    for name, entry in TABLES.items():
        assert GRIDS[name].source == entry["source"]
        tables = entry["rows"].values() if isinstance(entry["rows"], dict) else [entry["rows"]]
        for row in (row for table in tables for row in table):
            assert all(b < a for a, b in pairwise(row)), (name, row)


def test_whole_times_of_diffusers() -> None:
    """As printed there: the network is given whole training times, at their own levels."""
    for name, row in (
        ("ays-sd-times", "999 850 736 645 545 455 343 233 124 24"),
        ("ays-sdxl-times", "999 845 730 587 443 310 193 116 53 13"),
    ):
        points = grid(name, SD, 10)
        assert [time for time, _ in points] == pytest.approx(printed(row), abs=1e-9)
        assert all(level is None for _, level in points)


def test_the_networks_times_are_real() -> None:
    """Exactly those of the levels, also where they are no training steps."""
    times = [time for time, _ in grid("ays-sd", SD, 15)]
    assert times[0] == pytest.approx(999, abs=1e-6)
    assert sum(abs(time - round(time)) > 0.01 for time in times) > 5
    assert [SD.edm_sigma(time) for time in times] == pytest.approx(
        levels("ays-sd", SD, 15), rel=1e-12
    )


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize(
    ("name", "schedule"), [("ays-sd", SD), ("ays-svd", VIDEO), ("oss-flux", FLOW)]
)
def test_more_steps_lie_between_in_log_sigma(
    name: str, schedule: NoiseSchedule, times: int
) -> None:
    """Every other level is the row's, and those between are even in their logarithm."""
    row = TABLES[name]["rows"][0]
    found = np.log([*levels(name, schedule, 10 * times), row[-1]])
    assert found[::times] == pytest.approx(np.log(row), abs=1e-9)
    inner = np.diff(found).reshape(10, times)
    assert inner == pytest.approx(np.repeat(inner[:, :1], times, axis=1), abs=1e-9)


def test_fewer_steps_are_those_of_the_nearest_row() -> None:
    """Five of the ten steps of a row are every other one; one step is its first."""
    row = TABLES["ays-sd"]["rows"][0]
    assert levels("ays-sd", SD, 5) == pytest.approx(row[:-1:2], rel=1e-9)
    assert levels("ays-sd", SD, 1) == pytest.approx(row[:1], rel=1e-9)
    assert levels("gits-sd-ipndm", SD, 2)[0] == pytest.approx(14.6146)
    assert levels("gits", SD, 40)[::2] == pytest.approx(levels("gits", SD, 20), rel=1e-9)
    assert levels("flux2-turbo", FLOW, 15)[::2] == pytest.approx(
        TABLES["flux2-turbo"]["rows"][0][:-1], rel=1e-9
    )


@pytest.mark.parametrize("steps", [1, 3, 10, 25])
def test_a_row_beyond_the_levels_of_a_model_is_cut(steps: int) -> None:
    for name, schedule in (("ays-svd", VE), ("ays-svd", EDM(sigma_max=20, sigma_min=0.05))):
        found = levels(name, schedule, steps)
        assert found[0] == pytest.approx(schedule.first, rel=1e-9)
        assert found[-1] > schedule.last
        row = np.log(TABLES[name]["rows"][0])
        places = np.interp(-np.log(found), -row, np.arange(11))
        end = max(np.interp(-math.log(schedule.last), -row, np.arange(11)), places[-1])
        expected = np.linspace(places[0], end, steps + 1)[:-1]
        assert places == pytest.approx(expected, abs=1e-9)


def test_a_row_that_begins_below_the_noisiest_level_begins_there() -> None:
    linear = VariancePreserving("linear")
    assert levels("ays-sd", linear, 10) == pytest.approx(printed(AYS_SD), rel=1e-9)
    assert grid("ays-sd", linear, 10)[0][0] < 999


def test_tables_of_other_families_are_refused_by_name() -> None:
    for name, schedule in (("ays-sd", FLOW), ("oss-flux", SD), ("gits", VE)):
        with pytest.raises(UserError, match=rf"grid '{name}' is not defined for {schedule.family}"):
            grid(name, schedule, 10)


def test_names_with_settings_are_baselines(make) -> None:
    denoiser = make("vp")
    plain, named = (baseline(f"dpmpp_2m-gits{one}@5", denoiser) for one in ("", ":1.2"))
    assert plain == named
    assert baseline("dpmpp_2m-gits:1.1@5", denoiser) != plain
    for name, message in (
        ("ddim-gits:x@5", "grid 'gits:x': gits's coefficient is 'x'; expected a number from 0.8"),
        ("ddim-gits:1.1:2@5", "gits takes at most 1 settings, not 2; write gits[:coefficient=1.2]"),
        ("ddim-karras:7@5", "karras takes no settings, not 1; write karras"),
        ("ddim-git@5", "unknown grid 'git'; did you mean 'gits'?"),
    ):
        with pytest.raises(UserError) as caught:
            baseline(name, denoiser)
        assert message in str(caught.value)
