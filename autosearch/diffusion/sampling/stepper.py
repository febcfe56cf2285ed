"""The solver between two calls of the network, whoever makes them.

Our own sampler calls its denoiser; a scheduler in somebody else's pipeline is handed the outputs of
theirs. Both step alike.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace

from torch import Tensor

from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers import Evaluation, Statistics, Update, next_state

__all__ = ["StepNoise", "Stepper", "weighted_sum"]

# Gives the noise [N, *sample_shape] that step k >= 1 adds.
StepNoise = Callable[[int], Tensor]


@dataclass(eq=False)
class Stepper:
    """Runs a plan step by step: gives the state to evaluate next, and takes the evaluation.

    Attributes:
        x: the state [N, *sample_shape] at which ``step`` wants its evaluation.
        step_noise: gives the noise of stochastic steps.
        history: evaluations before the first step, oldest first.
        done: how many steps are complete.
    """

    plan: Plan
    schedule: NoiseSchedule
    x: Tensor
    _: KW_ONLY
    step_noise: StepNoise | None = None
    history: InitVar[Sequence[Evaluation]] = ()
    statistics: Statistics | None = None
    done: int = field(init=False, default=0)
    _noise: Tensor | None = field(init=False, default=None)
    _corrected: bool = field(init=False, default=False)

    def __post_init__(self, history: Sequence[Evaluation]) -> None:
        self._past = list(history)
        self._depth = max(step.depth for step in self.plan.steps) + 1

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
        """Half log-SNR, log(alpha/sigma), of ``x``."""
        return self.plan.steps[-1].next_log_snr if self.finished else self.step.log_snr

    @property
    def newest(self) -> Evaluation:
        """The last evaluation, its state corrected where a corrector did so."""
        return self._past[-1]

    def fork(self, plan: Plan) -> "Stepper":
        """A stepper in the same state that goes on by another plan, of the same steps so far."""
        other = copy.copy(self)
        other.plan, other._past = plan, list(self._past)
        other._depth = max(step.depth for step in plan.steps) + 1
        return other

    def tell(self, evaluation: Evaluation) -> bool:
        """Go on from the evaluation of ``step`` at ``x``, its tensors [N, *sample_shape].

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
        self._compensate(self.step)
        self._advance(self.step)
        return True

    def _compensate(self, step: StepPlan) -> None:
        """DC-Solver: the newest prediction at another time, from the last few; the state stays."""
        if not step.compensation:
            return
        newest = self._past[-1]
        parts = list(zip(step.compensation, reversed(self._past), strict=False))
        data = weighted_sum([(weight, point.data) for weight, point in parts])
        noises = [(weight, point.noise) for weight, point in parts if point.noise is not None]
        noise = None if newest.noise is None else weighted_sum(noises)
        self._past[-1] = replace(newest, data=data, noise=noise)

    def _correct(self, previous: StepPlan) -> bool:
        """Look again at the step that led to ``x``; whether it must be evaluated again there."""
        corrector = previous.corrector
        if corrector is None:
            return False
        end, eta = self.step.log_snr, previous.eta
        self.x = self._next_state(corrector.update, end, eta=eta, ahead=True)
        if corrector.kind == "implicit":
            return True
        factor = self.step.scaling[1] if self.step.scaling else 1.0
        self._past[-1] = replace(self._past[-1], x=self.x if factor == 1 else factor * self.x)
        return False

    def _advance(self, step: StepPlan) -> None:
        self._noise = None
        if step.eta:
            if self.step_noise is None:
                raise ValueError("a stochastic plan needs step_noise")
            self._noise = self.step_noise(self.done + 1)
        self.x = self._next_state(step.update, step.next_log_snr, eta=step.eta)
        self.done += 1

    def _next_state(self, update: Update, end: float, *, eta: float, ahead: bool = False) -> Tensor:
        """The state at half log-SNR ``end``; ``ahead``: the newest evaluation is there, index 0."""
        shift = -1 if ahead else 0
        return next_state(
            update,
            {index: self._past[index + shift] for index in update.used},
            end,
            schedule=self.schedule,
            eta=eta,
            noise=self._noise,
            measured=self.statistics,
        )


def weighted_sum(parts: Iterable[tuple[float, Tensor]]) -> Tensor:
    """The weighted sum of tensors of one shape; those of weight 0 after the first are left out."""
    (weight, first), *others = parts
    total = first if weight == 1 else weight * first
    for factor, value in others:
        if factor:
            total = total.add(value, alpha=factor)
    return total
