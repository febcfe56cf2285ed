"""One step of any solver: where a state goes, from the evaluations that the update uses."""

from collections.abc import Mapping

from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import coefficients
from autosearch.diffusion.solvers.dpm_solver_v3 import Statistics
from autosearch.diffusion.solvers.evodiff import evodiff_step
from autosearch.diffusion.solvers.update import Evaluation, Interval, Update

__all__ = ["next_state"]


def next_state(
    update: Update,
    points: Mapping[int, Evaluation],
    end: float,
    *,
    schedule: NoiseSchedule,
    eta: float = 0.0,
    noise: Tensor | None = None,
    statistics: Statistics | None = None,
) -> Tensor:
    """The state [N, *sample_shape] at half log-SNR ``end``.

    Args:
        update: the choices of the step.
        points: the evaluations that the update uses, by their index.
        end: half log-SNR, log(alpha/sigma), at the step's end; may be infinite.
        schedule: of the model.
        eta: how stochastic, 0 to 1.
        noise: [N, *sample_shape] unit noise of a stochastic step.
        statistics: the model's, for form ``v3``.
    """
    start = points[update.start]
    interval = Interval(
        start.log_snr, end, *schedule.alpha_sigma(start.log_snr), *schedule.alpha_sigma(end)
    )
    if update.form == "evodiff":
        return _renoised(
            evodiff_step(update, interval, points, schedule), start, interval.next_sigma
        )
    if update.form == "v3":
        assert statistics is not None  # checked when the plan was made
        return _renoised(statistics.step(update, interval, points), start, interval.next_sigma)
    linear = coefficients(
        update,
        interval,
        {index: point.log_snr for index, point in points.items()},
        eta=eta,
        schedule=schedule,
    )
    predictions = {
        index: _prediction(point, update, older=index < update.start)
        for index, point in points.items()
    }
    return _renoised(linear.combine(start.x, predictions, noise), start, linear.kept)


def _renoised(x: Tensor, start: Evaluation, kept: float) -> Tensor:
    """CFG++: the noise that stays of the start's is the unguided one's."""
    if start.unguided is None or start.noise is None:
        return x
    assert start.unguided.noise is not None
    return x.add(start.unguided.noise - start.noise, alpha=kept)


def _prediction(point: Evaluation, update: Update, *, older: bool) -> Tensor | None:
    """What is integrated; of earlier evaluations that renoise, their unguided prediction.

    The released CFG++ code does so in DPM-Solver++(2M) for Stable Diffusion 1.5; that for SDXL
    also takes the difference from the unguided newest.
    """
    source = point.unguided if older and point.unguided is not None else point
    if update.prediction == "velocity":
        assert source.noise is not None  # no step looks at the clean end
        return source.noise - source.data
    return source.data if update.prediction == "data" else source.noise
