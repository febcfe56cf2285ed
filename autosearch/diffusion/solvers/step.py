"""One step of any solver: where a state goes, from the evaluations that the update uses."""

from collections.abc import Mapping

from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.forms import Operands, find_form
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
    measured: object = None,
) -> Tensor:
    """The state [N, *sample_shape] at half log-SNR ``end``.

    Args:
        update: the choices of the step.
        points: the evaluations that the update uses, by their index.
        end: half log-SNR, log(alpha/sigma), at the step's end; may be infinite.
        schedule: of the model.
        eta: how stochastic, 0 to 1.
        noise: [N, *sample_shape] unit noise of a stochastic step.
        measured: what the form's artifact holds, such as the statistics of ``v3``.
    """
    start = points[update.start]
    interval = Interval(
        start.log_snr, end, *schedule.alpha_sigma(start.log_snr), *schedule.alpha_sigma(end)
    )
    x, kept = find_form(update.form).step(
        update, Operands(interval, points, schedule, eta, noise, measured)
    )
    # CFG++: the noise that stays of the start's is the unguided one's.
    if start.unguided is None or start.noise is None:
        return x
    assert start.unguided.noise is not None
    return x.add(start.unguided.noise - start.noise, alpha=kept)
