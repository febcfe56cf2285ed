"""The shapes of named baselines, the same as in ``front.png``."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from autosearch.visualization.report.svg import tag

__all__ = ["key", "mark"]

Corners = list[tuple[float, float]]

_KEY = 18
_SIZE = 4.6


def mark(shape: str, x: float, y: float, *, size: float = _SIZE, class_: str = "other") -> Markup:
    """A shape centred on a place; ``o`` is a circle and ``.`` a dot."""
    if shape in "o.":
        return tag("circle", cx=x, cy=y, r=size if shape == "o" else size / 2, class_=class_)
    corners = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in _SHAPES[shape])
    return tag("polygon", points=corners, class_=class_)


def key(shape: str, class_: str) -> Markup:
    """A small picture of a mark for a legend, whose text says what it is."""
    middle = _KEY / 2
    if shape == "-":
        drawn = tag("line", x1=0, x2=_KEY, y1=middle, y2=middle, class_=class_)
    else:
        drawn = mark(shape, middle, middle, class_=class_)
    return tag("svg", drawn, width=_KEY, height=_KEY, aria_hidden="true", class_="key")


def _regular(
    corners: int, turn: float = 0.0, inner: float | None = None
) -> list[tuple[float, float]]:
    """A regular polygon with a corner on top, or a star."""
    count = corners if inner is None else 2 * corners
    radii = [1.15 if inner is None or i % 2 == 0 else 1.15 * inner for i in range(count)]
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [(r * math.sin(a), -r * math.cos(a)) for r, a in zip(radii, angles, strict=True)]


def _plus(turn: float = 0.0) -> Corners:
    a, b = 1.1, 0.4
    corners = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b)]
    corners += [(-a, b), (-a, -b), (-b, -b)]
    c, s = math.cos(turn), math.sin(turn)
    return [(c * x - s * y, s * x + c * y) for x, y in corners]


# By the letters of autosearch.visualization.figures.markers.
_SHAPES: Mapping[str, Corners] = {
    "s": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "^": _regular(3),
    "v": _regular(3, math.pi),
    "<": _regular(3, -math.pi / 2),
    ">": _regular(3, math.pi / 2),
    "D": _regular(4),
    "d": [(0, -1.2), (0.7, 0), (0, 1.2), (-0.7, 0)],
    "p": _regular(5),
    "h": _regular(6),
    "*": _regular(5, inner=0.42),
    "P": _plus(),
    "X": _plus(math.pi / 4),
}
