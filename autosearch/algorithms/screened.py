"""SMS-EMOA whose children are screened by a model of the told results."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autosearch.algorithms.base import Proposal, Result, Rng
from autosearch.algorithms.checks import at_least, share
from autosearch.algorithms.descriptors import COSTS, descriptor
from autosearch.algorithms.evolution import Mate
from autosearch.algorithms.rank_model import RankModel
from autosearch.algorithms.smsemoa import SMSEMOA
from autosearch.plan import Plan
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["Screened"]

Array = NDArray[np.float64]


class Screened(SMSEMOA):
    """SMS-EMOA that makes several children and proposes the most promising one.

    In the spirit of S3 (USF, ICLR 2024), whose predictor is trained with a ranking loss in stages:
    a cheap model of what was told orders the children, and the one proposed adds most to the
    front, on the scale of ranks. Objectives that plans declare are read from them. The model is
    used only while the order in which it foresaw the latest results agrees with theirs; otherwise
    this is SMS-EMOA, proposal by proposal.

    Deviates from S3 in its model (kernel regression of normal scores instead of a network), in
    screening a few children of one parent generation instead of searching on the predictor, and
    in having several objectives.

    Args:
        screen: children of which one is proposed.
        agreement: how well the latest results must have been foreseen, from 0 to 1 (all).
        blind: share of proposals that are not screened.
        population, crossover, fresh, tournament, mutation, mate, initial, generational: see
            :class:`autosearch.algorithms.evolution.Evolution`.
    """

    name = "screened"
    summary = "SMS-EMOA whose children a model of the results screens"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        screen: int = 8,
        agreement: float = 0.3,
        blind: float = 0.2,
        population: int = 24,
        crossover: float = 0.7,
        fresh: float = 0.15,
        tournament: int = 2,
        mutation: float = 0.5,
        mate: Mate = "near",
        initial: int = 16,
        generational: bool = False,
    ) -> None:
        super().__init__(
            space,
            objectives=objectives,
            population=population,
            crossover=crossover,
            fresh=fresh,
            tournament=tournament,
            mutation=mutation,
            mate=mate,
            initial=initial,
            generational=generational,
        )
        self.screen = at_least("screen", screen, 1)
        self.agreement = share("agreement", agreement)
        self.blind = share("blind", blind)
        self._models = [RankModel() for _ in range(objectives)]
        # For each objective what plans may declare it to be; none left: it is measured.
        self._declared: list[set[str]] = [set(COSTS) for _ in range(objectives)]
        self._seen: set[str] = set()

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        first = super().ask(rng, pending)
        if first is None or not self.pays or rng.random() < self.blind:
            return first
        known = self._seen.union(self.space.plan(one.genome).identity for one in pending)
        children: dict[str, tuple[Genome, Plan]] = {}
        for number in range(self.screen):
            genome = first if number == 0 else super().ask(rng, pending)
            if genome is None:
                break
            plan = self.space.plan(genome)
            if plan.identity not in known and self.permits(genome):
                children.setdefault(plan.identity, (genome, plan))
        if not children:
            return first
        gains = self._gains([plan for _, plan in children.values()])
        return list(children.values())[int(np.argmax(gains))][0]

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            super().tell([result], pending)
            if result.genome is not None:
                self._learn(result, self.space.plan(result.genome))

    @property
    def pays(self) -> bool:
        """Whether the model has foreseen the latest results well enough to be asked."""
        models = [self._models[i] for i in self._measured]
        if not models or len(self._alive) < 2:
            return False
        return all(model.ready and model.agreement >= self.agreement for model in models)

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

    def _gains(self, plans: Sequence[Plan]) -> Array:
        """[N] how far each plan is expected to go beyond the population, all objectives as scores.

        The least, over the population, of the most that it is better by in any objective.
        """
        vectors = np.array([descriptor(plan) for plan in plans])
        alive = self.survivors
        expected = np.empty((len(plans), self.objectives))
        reached = np.empty_like(alive)
        for i, names in enumerate(self._declared):
            if names:
                name = min(names)
                own = np.array([float(getattr(plan, name)) for plan in plans])
                span = max(float(np.ptp(np.concatenate([own, alive[:, i]]))), 1e-12)
                expected[:, i], reached[:, i] = own / span, alive[:, i] / span
            else:
                model = self._models[i]
                expected[:, i] = model.scores(vectors)
                reached[:, i] = model.score(alive[:, i])
        better = reached[None] - expected[:, None]
        gains: Array = better.max(axis=2).min(axis=1)
        return gains
