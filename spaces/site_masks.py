"""What families that choose what steps leave out have in common."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autosearch._typing import Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import SiteTable, blocks, parts
from autosearch.errors import UserError, unknown_name
from autosearch.spaces.base import Family, StepGenome

__all__ = ["OwnedSites", "chosen_sites", "cut_points", "paired_steps"]

_GRANULARITIES: dict[str, Callable[..., list[str]]] = {"parts": parts, "blocks": blocks}


class OwnedSites(Family):
    """A family that decides some of what a step leaves out; no other may decide the same."""

    fields: tuple[str, ...] = ("sites",)

    def join(self, families: Sequence[Family]) -> None:
        super().join(families)
        for other in families:
            shared = sorted(set(self.fields) & set(other.fields))
            if other is not self and shared:
                raise UserError(
                    f"space: {other.name} and {self.name} both decide {shared[0]!r}; leave one out"
                )


def chosen_sites(denoiser: Denoiser, given: str | Sequence[str], *, where: str) -> tuple[str, ...]:
    """Sites by granularity (``parts``, ``blocks``), by name, or a list of both, in their order.

    Raises:
        UserError: for a model without sites, an unknown or an empty choice.
    """
    if not denoiser.sites:
        raise UserError(f"{where}: this model has no sites to leave out; leave the family out")
    if isinstance(given, str) and given not in _GRANULARITIES:
        raise unknown_name("granularity", given, _GRANULARITIES, where=where)
    table = SiteTable(denoiser.sites)
    names: dict[str, None] = {}
    for name in [given] if isinstance(given, str) else given:
        if name in _GRANULARITIES:
            names |= dict.fromkeys(_GRANULARITIES[name](denoiser.sites))
        elif name in table:
            names[name] = None
        else:
            raise unknown_name("site", str(name), table, where=where)
    if not names:
        raise UserError(f"{where}: {given!r} are none of this model's sites; name some")
    return tuple(sorted(names, key=table.position))


def paired_steps(steps: Sequence[StepGenome], others: Sequence[StepGenome]) -> list[StepGenome]:
    """For each step the other parent's that stands for it: its equal, or the nearest in time."""
    if len(steps) == len(others):
        return list(others)
    times = np.array([float(step["time"]) for step in others])
    return [others[int(np.abs(times - float(step["time"])).argmin())] for step in steps]


def cut_points(length: int, points: int, rng: Rng) -> np.ndarray[Any, Any]:
    """[length] whether a place comes from the other parent, by crossover at so many points."""
    cuts = np.sort(rng.permutation(max(length - 1, 0))[:points] + 1).tolist()
    taken = np.zeros(length, dtype=bool)
    for i, (start, stop) in enumerate(pairwise([0, *cuts, length])):
        taken[start:stop] = i % 2 == 1
    return taken
