"""What a plan without noise comes to, written in its first state and in predictions."""

import math
from typing import Literal

import numpy as np
from support.step_coefficients import coefficients

from autosearch._typing import Array
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers import Interval

__all__ = ["canonical_rows"]


def canonical_rows(
    plan: Plan, schedule: NoiseSchedule, prediction: Literal["data", "noise"]
) -> Array:
    """[steps, 1 + steps] weights of the first state and of each prediction in the state reached.

    Every solver whose steps are linear has them (Shaul et al. 2024, proposition 3.1).

    Args:
        plan: without correctors.
        schedule: of its model.
        prediction: what is predicted.
    """
    count = len(plan.steps)
    states = [np.eye(1, count + 1)[0]]
    data, noise = [], []
    for k, step in enumerate(plan.steps):
        alpha, sigma = schedule.alpha_sigma(step.log_snr)
        unit = np.eye(count + 1)[k + 1]
        data.append(unit if prediction == "data" else (states[k] - sigma * unit) / alpha)
        noise.append(unit if prediction == "noise" else (states[k] - alpha * unit) / sigma)
        update = step.update
        begins = k + 1 + update.start
        start = plan.steps[begins].log_snr
        end = step.next_log_snr
        interval = Interval(start, end, *schedule.alpha_sigma(start), *schedule.alpha_sigma(end))
        log_snrs = {j: plan.steps[k + 1 + j].log_snr for j in update.used}
        made = coefficients(update, interval, log_snrs, eta=0.0, schedule=schedule)
        x = made.state * states[begins]
        for j, weight in made.weights.items():
            at = k + 1 + j
            if update.prediction == "velocity":
                x = x + weight * (noise[at] - data[at])
            else:
                x = x + weight * (noise if update.prediction == "noise" else data)[at]
        states.append(x)
    assert all(math.isfinite(value) for value in states[-1])
    return np.array(states[1:])
