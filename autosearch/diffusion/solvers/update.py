"""One solver step as data: its choices, with every published name resolved, and its operands."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["FIRST_ORDER", "Corrector", "Evaluation", "Integrand", "Interval", "Points", "Update"]

# What a step integrates: the predicted noise, the predicted data, or the noise less the data.
Integrand = Literal["noise", "data", "velocity"]
Points = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Update:
    """How a state follows from an earlier one and from evaluations of the network.

    Attributes:
        order: local polynomials of degree ``order - 1``; 1 is DDIM.
        prediction: what is integrated; ``velocity`` is the noise less the data.
        form: which of :data:`autosearch.diffusion.solvers.forms.FORMS` takes the step.
        start: which evaluation's point the step starts from; -1 is the newest.
        points: for each derivative, the evaluations besides the start's own that estimate it,
            ascending. 0 is the evaluation at the step's own end, for correctors.
        relaxation: kind and coefficient of the factor on the first derivative.
        weights: of form ``linear``: of the start's state, then of each evaluation used.
    """

    order: int = 1
    prediction: Integrand = "data"
    form: str = "taylor"
    start: int = -1
    points: Points = ()
    relaxation: tuple[str, float] | None = None
    weights: tuple[float, ...] = ()

    @property
    def used(self) -> tuple[int, ...]:
        """The evaluations used, the start's included, ascending."""
        return tuple(sorted({self.start}.union(*self.points)))

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        plain: list[object] = [
            self.order,
            self.prediction,
            self.form,
            self.start,
            self.points,
            self.relaxation,
        ]
        return [*plain, self.weights] if self.weights else plain


FIRST_ORDER = Update()


@dataclass(frozen=True)
class Corrector:
    """A second look at a step once the network was evaluated at its end.

    ``pseudo`` keeps that evaluation; ``implicit`` evaluates again at the corrected state, which
    costs one evaluation more.
    """

    kind: Literal["pseudo", "implicit"]
    update: Update


@dataclass(frozen=True)
class Evaluation:
    """A point of the trajectory: the state, and the network's prediction there.

    After a pseudo corrector, ``x`` is the corrected state and the prediction still that at the
    uncorrected one.

    Attributes:
        log_snr: half log-SNR, log(alpha/sigma).
        x: the state [N, *sample_shape].
        data: predicted clean data [N, *sample_shape].
        noise: the same prediction as noise; None at sigma 0.
        unguided: the prediction whose noise stays in the state, where a step renoises with it.
    """

    log_snr: float
    x: Tensor
    data: Tensor
    noise: Tensor | None
    unguided: "Evaluation | None" = None


@dataclass(frozen=True)
class Interval:
    """Half log-SNRs ``start`` and ``end``, with alpha and sigma at both; either may be infinite."""

    start: float
    end: float
    alpha: float
    sigma: float
    next_alpha: float
    next_sigma: float

    @property
    def h(self) -> float:
        """Step length in half log-SNR; infinite where an end is."""
        return self.end - self.start
