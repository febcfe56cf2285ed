"""Tree-structured Parzen estimator: Bayesian search on a space's box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.optuna_box import OptunaBox
from autosearch.errors import UserError

__all__ = ["TPE"]


@dataclass(kw_only=True, eq=False)
class TPE(OptunaBox):
    """Optuna's TPE (Bergstra et al. 2011), also for several objectives (Ozaki et al. 2020).

    Pending proposals count as bad until they are told, so that proposals keep apart.

    Args:
        startup: how many results are random points of the box, before the estimator takes over.
        multivariate: whether parameters are drawn together, from one kernel, or each on its own;
            by default together for one objective, and each on its own for several.
        candidates: draws from the good kernel of which the most promising is proposed.
        history: how many results are looked at: half of them the best, the others the latest.
            It bounds the time of a proposal.
    """

    name = "tpe"
    summary = "tree-structured Parzen estimator on the space's box (Optuna)"
    tries = 8

    multivariate: bool | None = None
    candidates: int = 24
    history: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_least(candidates=1)
        if self.history < self.startup:
            raise UserError(
                f"algorithm.history: {self.history} is below startup, {self.startup}; the "
                "estimator would never begin"
            )

    def sampler(self, seed: int) -> BaseSampler:
        return TPESampler(
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            multivariate=self.multivariate,
            constant_liar=True,
            seed=seed,
        )

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        super().tell(results, pending)
        # Not at each result: ranking hundreds takes a while.
        if len(self._trials) > self.history * 5 // 4:
            self._trials = _keep_best(self._trials, self.history)


def _keep_best(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The best, up to half of ``count``, and the latest of the others, in their order."""
    places = [i for i, trial in enumerate(trials) if _feasible(trial)]
    values = np.array([trials[i].values for i in places], dtype=np.float64)
    ranks: dict[int, int] = {}
    for rank, front in enumerate(NonDominatedSorting().do(values) if places else ()):
        ranks.update({places[int(i)]: rank for i in front})
    best = sorted(places, key=lambda i: (ranks[i], -i))[: count // 2]
    others = sorted(set(range(len(trials))) - set(best))
    chosen = {*best, *others[len(best) - count :]}
    return [trials[i] for i in sorted(chosen)]


def _feasible(trial: FrozenTrial) -> bool:
    met = all(violation <= 0 for violation in trial.constraints.values())
    return trial.state == TrialState.COMPLETE and met
