"""A space of one's own: times that follow a power of the step's number."""

from dataclasses import dataclass

from autosearch.spaces.base import checked_ends
from autosearch.spaces.gene_times import TimeFamily
from autosearch.spaces.genes import Genes, Real


@dataclass(kw_only=True, eq=False)
class PowerTimes(TimeFamily):
    """``time_i = last + (first - last) (1 - i / K) ** power``: a count and one number.

    Args:
        power: the least and the largest; above 1, more steps at the clean end.
    """

    name = "power_times"
    summary = "times by one power, variable length"

    power: tuple[float, float] = (0.5, 3.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = checked_ends("space.power_times.power", self.power, 0.1, 10.0)
        # A mutation multiplies it by a lognormal factor.
        self.ranges = {"power": Real(low, high, factor=0.2)}

    def per_step(self, genes: Genes, count: int) -> list[float]:
        """The times [count]."""
        schedule = self.denoiser.schedule
        span = schedule.first - schedule.last
        shares = ((1 - i / count) ** genes["power"] for i in range(count))
        return [schedule.rounded(schedule.last + span * share) for share in shares]
