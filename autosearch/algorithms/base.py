"""What an algorithm owes: one method, ``ask``.

    call                         what follows
    ask(rng, pending)            a genome to try, alone or as a Proposal with the point of the box
                                 that it came from; changes nothing: asking twice with equal rng
                                 gives equal proposals
    ask gives None               nothing to propose now; with proposals pending it is asked again
                                 when all of them were told, else the search ends
    tell(results, pending)       the only thing that changes an algorithm's state
    tell of an infeasible one    values are None; never an error
    asked but never told         harmless: a result may come late or not at all

So the state is a pure function of the list of tells, and a study resumes by telling again.
``autosearch.testing`` has tests of all this that any algorithm can inherit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["Algorithm", "BoxPoint", "Proposal", "Result", "Rng"]

# A value for each parameter of a space's box, by name: plain numbers and text.
BoxPoint = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Proposal:
    """A genome to try, and the point of the space's box that it was made from, if it was."""

    genome: Genome
    point: BoxPoint | None = None


@dataclass(frozen=True)
class Result:
    """One finished candidate. ``values`` are all to be minimised; None when infeasible.

    ``cost`` is what evaluating it takes of the budget, in any unit that is the same for all.
    ``baseline`` is true for what the search was given, not asked for.
    ``point`` is the proposal's; None for baselines and for what was proposed as a genome alone.

    ``measured`` are the values also where a constraint on a measured objective is broken; None
    only where nothing could be measured. ``violations`` has one number for each constraint on a
    measured objective, by how much it is broken in the objective's unit: kept when at most 0.
    An algorithm that does not look at these two treats every infeasible result alike.

    ``residuals`` are of the first objective that says what its value is made of: numbers whose
    squares add up to about the value.
    """

    id: int
    genome: Genome | None
    values: tuple[float, ...] | None
    cost: float = 1.0
    baseline: bool = False
    point: BoxPoint | None = None
    measured: tuple[float, ...] | None = None
    violations: tuple[float, ...] = ()
    residuals: tuple[float, ...] = ()

    @property
    def broken(self) -> float:
        """By how much the measured constraints are broken in all; 0 when they are kept."""
        return sum(max(violation, 0.0) for violation in self.violations)


@dataclass(kw_only=True, eq=False)
class Algorithm(ABC):
    """Proposes genomes of a space.

    The settings of an algorithm are the keyword-only parameters of its class, each with a type.
    Those of this project are dataclasses whose fields are the settings; ``__post_init__`` checks
    them.

    Args:
        space: where genomes come from; use its operators or its box.
        objectives: how many values a result has.

    Attributes:
        name: what experiments call the algorithm.
        summary: one line for lists.
        most_candidates: how many candidates the algorithm can bear, baselines included; a search
            with a larger budget is refused, and one without such a budget ends there.
        give_up: the share of a budget after which a search that found nothing better than its
            starts, surely, ends and says so; None never ends it.
        permits: whether a genome's plan keeps the constraints on what plans declare; all do,
            unless the search says otherwise before the first ask. What is not permitted, or is a
            known plan, is asked for again with the generator gone on; an algorithm that would
            give the same answer must look itself.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    most_candidates: ClassVar[int | None] = None

    space: Space = field(kw_only=False)
    objectives: int
    give_up: float | None = field(init=False, default=None)
    permits: Callable[[Genome], bool] = field(
        init=False, default_factory=lambda: lambda genome: True
    )

    @abstractmethod
    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | Proposal | None:
        """What to try next; ``pending`` are proposed (baselines too) and not yet told."""

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        """Learn finished results; ``pending`` are proposed and not yet told."""
        return

    def _require_least(self, **least: int) -> None:
        """Refuse settings that are smaller than the value given for their name."""
        for key, limit in least.items():
            value = getattr(self, key)
            if value < limit:
                raise UserError(f"algorithm.{key}: {value} is too small; use at least {limit}")

    def _require_shares(self, *keys: str) -> None:
        """Refuse settings that are not from 0 to 1."""
        for key in keys:
            value = getattr(self, key)
            if not 0 <= value <= 1:
                raise UserError(f"algorithm.{key}: {value:g} is no share; use 0 to 1")

    def _require_one_objective(self) -> None:
        """Refuse more than one objective, for algorithms that would be silent about the others."""
        if self.objectives != 1:
            raise UserError(
                f"algorithm: {self.name} searches one objective and the experiment has "
                f"{self.objectives}; name one and make the others constraints, or use nsga2"
            )

    def _require_several_objectives(self) -> None:
        """Refuse a single objective, for algorithms that are about trade-offs alone."""
        if self.objectives < 2:
            raise UserError(
                f"algorithm: {self.name} trades objectives off and the experiment has "
                f"{self.objectives}; add one, or use nsga2"
            )

    def _identity(self, genome: Genome) -> str:
        """The identity of a genome's plan."""
        return self.space.plan(genome).identity
