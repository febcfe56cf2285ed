"""SMS-EMOA: who adds least to the hypervolume goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

from autosearch.algorithms.evolution import Evolution

__all__ = ["SMSEMOA"]

# Keeps the upper bounds of the population above the lower ones, as pymoo has it.
_NO_RANGE = 1e-32


@dataclass(kw_only=True, eq=False)
class SMSEMOA(Evolution):
    """SMS-EMOA (Beume, Naujoks & Emmerich 2007), steady-state as published.

    Of the last front, the one with the least hypervolume contribution goes; values are scaled to
    the population's range before the newcomer. Deviates from the paper in parents, which it draws
    at random (``tournament: 1``), in mates that are near, and in random newcomers.

    The settings are those of :class:`autosearch.algorithms.evolution.Evolution`.

    Raises:
        UserError: for fewer than two objectives.
    """

    name = "smsemoa"
    summary = "steady-state SMS-EMOA: survival by contribution to the hypervolume"

    def __post_init__(self) -> None:
        self._require_several_objectives()
        super().__post_init__()
        self._survival = LeastHypervolumeContributionSurvival()

    def _survival_settings(self) -> Mapping[str, Any]:
        if len(self.survivors) == 0:
            return {}
        ideal, nadir = self.survivors.min(axis=0), self.survivors.max(axis=0)
        return {"ideal": ideal, "nadir": nadir + _NO_RANGE}
