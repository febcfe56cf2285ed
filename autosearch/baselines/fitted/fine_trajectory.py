"""Fine trajectories of a model, which recipes of few steps are fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autosearch.baselines.fine import fine_ddim, fine_dpmpp
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.solvers import Evaluation
from autosearch.recipe import Recipe

__all__ = ["Trajectory", "fine_states", "mean_square", "record_trajectory"]


@dataclass(frozen=True)
class Trajectory:
    """A recorded trajectory: its states, their times and the predictions there.

    Attributes:
        recipe: what was run, with every time spelled out.
        log_snrs: half log-SNR, log(alpha/sigma), of the states, one more than there are steps.
        states: [N, *sample_shape] each, the start first.
        evaluations: the network's predictions at each but the last.
    """

    recipe: Recipe
    log_snrs: Sequence[float]
    states: Sequence[Tensor]
    evaluations: Sequence[Evaluation]


def record_trajectory(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int
) -> Trajectory:
    """A DDIM trajectory along a recipe; see :func:`autosearch.baselines.fine.fine_ddim`."""
    fine = fine_ddim(recipe, calibrator.denoiser, steps=steps)
    states = calibrator.states(fine, samples, keep=True)
    evaluations = [state.evaluation for state in states[1:] if state.evaluation is not None]
    return Trajectory(
        fine, [state.log_snr for state in states], [state.x for state in states], evaluations
    )


def fine_states(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int
) -> list[Tensor]:
    """States [N, *sample_shape] of a fine trajectory at the start of each step, and at the end.

    See :func:`autosearch.baselines.fine.fine_dpmpp`.
    """
    fine, counts = fine_dpmpp(recipe, calibrator.denoiser, steps=steps)
    states = calibrator.states(fine, samples, keep=True)
    return [states[count].x for count in counts]


def mean_square(a: Tensor, b: Tensor) -> float:
    """The mean square of the difference of two equal shapes, in double precision."""
    return float(torch.mean((a.double() - b.double()) ** 2))
