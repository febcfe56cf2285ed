"""Which mark stands for what: shapes and line styles first, colour only beside them."""

from dataclasses import dataclass

from autosearch.study.front import Front
from autosearch.study.point import Point

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
    shown = _best_per_cost(front)
    grouped: dict[str, list[Point]] = {}
    for point in front.ordered(list(shown.values())):
        family = (point.baseline or "").partition("@")[0]
        grouped.setdefault(family, []).append(point)
    found = [
        BaselineGroup(name, _MARKERS[i % len(_MARKERS)], tuple(points))
        for i, (name, points) in enumerate(sorted(grouped.items()))
    ]
    return found, [point for point in front.baselines if point.id not in shown]


def _best_per_cost(front: Front) -> dict[int, Point]:
    best = {}
    qualities = [axis for axis in front.axes if axis != front.cost] or front.axes
    for points in _by_cost(front).values():
        for axis in qualities:
            ranked = sorted(points, key=lambda p: (axis.signed(p.value(axis.name)), p.id))
            best.update({point.id: point for point in ranked[:_BEST]})
    return best


def _by_cost(front: Front) -> dict[float, list[Point]]:
    """Baselines by cost; by their number of steps where no objective is a cost."""
    groups: dict[float, list[Point]] = {}
    for point in front.baselines:
        cost = point.value(front.cost.name) if front.cost is not None else float(point.steps)
        groups.setdefault(cost, []).append(point)
    return groups
