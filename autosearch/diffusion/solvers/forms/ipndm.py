"""iPNDM (Zhang & Chen 2023): Adams-Bashforth with the weights of even steps, whatever the grid.

The mean of the last evaluations takes the place of the newest in a DDIM step,
``x' = (alpha'/alpha) x - sigma' (e^h - 1) noise``, with the weights of equal step lengths: 1; 3/2,
-1/2; 23/12, -16/12, 5/12; 55/24, -59/24, 37/24, -9/24. As in diffusers' PNDM, in the released code
of GITS (Chen et al. 2024) and in that of LD3 (Tong et al. 2024) the order grows with the history
and is not lowered at the end. To the clean end these stop at a level next to it; we go there with
the same weights, which is that step's limit. ``prediction: velocity`` does the same for noise less
data in the time of flows, which is Adams-Bashforth for flows.
"""

from collections.abc import Mapping
from fractions import Fraction

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.adams import AdamsBashforth, integrated, step_length
from autosearch.diffusion.solvers.update import Interval, Update

__all__ = ["IPNDM"]

# By the order, newest first.
_WEIGHTS = {
    1: (Fraction(1),),
    2: (Fraction(3, 2), Fraction(-1, 2)),
    3: (Fraction(23, 12), Fraction(-16, 12), Fraction(5, 12)),
    4: (Fraction(55, 24), Fraction(-59, 24), Fraction(37, 24), Fraction(-9, 24)),
}


class IPNDM(AdamsBashforth):
    """Constant weights of the newest evaluations, the start's first."""

    name = "ipndm"
    summary = "iPNDM: Adams-Bashforth with the weights of even steps"
    exact_noise = True

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        length = step_length(update, interval)
        shares = _WEIGHTS[len(update.used)]
        newest_first = reversed(update.used)
        integrals = {j: length * float(c) for j, c in zip(newest_first, shares, strict=True)}
        return integrated(update, interval, integrals)
