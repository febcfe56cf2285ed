"""A solver form of one's own: Adams-Bashforth for the predicted data, in alpha/sigma.

``x / sigma`` moves by the data alone: ``d(x / sigma) = x_0 d(alpha / sigma)``, exactly. So a
polynomial in ``s = alpha / sigma`` through the newest two predictions of ``x_0`` is integrated.
"""

import math

from autosearch.diffusion.lagrange import polynomial_weights
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.combination import CombinationForm


class AdamsForData(CombinationForm):
    """``x' = (sigma' / sigma) x + sigma' int x_0 ds``; at order 1 it is DDIM."""

    name = "adams_data"
    summary = "Adams-Bashforth for the data, in alpha/sigma"
    highest = 2
    predictions = ("data",)
    stochastic = "none"
    corrector = "none"
    published = False  # no sampler elsewhere has it, so exports do not name one

    def coefficients(self, update, interval, log_snrs, *, eta, schedule) -> Coefficients:
        """Of the state, and of each evaluation that the update uses, by its index."""
        places = {i: math.exp(log_snrs[i]) for i in update.used}
        shares = polynomial_weights(
            math.exp(interval.start), math.exp(interval.end), list(places.values())
        )
        weights = {i: interval.next_sigma * share for i, share in zip(places, shares, strict=True)}
        kept = interval.next_sigma  # how much of the start's noise stays
        return Coefficients(interval.next_sigma / interval.sigma, weights, kept=kept)


ADAMS_FOR_DATA = AdamsForData()
