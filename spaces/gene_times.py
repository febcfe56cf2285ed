"""Numeric families that decide how many steps there are and where: a count, and a few genes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch._typing import Rng
from autosearch.spaces.base import Genome, Parameter, StepGenome, checked_ends
from autosearch.spaces.genes import GeneFamily, Genes
from autosearch.spaces.timesteps import MOST_STEPS

__all__ = ["TimeFamily"]

# How likely a mutation adds or takes away a step.
_LENGTH_RATE = 0.25


@dataclass(kw_only=True, eq=False)
class TimeFamily(GeneFamily):
    """A family whose genes give the times of any number of steps.

    A subclass says what genes there are (``ranges``, set in ``__post_init__`` after this class's)
    and which times they give (:meth:`per_step`, K decreasing times in the model's unit); where its
    recipes do not end clean, also :meth:`end`.

    Args:
        steps: the least and the largest number of steps, both included.

    Raises:
        UserError: for an impossible range.
    """

    fields = ("time", "log_snr")
    odds = 0.8
    owns_length = True

    steps: tuple[int, int] = (2, 10)

    def __post_init__(self) -> None:
        where = f"space.{self.name}.steps"
        self.steps = checked_ends(where, self.steps, 1, MOST_STEPS, whole=True)

    def end(self, genes: Genes, count: int) -> float | Literal["clean"]:
        """Where the last of ``count`` steps ends: the clean end, or a half log-SNR."""
        return "clean"

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes = self.draw(rng)
        self._restart(genome, int(rng.integers(self.steps[0], self.steps[1] + 1)))
        self.write(genome, self.arrange(genes))

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """One gene by a little, or one step more or less."""
        steps = genome["steps"]
        if rng.random() >= _LENGTH_RATE or self.steps[0] == self.steps[1]:
            super().change(genome, genes, rng)
        elif len(steps) == self.steps[0] or (len(steps) < self.steps[1] and rng.random() < 0.5):
            steps.append(dict(steps[-1]))
        else:
            steps.pop()

    def put(self, genome: Genome, values: Sequence[Any]) -> None:
        """Write the times; network and solver agree on them."""
        for step, time in zip(genome["steps"], values, strict=True):
            for field in self.fields:
                step.pop(field, None)
            step["time"] = time

    def write(self, genome: Genome, genes: Genes) -> None:
        """Clip and store genes, and write times and end."""
        super().write(genome, genes)
        genome["end"] = self.end(self.clip(genes), len(genome["steps"]))

    def repair(self, genome: Genome) -> None:
        genome["steps"] = self._fit_length(genome["steps"])
        super().repair(genome)

    def encodes(self, genome: Genome) -> bool:
        return self.steps[0] <= len(genome["steps"]) <= self.steps[1] and super().encodes(genome)

    def box(self) -> Sequence[Parameter]:
        """The step count and the genes."""
        return (Parameter("steps", "int", *self.steps), *super().box())

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self._restart(genome, int(values["steps"]))
        super().from_box(genome, values)

    def _restart(self, genome: Genome, count: int) -> None:
        # Models with alpha = 1 start from the marginal, as their baselines do.
        marginal = self.denoiser.schedule.family == "edm"
        genome["start"] = {"scale": "scheduler" if marginal else "unit"}
        genome["steps"] = [{} for _ in range(count)]

    def _fit_length(self, steps: list[StepGenome]) -> list[StepGenome]:
        """Steps that are too many go; new ones take the last one's other choices."""
        last = steps[-1] if steps else {}
        added = (dict(last) for _ in range(self.steps[0] - len(steps)))
        return [*steps[: self.steps[1]], *added]
