"""A space of one's own: times that follow a power of the step's number."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.errors import UserError
from autosearch.spaces.base import Family, Genome, Parameter, Rng


class PowerTimes(Family):
    """``time_i = last + (first - last) (1 - i / K) ** power``: a count and one number.

    Args:
        steps: the least and the largest number of steps.
        power: its least and largest value; above 1, more steps at the clean end.
    """

    name = "power_times"
    summary = "times by one power, variable length"
    fields = ("time", "log_snr")  # of a step, decided here and nowhere else
    owns_length = True

    def __init__(
        self, denoiser, *, steps: Sequence[int] = (2, 10), power: Sequence[float] = (0.5, 3.0)
    ) -> None:
        super().__init__(denoiser)
        if not 1 <= steps[0] <= steps[1]:
            raise UserError(f"space.power_times.steps: {list(steps)} is no range")
        self.steps = (steps[0], steps[1])
        self.power = (power[0], power[1])

    def randomize(self, genome: Genome, rng: Rng) -> None:
        self._write(genome, int(rng.integers(self.steps[0], self.steps[1] + 1)), self._draw(rng))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        count, power = len(genome["steps"]), self._power(genome)
        if rng.random() < 0.3:
            self._write(genome, count + (1 if rng.random() < 0.5 else -1), power)
        else:
            self._write(genome, count, power * float(rng.lognormal(0.0, 0.2)))

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        self._write(child, len(child["steps"]), self._power(other))

    def repair(self, genome: Genome) -> None:
        self._write(genome, len(genome["steps"]), self._power(genome))

    def encodes(self, genome: Genome) -> bool:
        """Only what has this form, so textbook grids are yardsticks and no parents."""
        wanted = self._times(len(genome["steps"]), self._power(genome))
        return [step["time"] for step in genome["steps"]] == wanted

    def box(self) -> Sequence[Parameter]:
        return (Parameter("steps", "int", *self.steps), Parameter("power", "float", *self.power))

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self._write(genome, int(values["steps"]), float(values["power"]))

    def _draw(self, rng: Rng) -> float:
        return float(rng.uniform(*self.power))

    def _power(self, genome: Genome) -> float:
        return float((self.genes(genome) or {}).get("power", 1.0))

    def _times(self, count: int, power: float) -> list[float]:
        schedule = self.denoiser.schedule
        span = schedule.first - schedule.last
        shares = ((1 - i / count) ** power for i in range(count))
        return [schedule.rounded(schedule.last + span * share) for share in shares]

    def _write(self, genome: Genome, count: int, power: float) -> None:
        """Everything that the family owns, brought into its ranges."""
        count = min(max(count, self.steps[0]), self.steps[1])
        power = round(min(max(power, self.power[0]), self.power[1]), 3)
        steps = genome["steps"][:count]
        # New steps take the last one's other choices.
        steps += [dict(steps[-1]) if steps else {} for _ in range(count - len(steps))]
        for step, time in zip(steps, self._times(count, power), strict=True):
            step["time"] = time
            step.pop("log_snr", None)
        genome |= {"start": {"scale": "unit"}, "steps": steps, "end": "clean"}
        self.set_genes(genome, {"power": power})
