"""What the tests of the numeric core share: exact models and plans built by hand."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.plan import Plan, StepPlan, model_key
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.models.exact import ExactDenoiser, Mixture

MakeExact = Callable[..., ExactDenoiser]
MakePlan = Callable[..., Plan]


@pytest.fixture(scope="session")
def mixture() -> Mixture:
    """Four anisotropic components in three dimensions."""
    return Mixture.random(components=4, dimension=3, seed=5)


@pytest.fixture(scope="session")
def gaussian() -> Mixture:
    """One anisotropic Gaussian away from the origin."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    covariance = basis @ np.diag([0.05, 0.3, 1.2]) @ basis.T
    return Mixture.gaussian(np.array([0.5, -1.0, 0.2]), covariance)


@pytest.fixture(scope="session")
def exact() -> MakeExact:
    """Makes exact denoisers in double precision."""

    def make(data: Mixture, schedule: NoiseSchedule, prediction: Prediction) -> ExactDenoiser:
        return ExactDenoiser(data, schedule, prediction, dtype=torch.float64)

    return make


@pytest.fixture(scope="session")
def plan_through() -> MakePlan:
    """Makes plans through given log-SNRs without rounding any of them to nine digits."""

    def make(
        denoiser: Denoiser,
        log_snrs: Sequence[float],
        *,
        order: int = 1,
        history: int = 0,
        **choices: Any,
    ) -> Plan:
        steps = []
        for i, (start, end) in enumerate(pairwise(log_snrs)):
            ends = math.isinf(start) or math.isinf(end)
            known = sum(map(math.isfinite, log_snrs[: i + 1])) + history
            used = 1 if ends else min(order, known)
            time = denoiser.schedule.time(start)
            steps.append(StepPlan(time, start, end, order=used, **choices))
        return Plan(model_key(denoiser), 1.0, tuple(steps), macs=1, full_macs=1, memory=0)

    return make
