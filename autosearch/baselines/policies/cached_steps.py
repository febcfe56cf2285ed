"""Which steps compute, and what the others take instead: patterns of published caches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autosearch.diffusion.sites.sites import RANGE, Site, SiteTable, blocks, parts, span
from autosearch.recipe import parse_action

__all__ = ["IntervalCache", "action_text", "computes"]

Sites = dict[str, str]


def computes(step: int, *, interval: int, warmup: int) -> bool:
    """Whether a step computes everything: the first ``warmup``, then each ``interval``-th.

    The count goes on from the last step of the warm-up (TaylorSeer's released code). ``warmup`` is
    at least 1.
    """
    since = step - (warmup - 1)
    return since <= 0 or since % interval == 0


def action_text(order: int) -> str:
    """How a recipe writes a forecast; that of order 0 is a reuse."""
    return f"forecast:{order}" if order else "reuse"


@dataclass(frozen=True)
class IntervalCache:
    """A cache of few numbers: FORA, TaylorSeer and Delta-DiT are of this form.

    Attributes:
        interval: each so many-th step computes.
        order: of the forecast on the other steps.
        warmup: so many steps compute at the start.
        cached: how many blocks the other steps leave out.
        boundary: the share of the steps that leave out the rear blocks; the later ones leave out
            the front ones (Delta-DiT).
        whole: whether neighbouring blocks are one site, with the difference that they make
            together, instead of each of their parts by itself.
    """

    interval: int
    order: int = 0
    warmup: int = 1
    cached: int | None = None
    boundary: float = 0.0
    whole: bool = False

    def steps(self, count: int, sites: Sequence[Site]) -> list[Sites]:
        """What each of ``count`` steps does at sites."""
        every = blocks(sites)
        size = len(every) if self.cached is None else min(self.cached, len(every))
        rear, front = (self._asked(sites, names) for names in (every[-size:], every[:size]))
        turn = round(self.boundary * count)
        return [
            {}
            if computes(i, interval=self.interval, warmup=self.warmup)
            else dict(rear if i < turn else front)
            for i in range(count)
        ]

    @classmethod
    def shown(
        cls, steps: Sequence[Mapping[str, str]], sites: Sequence[Site]
    ) -> "IntervalCache | None":
        """The cache whose steps these are, if there is one; with the least numbers that do."""
        acting = [i for i, asked in enumerate(steps) if asked]
        if not acting:
            return cls(interval=1)
        first, every = steps[acting[0]], blocks(sites)
        left_out = _left_out(sites, first)
        whole = any(RANGE in name or name in every for name in first)
        warmup = acting[0]
        again = next((i for i in range(warmup, len(steps)) if not steps[i]), len(steps))
        from_front = [i for i in acting if steps[i] != first or left_out[:1] == every[:1]]
        turn = from_front[0] if from_front else len(steps)
        found = cls(
            interval=again - warmup + 1,
            order=max(parse_action(text).order for text in first.values()),
            warmup=warmup,
            cached=len(left_out),
            boundary=round(turn / len(steps), 3) if len(left_out) < len(every) else 0.0,
            whole=whole,
        )
        return found if found.steps(len(steps), sites) == [dict(step) for step in steps] else None

    def _asked(self, sites: Sequence[Site], names: Sequence[str]) -> Sites:
        chosen = [span(names)] if self.whole else parts(sites, names)
        return dict.fromkeys(chosen, action_text(self.order))


def _left_out(sites: Sequence[Site], asked: Mapping[str, str]) -> list[str]:
    """The blocks of which something is asked for."""
    table = SiteTable(sites)
    found: set[str] = set()
    for name in asked:
        here: str | None = table[name].members[0] if table[name].members else name
        found.update(table[name].members)
        while here is not None:
            found.add(here)
            here = table[here].parent
    return [name for name in blocks(sites) if name in found]
