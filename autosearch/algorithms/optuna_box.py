"""Optuna's samplers over a space's box, as suggesters that keep nothing of their own.

Optuna is given the told results as finished trials and the pending proposals as running ones, and
is asked for one point. What it draws follows from the seed that it is handed, and whatever it
stores goes away with the storage that was made for one question.
"""

import warnings
from abc import abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, BoxPoint, Proposal, Result
from autosearch.algorithms.unit_box import UnitBox
from autosearch.spaces.base import Parameter

__all__ = ["OptunaBox", "distribution"]

# Random points that are looked at before there is nothing left to propose.
_LAST_RESORT = 200


@dataclass(kw_only=True, eq=False)
class OptunaBox(Algorithm):
    """An Optuna sampler behind the contract of an algorithm.

    Results without a point of the box (baselines) are left out. One that breaks a measured
    constraint is a trial with its values and by how much each constraint is broken; one that
    could not be measured is a pruned trial. A point whose plan is known or forbidden is pending
    for the rest of the question, so that the sampler goes elsewhere; after ``tries`` of them the
    answer is a random point.

    Args:
        startup: how many results are random points of the box, before the sampler takes over.
    """

    tries: ClassVar[int]
    startup: int = 16

    def __post_init__(self) -> None:
        self._require_least(startup=1)
        self._box = UnitBox(self.space.box())
        self._distributions = {p.name: distribution(p) for p in self._box.parameters}
        self._trials: list[FrozenTrial] = []
        self._known: set[str] = set()

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """The sampler that answers one question."""

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Proposal | None:
        waiting = {self._identity(proposal.genome) for proposal in pending}
        running = [proposal.point for proposal in pending if proposal.point is not None]
        for turn in range(self.tries + _LAST_RESORT):
            point: BoxPoint
            if turn < self.tries:
                point = self._sample(rng, running)
            else:
                point = self._box.point(rng.random(self._box.dimension))
            genome = self.space.from_box(point)
            identity = self._identity(genome)
            known = identity in self._known or identity in waiting
            if not known and self.permits(genome):
                return Proposal(genome, point)
            running.append(point)
        return None

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is not None:
                self._known.add(self._identity(result.genome))
            if result.point is not None:
                self._trials.append(self._finish(result.point, result))

    def _visible_trials(self) -> Sequence[FrozenTrial]:
        """The told trials, as the sampler is to see them."""
        return self._trials

    def _sample(self, rng: Rng, running: Sequence[BoxPoint]) -> BoxPoint:
        """What the sampler says to the results and to what is running."""
        trials = [self._trial(point, TrialState.RUNNING) for point in running]
        seed = int(rng.integers(2**32))
        with _quiet():
            study = optuna.create_study(
                storage=_FixedTrials([*self._visible_trials(), *trials]),
                directions=["minimize"] * self.objectives,
                sampler=self.sampler(seed),
            )
            found = study.ask(fixed_distributions=self._distributions).params
        return {name: found[name] for name in self._distributions}

    def _finish(self, point: BoxPoint, result: Result) -> FrozenTrial:
        values = result.measured if result.broken else result.values
        if values is None:
            return self._trial(point, TrialState.PRUNED)
        constraints = {str(i): value for i, value in enumerate(result.violations)}
        return self._trial(point, TrialState.COMPLETE, values=values, constraints=constraints)

    def _trial(
        self,
        point: BoxPoint,
        state: TrialState,
        *,
        values: Sequence[float] | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> FrozenTrial:
        return create_trial(
            state=state,
            params=dict(point),
            distributions=self._distributions,
            values=values,
            constraints=dict(constraints or {}),
        )


class _FixedTrials(InMemoryStorage):
    """A storage that shows given trials beside the one that is being asked for.

    Adding them one by one would copy each, at every question.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        # Number 0 is the one being asked for; samplers tell trials apart by number.
        for number, trial in enumerate(trials, start=1):
            trial.number = number
        self._shown = list(trials)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        own = super().get_all_trials(study_id, deepcopy, states)
        return [t for t in self._shown if states is None or t.state in states] + own


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's name for a parameter of a box."""
    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high))
    return FloatDistribution(parameter.low, parameter.high)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's own lines would go between those of the search; its settings come back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
