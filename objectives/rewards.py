"""Rewards: models that score single images, given what was asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from autosearch.objectives.base import Estimate, Objective, Rows
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, mean_estimate
from autosearch.objectives.rows import generated

__all__ = ["Reward", "RewardObjective"]


class Reward(ABC):
    """Scores images; lives where the samples are made."""

    @classmethod
    @abstractmethod
    def load(cls, settings: Mapping[str, Any], *, where: str) -> "Reward":
        """Build it from an experiment's settings, ``{"path": ...}`` at least.

        Raises:
            UserError: for files that cannot be read, or a package that is missing.
        """

    @abstractmethod
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [N] of uint8 RGB images [N, 3, H, W], each for its own prompt."""


class RewardObjective(Objective):
    """The mean of a reward over the samples.

    A subclass gives ``name``, ``summary`` and ``reward``; registered under the entry point group
    ``autosearch.objectives``, it is one more objective that experiments may name.
    """

    direction = "maximize"
    reward: ClassVar[type[Reward]]

    def __init_subclass__(cls) -> None:
        cls.needs = frozenset({cls.name})

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """One sample in each of twenty blocks: a mean is unbiased at any number."""
        return ENOUGH_BLOCKS

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The mean of the scores [N]; the reference is not used."""
        return mean_estimate(generated(rows, self.name, objective=self.name, ndim=1), blocks)
