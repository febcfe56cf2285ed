"""Few-step: a schedule of four numbers, for searches with few evaluations of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.few_step import PRESETS, FewStep, few_step_times
from autosearch.errors import UserError
from autosearch.recipe import round_float
from autosearch.spaces.base import Genome, Parameter, StepGenome, checked_ends
from autosearch.spaces.genes import GeneFamily, Genes, Real, Whole
from autosearch.spaces.timesteps import MOST_STEPS

__all__ = ["FewStepSchedule"]

# What stands where a genome brings no numbers, clipped to the count.
_DEFAULT = PRESETS[6]


@dataclass(kw_only=True, eq=False)
class FewStepSchedule(GeneFamily):
    """The closed-form schedule of "Hyperparameters are all you need" as a space.

    A genome's four numbers stand beside its steps, under ``genes``; its times follow from them.
    See :mod:`autosearch.diffusion.few_step` for what they mean.

    Args:
        steps: the least and the largest number of steps, both included.
    """

    name = "few_step"
    summary = "times by a closed form of four numbers, variable length"
    fields = ("time", "log_snr")
    odds = 0.8
    owns_length = True

    steps: tuple[int, int] = (2, 10)

    def __post_init__(self) -> None:
        self.ranges = {
            "n": Whole(4, 20),
            "rho": Real(1.0, 12.0),
            "k": Whole(1, 19),
            "rho_t": Real(0.5, 3.0),
        }
        self.steps = checked_ends("space.few_step.steps", self.steps, 1, MOST_STEPS, whole=True)
        if self.denoiser.schedule.family == "flow":
            raise UserError(
                "space.few_step: it needs a finite noisiest level, and flow models start from "
                "pure noise; use timesteps"
            )
        self._start = "scheduler" if self.denoiser.schedule.family == "edm" else "unit"

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes = self.draw(rng)
        self._restart(genome, int(rng.integers(self.steps[0], self.steps[1] + 1)))
        self.write(genome, genes)

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """One number anew or a little, or one step more or less."""
        steps = genome["steps"]
        if rng.random() < 0.25 and self.steps[0] < self.steps[1]:
            grows = len(steps) == self.steps[0] or (
                len(steps) < self.steps[1] and rng.random() < 0.5
            )
            if grows:
                steps.append(dict(steps[-1]))
            else:
                steps.pop()
        else:
            name = list(self.ranges)[int(rng.integers(len(self.ranges)))]
            if name.startswith("rho") and rng.random() < 0.75:
                genes[name] *= float(rng.lognormal(0.0, 0.15))
            else:
                genes[name] = self.ranges[name].draw(rng)

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        return {name: (theirs if rng.random() < 0.5 else mine)[name] for name in self.ranges}

    def clip(self, genes: Genes) -> Genes:
        """The nearest genes inside the settings; ``k`` is less than ``n``."""
        clipped = super().clip(genes)
        return {**clipped, "k": min(clipped["k"], clipped["n"] - 1)}

    def per_step(self, genes: Genes, count: int) -> list[float]:
        return [round_float(time) for time in self._times(genes, count)[:-1]]

    def read_genes(self, genome: Genome) -> Genes:
        """The numbers published for the genome's length."""
        preset = PRESETS.get(len(genome["steps"]), _DEFAULT)
        return {name: getattr(preset, name) for name in self.ranges}

    def repair(self, genome: Genome) -> None:
        genome["steps"] = self._fit_length(genome["steps"])
        super().repair(genome)

    def write(self, genome: Genome, genes: Genes) -> None:
        """Clip and store genes, and write times and end."""
        super().write(genome, genes)
        for step in genome["steps"]:
            step.pop("log_snr", None)
        stop = self._times(self.clip(genes), len(genome["steps"]))[-1]
        genome["end"] = round_float(self.denoiser.schedule.log_snr(stop))

    def encodes(self, genome: Genome) -> bool:
        return self.steps[0] <= len(genome["steps"]) <= self.steps[1] and super().encodes(genome)

    def box(self) -> Sequence[Parameter]:
        """The step count and the four numbers; ``k`` as a share of ``n``."""
        numbers = {name: gene.parameter(name) for name, gene in self.ranges.items()}
        numbers["k"] = Parameter("k", "float", 0.0, 1.0)
        return (Parameter("steps", "int", *self.steps), *numbers.values())

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        n = int(values["n"])
        k = 1 + min(int(float(values["k"]) * (n - 1)), n - 2)
        self._restart(genome, int(values["steps"]))
        self.write(genome, {**values, "k": k})

    def _restart(self, genome: Genome, count: int) -> None:
        genome["start"] = {"scale": self._start}
        genome["steps"] = [{} for _ in range(count)]

    def _times(self, genes: Genes, count: int) -> list[float]:
        """[count + 1] times, the last of them where the recipe ends."""
        return few_step_times(self.denoiser.schedule, count, FewStep(**genes))

    def _fit_length(self, steps: list[StepGenome]) -> list[StepGenome]:
        missing = self.steps[0] - len(steps)
        if missing > 0:
            last = steps[-1] if steps else {}
            return [*steps, *(dict(last) for _ in range(missing))]
        return steps[: self.steps[1]]
