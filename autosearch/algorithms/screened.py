"""SMS-EMOA whose children are screened by a model of the told results."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.checks import at_least, shares
from autosearch.algorithms.plan_features import COSTS, descriptor
from autosearch.algorithms.rank_model import RankModel
from autosearch.algorithms.smsemoa import SMSEMOA
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.threads import one_thread
from autosearch.spaces.base import Genome

__all__ = ["Screened"]


@dataclass(kw_only=True, eq=False)
class Screened(SMSEMOA):
    """SMS-EMOA whose children are improved on a model of the results before one is asked for.

    In the spirit of S3 (USF, ICLR 2024), whose predictor is trained with a ranking loss in stages
    and whose candidates evolve on the predictor: a cheap model of what was told orders children.
    The first one decides what a proposal may cost; of several more, and of mutants of the best of
    them, the one is asked for that is expected to be best on what is measured. Objectives that
    plans declare are read from them. The model is used only while the order in which it foresaw
    the latest results agrees with theirs; otherwise this is SMS-EMOA, proposal by proposal.

    Deviates from S3 in its model (kernel regression of normal scores instead of a network) and in
    having several objectives.

    Args:
        screen: children in each round.
        rounds: the first one from the population, the others from the best child so far.
        agreement: how well the latest results must have been foreseen, from 0 to 1 (all).
        blind: share of proposals that are not screened.

    The other settings are those of :class:`autosearch.algorithms.evolution.Evolution`.
    """

    name = "screened"
    summary = "SMS-EMOA whose children a model of the results screens"

    screen: int = 8
    rounds: int = 3
    agreement: float = 0.3
    blind: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, screen=1, rounds=1)
        shares(self, "agreement", "blind")
        self._models = [RankModel() for _ in range(self.objectives)]
        # For each objective what plans may declare it to be; none left: it is measured.
        self._declared: list[set[str]] = [set(COSTS) for _ in range(self.objectives)]
        self._seen: set[str] = set()

    @one_thread()
    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        first = super().ask(rng, pending)
        if first is None or not self.pays or rng.random() < self.blind:
            return first
        asked = {self.space.plan(one.genome).identity for one in pending}
        limits = self._costs(self.space.plan(first))
        best, least = first, np.inf
        for number in range(self.rounds):
            found: list[tuple[Genome, Plan]] = []
            for turn in range(self.screen):
                child = first
                if number:
                    child = self.space.mutate(best, rng)
                elif turn:
                    other = super().ask(rng, pending)
                    if other is None:
                        break
                    child = other
                plan = self.space.plan(child)
                fits = bool((self._costs(plan) <= limits).all()) and self.permits(child)
                if fits and plan.identity not in self._seen and plan.identity not in asked:
                    asked.add(plan.identity)
                    found.append((child, plan))
            if found:
                expected = self._expected([plan for _, plan in found])
                at = int(np.argmin(expected))
                if expected[at] < least:
                    best, least = found[at][0], float(expected[at])
        return best

    @one_thread()
    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            super().tell([result], pending)
            if result.genome is not None:
                self._learn(result, self.space.plan(result.genome))

    @property
    def pays(self) -> bool:
        """Whether the model has foreseen the latest results well enough to be asked."""
        models = [self._models[i] for i in self._measured]
        return bool(models) and all(one.ready and one.agreement >= self.agreement for one in models)

    @property
    def _measured(self) -> list[int]:
        """The objectives that plans do not declare."""
        return [i for i, names in enumerate(self._declared) if not names]

    def _learn(self, result: Result, plan: Plan) -> None:
        self._seen.add(plan.identity)
        values = result.measured or result.values
        if values is None:
            return
        vector = descriptor(plan)
        for i, value in enumerate(values):
            known = {name for name in self._declared[i] if float(getattr(plan, name)) == value}
            self._declared[i] = known
            if not known:
                self._models[i].learn(vector, value, cost=float(plan.macs))

    def _costs(self, plan: Plan) -> Array:
        """What a plan declares of the objectives."""
        return np.array([float(getattr(plan, min(names))) for names in self._declared if names])

    def _expected(self, plans: Sequence[Plan]) -> Array:
        """[N] the sum of what is expected of the measured objectives, as normal scores."""
        vectors = np.array([descriptor(plan) for plan in plans])
        found: Array = np.sum([self._models[i].scores(vectors) for i in self._measured], axis=0)
        return found
