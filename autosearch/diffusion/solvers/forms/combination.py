"""Forms whose steps are linear combinations of a state and of evaluations."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Form, Operands, Stepped
from autosearch.diffusion.solvers.update import Evaluation, Interval, Update

__all__ = ["CombinationForm"]


class CombinationForm(Form):
    """A form whose step follows from its coefficients, which depend on noise levels alone."""

    @abstractmethod
    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        """The coefficients of an update.

        Args:
            update: the choices of the step.
            interval: from the start point to the end of the step.
            log_snrs: half log-SNR of each evaluation that the update uses, by its index.
            eta: how stochastic, 0 to 1.
            schedule: of the model.
        """

    def step(self, update: Update, operands: Operands) -> Stepped:
        points = operands.points
        linear = self.coefficients(
            update,
            operands.interval,
            {index: point.log_snr for index, point in points.items()},
            eta=operands.eta,
            schedule=operands.schedule,
        )
        predictions = {
            index: _prediction(point, update, older=index < update.start)
            for index, point in points.items()
        }
        x = linear.combine(points[update.start].x, predictions, operands.noise)
        return Stepped(x, linear.kept)


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
