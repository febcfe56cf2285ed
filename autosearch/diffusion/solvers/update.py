"""The choices of one solver step, with every published name resolved."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FIRST_ORDER", "Corrector", "Update"]


@dataclass(frozen=True)
class Update:
    """How a state follows from an earlier one and from evaluations of the network.

    Attributes:
        order: local polynomials of degree ``order - 1``; 1 is DDIM.
        prediction: which of the two predictions is integrated.
        form: ``taylor``; ``dpmsolver``, its published third order, with half the second
            derivative; ``deis_t`` and ``deis_rho``, polynomials in time and in sigma/alpha;
            ``evodiff``; ``v3``, with the model's statistics; ``linear``, with weights given.
        start: which evaluation's point the step starts from; -1 is the newest.
        points: for each derivative, the evaluations besides the start's own that estimate it,
            ascending. 0 is the evaluation at the step's own end, for correctors.
        relaxation: kind and coefficient of the factor on the first derivative.
        weights: of form ``linear``: of the start's state, then of each evaluation used.
    """

    order: int = 1
    prediction: Literal["noise", "data"] = "data"
    form: str = "taylor"
    start: int = -1
    points: tuple[tuple[int, ...], ...] = ()
    relaxation: tuple[str, float] | None = None
    weights: tuple[float, ...] = ()

    @property
    def used(self) -> tuple[int, ...]:
        """The evaluations used, the start's included, ascending."""
        return tuple(sorted({self.start}.union(*self.points)))

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        points = [list(chosen) for chosen in self.points]
        relaxation = list(self.relaxation) if self.relaxation else None
        found: list[object] = [
            self.order,
            self.prediction,
            self.form,
            self.start,
            points,
            relaxation,
        ]
        return [*found, list(self.weights)] if self.weights else found


FIRST_ORDER = Update()


@dataclass(frozen=True)
class Corrector:
    """A second look at a step once the network was evaluated at its end.

    ``pseudo`` keeps that evaluation; ``implicit`` evaluates again at the corrected state, which
    costs one evaluation more.
    """

    kind: Literal["pseudo", "implicit"]
    update: Update
