"""Gaussian processes: Bayesian search on a space's box, for few and dear evaluations."""

from collections.abc import Sequence

import numpy as np
from optuna.samplers import BaseSampler, GPSampler
from optuna.trial import FrozenTrial, TrialState

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Proposal
from autosearch.algorithms.optuna_box import OptunaBox
from autosearch.diffusion.threads import one_thread

__all__ = ["GP"]

# Values end so many times as far above the median as the upper quartile is.
_TAIL = 1.5
_LEAST = 1e-9


class GP(OptunaBox):
    """Optuna's search on a Gaussian process.

    It maximises the expected improvement, of the hypervolume where there are several objectives
    (Daulton et al. 2020), times the odds that constraints are kept.

    Values enter as logarithms where all are positive, and far above the median they are cut off,
    one objective at a time: a few recipes that diverge would otherwise make all others look alike.
    Pending proposals are part of the batch whose improvement is expected. The time of a
    proposal grows with the cube of the results, hence the limit.

    Args:
        startup: how many results are random points of the box, before the model takes over.
    """

    name = "gp"
    summary = "Gaussian processes on the space's box, at most 200 candidates (Optuna)"
    most_candidates = 200
    tries = 3

    def sampler(self, seed: int) -> BaseSampler:
        return GPSampler(n_startup_trials=self.startup, seed=seed, warn_independent_sampling=False)

    def _visible_trials(self) -> list[FrozenTrial]:
        done = [trial for trial in self._trials if trial.state == TrialState.COMPLETE]
        if not done:
            return []
        shown = _temper(np.array([trial.values for trial in done]))
        return [
            self._trial(trial.params, trial.state, values=values, constraints=trial.constraints)
            for trial, values in zip(done, shown.tolist(), strict=True)
        ]

    @one_thread()
    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Proposal | None:
        return super().ask(rng, pending)


def _temper(values: Array) -> Array:
    """[trials, objectives] on the scale on which the model sees them."""
    logarithmic = (values > 0).all(axis=0)
    scaled = np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)
    middle, upper = np.percentile(scaled, [50, 75], axis=0)
    capped: Array = np.minimum(scaled, middle + _TAIL * np.maximum(upper - middle, _LEAST))
    return capped
