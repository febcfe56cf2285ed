"""Caches at regular intervals, by step and block alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch.baselines.base import Policy, RecipeData, Setting
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import RANGE, Site, SiteTable, blocks, parts, span
from autosearch.recipe import parse_action

__all__ = ["POLICIES", "IntervalCache", "action_text", "computes"]

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
        """The actions of each of ``count`` steps, by site."""
        every = blocks(sites)
        size = len(every) if self.cached is None else min(self.cached, len(every))
        rear, front = (self._actions(sites, names) for names in (every[-size:], every[:size]))
        turn = round(self.boundary * count)
        return [
            {}
            if computes(i, interval=self.interval, warmup=self.warmup)
            else dict(rear if i < turn else front)
            for i in range(count)
        ]

    @classmethod
    def from_steps(
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

    def _actions(self, sites: Sequence[Site], names: Sequence[str]) -> Sites:
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


def _policy(
    summary: str, settings: tuple[Setting, ...], cache: Callable[..., IntervalCache]
) -> Policy:
    """A policy that writes the cache of a model and of settings into each step."""

    def apply(data: RecipeData, denoiser: Denoiser, *values: Any) -> None:
        written = cache(denoiser, *values).steps(len(data["steps"]), denoiser.sites)
        for step, sites in zip(data["steps"], written, strict=True):
            step["sites"] = sites

    return Policy(summary, settings, apply, "sites")


POLICIES = {
    # Attention and feed-forward of all blocks, at interval 3.
    "fora": _policy(
        "FORA (Selvaraju et al. 2024): every interval-th step computes, the others reuse",
        (Setting("interval", 3, 1, 1000),),
        lambda denoiser, interval: IntervalCache(interval),
    ),
    # Module by module. Published for DiT at 50 steps: interval 4, order 4, the first 2 steps
    # computed; for FLUX: 6, 1 and 3. It forecasts in the step's number; we do in the network's
    # time, whose gaps are the true ones where a grid is uneven, and with divided differences.
    "taylorseer": _policy(
        "TaylorSeer (Liu et al. 2025): as FORA, the others forecast",
        (
            Setting("interval", 4, 1, 1000),
            Setting("order", 4, 0, 4),
            Setting("warmup", 2, 1, 1000),
        ),
        lambda denoiser, *numbers: IntervalCache(*numbers),
    ),
    # What a range of blocks adds; first the rear, then the front. The paper sets the interval, the
    # number of blocks and the boundary by hand for each model, and we could not check its values:
    # ours leave out three quarters of the blocks on every second step, and turn half-way.
    "delta": _policy(
        "Delta-DiT (Chen et al. 2024): the difference of a range of blocks is reused",
        (
            Setting("interval", 2, 1, 1000),
            Setting("share", 0.75, 0, 1, whole=False),
            Setting("boundary", 0.5, 0, 1, whole=False),
        ),
        lambda denoiser, interval, share, boundary: IntervalCache(
            interval,
            cached=max(round(share * len(blocks(denoiser.sites))), 1),
            boundary=boundary,
            whole=True,
        ),
    ),
}
