"""Few-step: a schedule of four numbers, for searches with few evaluations of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.few_step import PRESETS, FewStep, few_step_times
from autosearch.errors import UserError
from autosearch.recipe import round_float
from autosearch.spaces.base import Family, Genome, Parameter, Rng, StepGenome
from autosearch.spaces.timesteps import checked_range

__all__ = ["FewStepSchedule"]

_N = (4, 20)
_RHO = (1.0, 12.0)
_RHO_T = (0.5, 3.0)
_NUMBERS = ("n", "rho", "k", "rho_t")
# What stands where a genome brings no numbers, clipped to the count.
_DEFAULT = PRESETS[6]


class FewStepSchedule(Family):
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
    steps: tuple[int, int]

    def __init__(self, denoiser: Denoiser, *, steps: Sequence[int] = (2, 10)) -> None:
        super().__init__(denoiser)
        self.steps = checked_range(steps, where="space.few_step.steps")
        if denoiser.schedule.family == "flow":
            raise UserError(
                "space.few_step: it needs a finite noisiest level, and flow models start from "
                "pure noise; use timesteps"
            )
        self._start = "scheduler" if denoiser.schedule.family == "edm" else "unit"

    def randomize(self, genome: Genome, rng: Rng) -> None:
        numbers = {name: self._draw(name, rng) for name in _NUMBERS}
        count = int(rng.integers(self.steps[0], self.steps[1] + 1))
        genome["start"] = {"scale": self._start}
        genome["steps"] = [{} for _ in range(count)]
        self.set_genes(genome, numbers)
        self.repair(genome)

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One number anew or a little, or one step more or less."""
        steps, numbers = genome["steps"], self._numbers(genome)
        if rng.random() < 0.25 and self.steps[0] < self.steps[1]:
            grows = len(steps) == self.steps[0] or (
                len(steps) < self.steps[1] and rng.random() < 0.5
            )
            if grows:
                steps.append(dict(steps[-1]))
            else:
                steps.pop()
        else:
            name = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
            if name.startswith("rho") and rng.random() < 0.75:
                numbers[name] *= float(rng.lognormal(0.0, 0.15))
            else:
                numbers[name] = self._draw(name, rng)
        self.set_genes(genome, numbers)
        self.repair(genome)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Each number from either parent."""
        mine, theirs = self._numbers(child), self._numbers(other)
        for name in _NUMBERS:
            if rng.random() < 0.5:
                mine[name] = theirs[name]
        self.set_genes(child, mine)
        self.repair(child)

    def repair(self, genome: Genome) -> None:
        steps = self._fit_length(genome["steps"])
        genome["steps"] = steps
        numbers = self._clipped(self._numbers(genome))
        self.set_genes(genome, numbers)
        *times, stop = self._times(len(steps), numbers)
        for step, time in zip(steps, times, strict=True):
            step["time"] = round_float(time)
            step.pop("log_snr", None)
        genome["end"] = round_float(self.denoiser.schedule.log_snr(stop))

    def encodes(self, genome: Genome) -> bool:
        count = len(genome["steps"])
        if not self.steps[0] <= count <= self.steps[1]:
            return False
        times = self._times(count, self._clipped(self._numbers(genome)))
        return [round_float(t) for t in times[:-1]] == [s["time"] for s in genome["steps"]]

    def box(self) -> Sequence[Parameter]:
        """The step count and the four numbers; ``k`` as a share of ``n``."""
        return (
            Parameter("steps", "int", self.steps[0], self.steps[1]),
            Parameter("n", "int", *_N),
            Parameter("rho", "float", *_RHO),
            Parameter("k", "float", 0.0, 1.0),
            Parameter("rho_t", "float", *_RHO_T),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        n = int(values["n"])
        numbers = {
            "n": n,
            "rho": float(values["rho"]),
            "k": 1 + min(int(float(values["k"]) * (n - 1)), n - 2),
            "rho_t": float(values["rho_t"]),
        }
        genome["start"] = {"scale": self._start}
        genome["steps"] = [{} for _ in range(int(values["steps"]))]
        self.set_genes(genome, numbers)
        self.repair(genome)

    def _numbers(self, genome: Genome) -> dict[str, Any]:
        """The genome's numbers; those published for its length where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        preset = PRESETS.get(len(genome["steps"]), _DEFAULT)
        return {name: getattr(preset, name) for name in _NUMBERS}

    def _times(self, count: int, numbers: Mapping[str, Any]) -> list[float]:
        return few_step_times(self.denoiser.schedule, count, FewStep(**numbers))

    def _fit_length(self, steps: list[StepGenome]) -> list[StepGenome]:
        missing = self.steps[0] - len(steps)
        if missing > 0:
            last = steps[-1] if steps else {}
            return [*steps, *(dict(last) for _ in range(missing))]
        return steps[: self.steps[1]]

    def _clipped(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        n = min(max(int(numbers["n"]), _N[0]), _N[1])
        return {
            "n": n,
            "rho": round(min(max(float(numbers["rho"]), _RHO[0]), _RHO[1]), 3),
            "k": min(max(int(numbers["k"]), 1), n - 1),
            "rho_t": round(min(max(float(numbers["rho_t"]), _RHO_T[0]), _RHO_T[1]), 3),
        }

    @staticmethod
    def _draw(name: str, rng: Rng) -> Any:
        match name:
            case "n":
                return int(rng.integers(_N[0], _N[1] + 1))
            case "k":
                return int(rng.integers(1, _N[1]))
            case "rho":
                return float(rng.uniform(*_RHO))
            case _:
                return float(rng.uniform(*_RHO_T))
