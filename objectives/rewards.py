"""Rewards: models that score single images, given what was asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from autosearch.objectives.means import MeanObjective

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


class RewardObjective(MeanObjective):
    """The mean of a reward over the samples.

    A subclass gives ``name``, ``summary`` and ``reward``; registered under the entry point group
    ``autosearch.objectives``, it is one more objective that experiments may name.
    """

    direction = "maximize"
    reward: ClassVar[type[Reward]]

    def __init_subclass__(cls) -> None:
        cls.needs = frozenset({cls.name})
