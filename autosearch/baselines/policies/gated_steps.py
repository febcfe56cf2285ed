"""Gates with the same numbers at every step, as published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.baselines.policies.cached_steps import action_text
from autosearch.diffusion.sites.sites import Site, blocks, span
from autosearch.recipe import parse_action

__all__ = ["GatedCache"]

GateData = dict[str, Any]


@dataclass(frozen=True)
class GatedCache:
    """The first blocks always compute; the rest only where the last of them changed enough.

    Attributes:
        threshold: see :class:`autosearch.recipe.Gate`; 0 is no gate at all.
        measure: ``forecast``: what passes takes the forecast of the last block's output
            (CG-Taylor). ``change``: it adds what the rest did together (first-block cache).
        probe_order: of the probe's forecast.
        order: of the forecast of the rest.
        first: how many blocks always compute.
        warmup, tail: so many steps at the start and at the end compute everything.
    """

    threshold: float
    measure: Literal["forecast", "change"] = "forecast"
    probe_order: int = 0
    order: int = 0
    first: int = 1
    warmup: int = 1
    tail: int = 0

    def steps(self, count: int, sites: Sequence[Site]) -> list[GateData | None]:
        """The gate of each of ``count`` steps, as recipes write it; None where there is none."""
        every = blocks(sites)
        size = min(self.first, len(every) - 1)
        rest = span(every[size:])
        gate: GateData = {"probe": every[size - 1], "threshold": self.threshold}
        if self.measure == "change":
            gate |= {"measure": "change", "covers": {rest: action_text(self.order)}}
        else:
            gate |= {"order": self.probe_order} if self.probe_order else {}
            gate["covers"] = {rest: f"output:{self.order}"}
        return [
            dict(gate) if self.threshold and self.warmup <= i < count - self.tail else None
            for i in range(count)
        ]

    @classmethod
    def shown(
        cls, steps: Sequence[Mapping[str, Any] | None], sites: Sequence[Site]
    ) -> "GatedCache | None":
        """The numbers of these gates, where they are so regular."""
        gated = [i for i, gate in enumerate(steps) if gate]
        if not gated:
            return cls(threshold=0.0)
        first, every = steps[gated[0]], blocks(sites)
        assert first is not None
        if first["probe"] not in every or len(first["covers"]) != 1:
            return None
        (action,) = (parse_action(text) for text in first["covers"].values())
        found = cls(
            threshold=first["threshold"],
            measure=first.get("measure", "forecast"),
            probe_order=first.get("order", 0),
            order=action.order,
            first=every.index(first["probe"]) + 1,
            warmup=gated[0],
            tail=len(steps) - 1 - gated[-1],
        )
        return found if found.steps(len(steps), sites) == list(steps) else None
