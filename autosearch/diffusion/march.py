"""The solver between two calls of the network, whoever makes them.

Our own sampler asks its denoiser; a scheduler in somebody else's pipeline is told what came of
theirs. Both march alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers import Evaluation, Interval, Update, coefficients
from autosearch.plan import Plan, StepPlan

__all__ = ["March", "StepNoise"]

# Gives the noise [N, *sample_shape] that step k >= 1 adds.
StepNoise = Callable[[int], Tensor]


class March:
    """A plan on its way: what is to be evaluated next, and where that leads.

    Attributes:
        x: the state [N, *sample_shape] at which ``step`` wants its evaluation.
        done: how many steps are complete.
        newest: the last evaluation, its state corrected where a corrector did so.
    """

    def __init__(
        self,
        plan: Plan,
        schedule: NoiseSchedule,
        x: Tensor,
        *,
        step_noise: StepNoise | None = None,
        history: Sequence[Evaluation] = (),
    ) -> None:
        self.plan = plan
        self.x = x
        self.done = 0
        self._schedule = schedule
        self._step_noise = step_noise
        self._past = list(history)
        self._depth = max(step.depth for step in plan.steps) + 1
        self._noise: Tensor | None = None
        self._corrected = False

    @property
    def finished(self) -> bool:
        """Whether all steps are complete; then ``x`` is the sample."""
        return self.done == len(self.plan.steps)

    @property
    def step(self) -> StepPlan:
        """The step whose evaluation is wanted, at ``x``."""
        return self.plan.steps[self.done]

    @property
    def log_snr(self) -> float:
        """Of ``x``."""
        return self.plan.steps[-1].next_log_snr if self.finished else self.step.log_snr

    @property
    def newest(self) -> Evaluation:
        return self._past[-1]

    def tell(self, evaluation: Evaluation) -> bool:
        """Go on from the evaluation of ``step`` at ``x``.

        Returns:
            Whether the step is complete; if not, an implicit corrector moved ``x`` and wants the
            same step evaluated there.
        """
        if self._corrected:
            self._past[-1] = evaluation
        else:
            self._past = [*self._past[-self._depth :], evaluation]
            if self.done and self._correct(self.plan.steps[self.done - 1]):
                self._corrected = True
                return False
        self._corrected = False
        self._advance(self.step)
        return True

    def _correct(self, previous: StepPlan) -> bool:
        """Look again at the step that led to ``x``; whether it must be evaluated again there."""
        corrector = previous.corrector
        if corrector is None:
            return False
        end, eta = self.step.log_snr, previous.eta
        self.x = self._moved(corrector.update, end, eta=eta, ahead=True)
        if corrector.kind == "implicit":
            return True
        self._past[-1] = replace(self._past[-1], x=self.x)
        return False

    def _advance(self, step: StepPlan) -> None:
        self._noise = None
        if step.eta:
            if self._step_noise is None:
                raise ValueError("a stochastic plan needs step_noise")
            self._noise = self._step_noise(self.done + 1)
        self.x = self._moved(step.update, step.next_log_snr, eta=step.eta)
        self.done += 1

    def _moved(self, update: Update, end: float, *, eta: float, ahead: bool = False) -> Tensor:
        """The state at log-SNR ``end``; ``ahead``: the newest evaluation is there, index 0."""
        schedule = self._schedule
        shift = -1 if ahead else 0
        points = {index: self._past[index + shift] for index in update.used}
        start = points[update.start]
        interval = Interval(
            start.log_snr, end, *schedule.alpha_sigma(start.log_snr), *schedule.alpha_sigma(end)
        )
        found = coefficients(
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
        x = found.combine(start.x, predictions, self._noise)
        if start.unguided is not None and start.noise is not None:
            # CFG++: the noise that stays is the unguided one's.
            assert start.unguided.noise is not None
            x = x.add(start.unguided.noise - start.noise, alpha=found.kept)
        return x


def _prediction(point: Evaluation, update: Update, *, older: bool) -> Tensor | None:
    """What is integrated; of earlier evaluations that renoise, their unguided prediction.

    The released CFG++ code does so in DPM-Solver++(2M) for Stable Diffusion 1.5; that for SDXL
    also takes the difference from the unguided newest.
    """
    said = point.unguided if older and point.unguided is not None else point
    return said.data if update.prediction == "data" else said.noise
