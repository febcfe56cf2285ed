"""Caches behind a threshold, decided for each sample (published: for a batch as a whole)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.baselines.base import Policy, RecipeData, Setting
from autosearch.baselines.policies.caches import action_text
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import Site, blocks, span
from autosearch.recipe import parse_action

__all__ = ["POLICIES", "GatedCache"]

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
    def from_gates(
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


def _policy(
    summary: str, settings: tuple[Setting, ...], cache: Callable[..., GatedCache]
) -> Policy:
    """A policy that writes the gates of a cache of settings."""

    def apply(data: RecipeData, denoiser: Denoiser, *values: Any) -> None:
        gates = cache(*values).steps(len(data["steps"]), denoiser.sites)
        for step, gate in zip(data["steps"], gates, strict=True):
            if gate is not None:
                step["gate"] = gate

    return Policy(summary, settings, apply, "gate")


def _threshold(default: float) -> Setting:
    return Setting("threshold", default, 0, 1e6, whole=False)


POLICIES = {
    # Its setting for DiT-XL at 50 steps: threshold 0.008; orders 3 for the first block and 1 for
    # the last; the first 3 steps and the last one always compute. FLUX: 0.13 or 0.03, orders 1, 1.
    "cgtaylor": _policy(
        "CG-Taylor (2025): the last block's forecast where the first block's is good",
        (
            _threshold(0.008),
            Setting("probe order", 3, 0, 4),
            Setting("order", 1, 0, 4),
            Setting("warmup", 3, 1, 1000),
        ),
        lambda threshold, probe, order, warmup: GatedCache(
            threshold, probe_order=probe, order=order, warmup=warmup, tail=1
        ),
    ),
    # As in diffusers: threshold 0.05, one block.
    "fbc": _policy(
        "first-block cache: the rest is reused where the first block hardly changed",
        (_threshold(0.05),),
        lambda threshold: GatedCache(threshold, "change"),
    ),
    # Of cache-dit: threshold 0.08, the first 8 blocks and 8 steps always computed; its defaults,
    # without blocks computed at the end. A model of fewer blocks keeps all but one.
    "dbcache": _policy(
        "DBCache (cache-dit): as first-block cache, with more blocks and a warm-up",
        (_threshold(0.08), Setting("first", 8, 1, 1000), Setting("warmup", 8, 1, 1000)),
        lambda threshold, first, warmup: GatedCache(
            threshold, "change", first=first, warmup=warmup
        ),
    ),
}
