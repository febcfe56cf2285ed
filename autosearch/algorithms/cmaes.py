"""CMA-ES: evolution of one covariance matrix on a space's box, for one objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.unit_box import UnitBox, levels
from autosearch.errors import UserError
from autosearch.spaces.base import Parameter

__all__ = ["CMAES"]

_INSIDE_TRIES = 20
# A search is over, and begins elsewhere, when it is finer than this share of the box.
_FINEST = 1e-3
_WORST_CONDITION = 1e12
# Least standard deviation of a whole number, in steps of it: it never freezes.
_STEP = 0.3


@dataclass(kw_only=True, eq=False)
class CMAES(Algorithm):
    """CMA-ES (Hansen 2016) with restarts of doubled population (IPOP, Auger & Hansen 2005).

    A generation is told in full before the next is proposed: the search waits for the last of it.
    Draws outside the box are drawn again, and clipped at last. Infeasible results rank behind the
    feasible ones, by how much their constraints are broken. Whole numbers are equal parts of a
    continuous axis, told as the middle of their part.

    Args:
        population: proposals in a generation; 4 + 3 ln(dimensions) by default.
        width: first standard deviation, as a share of the box.
    """

    name = "cmaes"
    summary = "CMA-ES with restarts on the space's box, one objective, numbers only"

    population: int | None = None
    width: float = 0.25

    def __post_init__(self) -> None:
        self._require_one_objective()
        if not 0 < self.width <= 1:
            raise UserError(
                f"algorithm.width: {self.width:g} is no share of the box; use 0.05 to 0.5"
            )
        box = self.space.box()
        self._fixed = {p.name: levels(p)[0] for p in box if not _varies(p)}
        self._box = UnitBox([p for p in box if _varies(p)])
        if not self._box.dimension:
            raise UserError("algorithm: cmaes has nothing to vary in this space; widen the space")
        if self.population is None:
            self.population = 4 + int(3 * np.log(self._box.dimension))
        self._require_least(population=4)
        self._told: list[tuple[Array, tuple[int, float]]] = []
        self._seen = 0
        self._begin(np.full(self._box.dimension, 0.5), size=self.population, seed=0)

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Proposal | None:
        waiting = sum(proposal.point is not None for proposal in pending)
        if len(self._told) + waiting >= self._size:
            return None
        point = {**self._fixed, **self._box.point(self._draw(rng))}
        return Proposal(self.space.from_box(point), point)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.point is not None:
                self._told.append((self._box.unit(result.point), _order(result)))
            if len(self._told) == self._size:
                self._update()

    def _update(self) -> None:
        """Learn a generation by its ranks alone, and begin elsewhere when it has converged."""
        orders = sorted(order for _, order in self._told)
        ranks = [float(orders.index(order)) for _, order in self._told]
        self._seen += len(self._told)
        self._es.tell([place for place, _ in self._told], ranks, check_points=False)
        self._told = []
        if max(self._es.stds) < _FINEST or self._es.condition_number > _WORST_CONDITION:
            # A function of what was told: the same after a resume.
            start = np.random.default_rng(self._seen).uniform(0.1, 0.9, self._box.dimension)
            self._begin(start, size=2 * self._size, seed=self._seen)
        else:
            self._es.ask(1)

    def _begin(self, start: Array, *, size: int, seed: int) -> None:
        import cma  # takes seconds, because it also plots

        self._size = size
        own = np.random.default_rng(seed)
        least = [_least(parameter) for parameter in self._box.parameters]
        options = {
            "popsize": size,
            "minstd": least,
            # Neither seeds nor draws from numpy's common generator.
            "seed": np.nan,
            "randn": lambda *shape: own.standard_normal(shape),
            "verbose": -9,
            "verb_log": 0,
        }
        self._es: Any = cma.CMAEvolutionStrategy(start, self.width, options)
        # It wants to be asked before each tell, and brings its matrix up to date; proposals are
        # drawn here instead, so that asking changes nothing.
        self._es.ask(1)

    def _draw(self, rng: Rng) -> Array:
        """A place in the unit box from the current distribution."""
        es = self._es
        place = np.asarray(es.mean, dtype=np.float64)
        for _ in range(_INSIDE_TRIES):
            normal = rng.standard_normal(self._box.dimension)
            place = es.mean + es.sigma * es.sigma_vec.scaling * es.sm.transform(normal)
            if (place >= 0).all() and (place <= 1).all():
                break
        return np.clip(place, 0, 1)


def _varies(parameter: Parameter) -> bool:
    if parameter.kind != "choice":
        return parameter.high > parameter.low
    if len(parameter.choices) > 1:
        raise UserError(
            f"algorithm: cmaes needs numbers, and {parameter.name} of the space's box is a "
            "choice; leave one value, or use tpe"
        )
    return False


def _least(parameter: Parameter) -> float:
    """The least standard deviation along a parameter's axis."""
    if parameter.kind != "int":
        return 0.0
    return _STEP / (int(parameter.high) - int(parameter.low) + 1)


def _order(result: Result) -> tuple[int, float]:
    """Feasible ones by value, then by broken constraints, then what could not be measured."""
    if result.values is not None:
        return 0, result.values[0]
    if result.measured is not None and result.violations:
        return 1, result.broken
    return 2, 0.0
