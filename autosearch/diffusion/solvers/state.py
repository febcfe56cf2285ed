"""What a solver step works on."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Evaluation", "Interval"]


@dataclass(frozen=True)
class Evaluation:
    """A point of the trajectory: the state, and what the network said there.

    ``data`` and ``noise`` (None at sigma 0) are one prediction in two forms. After a pseudo
    corrector, ``x`` is the corrected state and they are still what was said of the predicted one.
    ``unguided`` is the prediction whose noise stays in the state, where a step renoises with it.
    """

    log_snr: float
    x: Tensor
    data: Tensor
    noise: Tensor | None
    unguided: "Evaluation | None" = None


@dataclass(frozen=True)
class Interval:
    """From log-SNR ``start`` to ``end``, with alpha and sigma at both; ends may be infinite."""

    start: float
    end: float
    alpha: float
    sigma: float
    next_alpha: float
    next_sigma: float

    @property
    def h(self) -> float:
        """Step length in log-SNR; infinite where an end is."""
        return self.end - self.start
