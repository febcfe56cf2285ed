"""The times and noise levels of training against the schedules of sampling."""

import math

import pytest
import torch

from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving, get_schedule
from autosearch.experiments.training.forward_processes import PROCESSES


@pytest.mark.parametrize("name", PROCESSES)
def test_names_are_those_of_schedules(name: str) -> None:
    family, _, schedule = name.partition("_")
    assert get_schedule(family, schedule).family == family


def test_vp_levels_are_the_schedule_s() -> None:
    schedule = VariancePreserving("linear")
    times = torch.cat([torch.arange(1000.0), torch.linspace(0, 999, 501)]).double()
    alpha, sigma = PROCESSES["vp_linear"].levels(times)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    expected = [schedule.alpha_sigma(schedule.log_snr(time)) for time in times.tolist()]
    difference = (sigma / torch.tensor([pair[1] for pair in expected]).double() - 1.0).abs()
    assert difference[:1000].max() < 1e-6
    assert difference.max() < 0.04
    assert difference[times > 3].max() < 0.006


def test_flow_levels_are_the_schedule_s() -> None:
    schedule = RectifiedFlow()
    times = torch.linspace(0, 1, 101).double()
    alpha, sigma = PROCESSES["flow_rectified"].levels(times)
    for i, time in enumerate(times.tolist()):
        expected = schedule.alpha_sigma(schedule.log_snr(time))
        assert (alpha[i].item(), sigma[i].item()) == pytest.approx(expected, abs=1e-12)


def test_times_cover_the_range_of_each_schedule() -> None:
    shares = (torch.arange(1000) + 0.5) / 1000
    uniform = PROCESSES["vp_linear"].times(shares)
    torch.testing.assert_close(uniform, torch.linspace(0.4995, 998.5005, 1000))
    times = PROCESSES["flow_rectified"].times(shares).double()
    logits = times.logit()
    assert logits.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert logits.std().item() == pytest.approx(1.0, abs=0.01)
    assert (times.diff() > 0).all()
    edge = PROCESSES["flow_rectified"].times(torch.tensor([0.0, 0.5]))
    assert edge.tolist() == [0.0, 0.5]
    assert math.isfinite(times.sum().item())
