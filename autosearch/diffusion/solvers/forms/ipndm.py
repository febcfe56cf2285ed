"""iPNDM (Zhang & Chen 2023): Adams-Bashforth with the weights of even steps, whatever the grid.

The mean of the last evaluations takes the place of the newest in a DDIM step,
``x' = (alpha'/alpha) x - sigma' (e^h - 1) noise``, with the weights of equal step lengths: 1; 3/2,
-1/2; 23/12, -16/12, 5/12; 55/24, -59/24, 37/24, -9/24. As in diffusers' PNDM, in the released code
of GITS (Chen et al. 2024) and in that of LD3 (Tong et al. 2024) the order grows with the history
and is not lowered at the end. To the clean end these stop at a level next to it; we go there with
the same weights, which is that step's limit. ``prediction: velocity`` does the same for noise less
data in the time of flows, which is Adams-Bashforth for flows.
"""

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice, other_points
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.update import Integrand, Interval, Points, Update

__all__ = ["IPNDM"]

# By the order, newest first.
_WEIGHTS = {
    1: (Fraction(1),),
    2: (Fraction(3, 2), Fraction(-1, 2)),
    3: (Fraction(23, 12), Fraction(-16, 12), Fraction(5, 12)),
    4: (Fraction(55, 24), Fraction(-59, 24), Fraction(37, 24), Fraction(-9, 24)),
}


class IPNDM(CombinationForm):
    """Constant weights of the newest evaluations, the start's first."""

    name = "ipndm"
    summary = "iPNDM: Adams-Bashforth with the weights of even steps"
    predictions = ("noise", "velocity")
    restarts = False
    stochastic = "none"
    corrector = "taylor"
    exact_noise = True

    def resolve(
        self,
        choice: Choice,
        history: Mapping[int, float],
        end: float,
        decisive: Collection[int] = (),
    ) -> Update:
        velocity = self.prediction(choice) == "velocity"
        if math.isinf(end) and (velocity or math.isfinite(history[-1])):
            return self.from_start(choice, history, -1, decisive)
        return super().resolve(choice, history, end, decisive)

    def choose_points(self, choice: Choice, history: Mapping[int, float], start: int) -> Points:
        """The newest evaluations; no others fit the weights."""
        older = sorted((j for j in other_points(history, start) if j < start), reverse=True)
        chosen = older[: choice.order - 1]
        return (tuple(sorted(chosen)),) if chosen else ()

    def first(self, prediction: Integrand, start: int) -> Update:
        form = self.name if prediction == "velocity" else Update.form
        return Update(prediction=prediction, form=form, start=start)

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        return Update(len(points[0]) + 1, self.prediction(choice), self.name, start, points)

    def is_bounded(self, update: Update) -> bool:
        return update.prediction == "velocity"

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        if update.prediction == "velocity":
            size = interval.alpha + interval.sigma
            next_size = interval.next_alpha + interval.next_sigma
            length = interval.next_sigma - next_size * (interval.sigma / size)
            state = next_size / size
        else:
            state = interval.next_alpha / interval.alpha
            # Of sigma/alpha, times alpha at the end.
            length = interval.next_sigma - state * interval.sigma
        used = reversed(update.used)  # newest first
        shares = _WEIGHTS[len(update.used)]
        weights = {j: length * float(share) for j, share in zip(used, shares, strict=True)}
        return Coefficients(state, weights, kept=interval.next_sigma)
