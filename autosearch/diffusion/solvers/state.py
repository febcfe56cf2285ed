"""What a solver step works on: a state in, a state out."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Evaluation", "Interval"]


@dataclass(frozen=True)
class Evaluation:
    """What the network said at one point, as clean data and as noise (None at sigma 0)."""

    log_snr: float
    data: Tensor
    noise: Tensor | None


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
