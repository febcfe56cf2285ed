"""First-order steps that say how much of the noise at their end is new.

``x' = alpha' data + sigma' (sqrt(1 - eta^2) noise + eta z)``: where DDIM's ``eta`` is the intensity
of the noise along the way (Song et al. 2021, eq. 16), here it is its share at the end, whatever the
step's length. All one-step samplers between a data prediction and new noise are of this kind:
multistep consistency sampling (Song et al. 2023, algorithm 1) and diffusers' stochastic Euler of
flows at 1, ER-SDE of order 1 (Cui et al. 2023) and the ancestral Euler of flows in between.
"""

import math
from collections.abc import Collection, Mapping

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.update import Interval, Update

__all__ = ["FreshNoise"]


class FreshNoise(CombinationForm):
    """DDIM whose ``eta`` is the share of new noise at the end of the step."""

    name = "fresh_noise"
    summary = "DDIM with eta the share of new noise at the step's end"
    highest = 1
    predictions = ("data",)
    corrector = "none"
    plain = False
    exact_noise = True

    def from_start(
        self, choice: Choice, history: Mapping[int, float], start: int, decisive: Collection[int]
    ) -> Update:
        return Update(form=self.name, start=start) if start in decisive else Update(start=start)

    def is_bounded(self, update: Update) -> bool:
        return True

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        kept = interval.next_sigma * math.sqrt(1.0 - eta**2)
        state = kept / interval.sigma
        weight = interval.next_alpha - state * interval.alpha
        return Coefficients(state, {update.start: weight}, eta * interval.next_sigma, kept)
