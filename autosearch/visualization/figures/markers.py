"""Which mark stands for what: shapes and line styles first, colour only beside them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from autosearch.study.front import Front
from autosearch.study.point import STEPS, Point

__all__ = [
    "FRONT",
    "INK",
    "LINE",
    "ON_MIDDLE",
    "OTHER",
    "PAPER",
    "REFERENCE",
    "SOFT",
    "BaselineGroup",
    "families",
]

FRONT = "#0b5394"
OTHER = "#8a8a8a"
REFERENCE = "#b45f06"
# Of texts and axes; a page with a dark scheme has other colours in their place.
INK, SOFT, LINE, PAPER = "#000000", "#555555", "#dddddd", "#ffffff"
# Of texts on a fill of middle lightness.
ON_MIDDLE = "#10151a"
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d")
_BEST = 3


@dataclass(frozen=True)
class BaselineGroup:
    """A named way to sample at all its step counts, such as ``ddim-trailing``."""

    name: str
    marker: str
    points: tuple[Point, ...]


def families(front: Front) -> tuple[list[BaselineGroup], list[Point]]:
    """The best three baselines of each cost by family, and all other baselines.

    With several qualities, the best three in any of them; so a family wears one mark in all panels.
    """
    shown = {point.id: point for point in _best_per_cost(front)}
    grouped: dict[str, list[Point]] = {}
    for point in front.ordered(list(shown.values())):
        family = (point.baseline or "").partition("@")[0]
        grouped.setdefault(family, []).append(point)
    groups = [
        BaselineGroup(name, _MARKERS[i % len(_MARKERS)], tuple(points))
        for i, (name, points) in enumerate(sorted(grouped.items()))
    ]
    return groups, [point for point in front.baselines if point.id not in shown]


def _best_per_cost(front: Front) -> Iterator[Point]:
    """The best baselines of each cost, or number of steps where no objective is a cost."""
    cost = STEPS if front.cost is None else front.cost.name
    groups: dict[float, list[Point]] = {}
    for point in front.baselines:
        groups.setdefault(point.value(cost), []).append(point)
    qualities = [axis for axis in front.axes if axis != front.cost] or front.axes
    for points, axis in itertools.product(groups.values(), qualities):
        yield from sorted(points, key=lambda p: (axis.signed(p.value(axis.name)), p.id))[:_BEST]
