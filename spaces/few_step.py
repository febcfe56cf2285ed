"""Few-step: a schedule of four numbers, for searches with few evaluations of their own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.few_step import PRESETS, FewStep, few_step_times
from autosearch.errors import UserError
from autosearch.recipe import round_float
from autosearch.spaces.base import Genome, Parameter
from autosearch.spaces.gene_times import TimeFamily
from autosearch.spaces.genes import Genes, Real, Whole

__all__ = ["FewStepSchedule"]

# What stands where a genome brings no numbers, clipped to the count.
_DEFAULT = PRESETS[6]
# Logarithm of a move's factor, and how likely a power moves instead of being drawn anew.
_FACTOR, _MOVES = 0.15, 0.75


@dataclass(kw_only=True, eq=False)
class FewStepSchedule(TimeFamily):
    """The closed-form schedule of "Hyperparameters are all you need" as a space.

    A genome's four numbers stand beside its steps, under ``genes``; its times follow from them.
    See :mod:`autosearch.diffusion.few_step` for what they mean.

    Args:
        steps: the least and the largest number of steps, both included.
    """

    name = "few_step"
    summary = "times by a closed form of four numbers, variable length"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ranges = {
            "n": Whole(4, 20),
            "rho": Real(1.0, 12.0, factor=_FACTOR),
            "k": _Share(1, 19),
            "rho_t": Real(0.5, 3.0, factor=_FACTOR),
        }
        if self.denoiser.schedule.family == "flow":
            raise UserError(
                "space.few_step: it needs a finite noisiest level, and flow models start from "
                "pure noise; use timesteps"
            )

    def move_one(self, names: Iterable[str], genes: Genes, rng: Rng) -> None:
        """One number anew; a power mostly by a little."""
        name = str(rng.choice(list(names)))
        gene = self.ranges[name]
        moves = isinstance(gene, Real) and rng.random() < _MOVES
        genes[name] = gene.move(genes[name], rng) if moves else gene.draw(rng)

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        return {name: (theirs if rng.random() < 0.5 else mine)[name] for name in self.ranges}

    def clip(self, genes: Genes) -> Genes:
        """The nearest genes inside the settings; ``k`` is less than ``n``."""
        clipped = super().clip(genes)
        return {**clipped, "k": min(clipped["k"], clipped["n"] - 1)}

    def per_step(self, genes: Genes, count: int) -> list[float]:
        return [round_float(time) for time in self._times(genes, count)[:-1]]

    def end(self, genes: Genes, count: int) -> float:
        return round_float(self.denoiser.schedule.log_snr(self._times(genes, count)[-1]))

    def read_genes(self, genome: Genome) -> Genes:
        """The numbers published for the genome's length."""
        preset = PRESETS.get(len(genome["steps"]), _DEFAULT)
        return {name: getattr(preset, name) for name in self.ranges}

    def point(self, values: Mapping[str, Any]) -> Genes:
        n = int(values["n"])
        k = 1 + min(int(float(values["k"]) * (n - 1)), n - 2)
        return {**super().point(values), "k": k}

    def _times(self, genes: Genes, count: int) -> list[float]:
        """[count + 1] times, the last of them where the recipe ends."""
        return few_step_times(self.denoiser.schedule, count, FewStep(**genes))


class _Share(Whole):
    """A whole number that a box gives as a share of another one."""

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "float", 0.0, 1.0)
