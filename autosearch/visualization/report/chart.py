"""The picture of a front: points with error bars beside the named baselines."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.text import amount, amount_with_error
from autosearch.visualization.figures.front import pairs
from autosearch.visualization.figures.markers import BaselineGroup, families
from autosearch.visualization.report.marks import key, mark
from autosearch.visualization.report.scale import Scale, fitted
from autosearch.visualization.report.svg import picture, tag

__all__ = ["Chart", "charts", "hover", "legend"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 28, 42
_RADIUS = 5
# Where the pointer need not be exact.
_REACH = 11
_MOST_NAMES = 14
# Half the width of the cap of an error bar.
_CAP = 4
_LETTER = 6.4
_SIZES = {"wide": (940, 470), "half": (460, 360), "narrow": (372, 330)}


@dataclass(frozen=True)
class Chart:
    """A panel for wide pages and the same for narrow ones."""

    wide: Markup
    narrow: Markup


def charts(view: FrontView) -> list[Chart]:
    """A panel for each pair of objectives: one for two of them, three for three."""
    found = pairs(view)
    wide = "wide" if len(found) == 1 else "half"
    return [
        Chart(_panel(view, x, y, size=wide), _panel(view, x, y, size="narrow")) for x, y in found
    ]


def legend(view: FrontView) -> list[tuple[Markup, str]]:
    """A small picture of each kind of mark, and what it stands for."""
    grouped, others = families(view)
    entries = [(key("o", "front"), "front, 95% interval" if view.validated else "front (search)")]
    if view.overtaken:
        entries.append((key("o", "overtaken"), "overtaken"))
    entries += [(key(family.marker, "other"), family.name) for family in grouped]
    if others:
        entries.append((key(".", "dot"), "other baselines"))
    if any(view.reference_value(axis.name) is not None for axis in view.axes):
        recipe = view.table["reference"]["recipe"]
        entries.append((key("-", "reference"), f"reference {recipe}"))
    return entries


def hover(view: FrontView, point: Point) -> str:
    """What a point says when it is pointed at."""
    values = ", ".join(
        f"{axis.name} {amount_with_error(point.value(axis.name), point.half_width(axis.name))}"
        for axis in view.axes
    )
    return f"{point.name}, {point.steps} steps: {values}"


def _panel(view: FrontView, x: Axis, y: Axis, *, size: str) -> Markup:
    width, height = _SIZES[size]
    shown = [*view.points, *view.baselines]
    level = view.reference_value(y.name)
    xs = fitted([p.value(x.name) for p in shown], _LEFT, width - _RIGHT, is_cost=x == view.cost)
    ys = fitted(
        [p.value(y.name) for p in shown],
        height - _BOTTOM,
        _TOP,
        is_cost=y == view.cost,
        levels=[] if level is None else [level],
    )
    drawing = _Drawing(view, x, y, xs, ys, width, height)
    parts = [*drawing.axes(), *drawing.reference(level), *drawing.baselines(), *drawing.front()]
    parts += drawing.names()
    label = (
        f"{y.name} against {x.name}: {len(view.front)} points of the front and "
        f"{len(view.baselines)} baselines; every value stands in the tables below"
    )
    return picture(parts, width=width, height=height, label=label, class_="chart")


@dataclass(frozen=True)
class _Drawing:
    """One panel in the making."""

    view: FrontView
    x: Axis
    y: Axis
    xs: Scale
    ys: Scale
    width: float
    height: float

    def axes(self) -> Iterator[Markup]:
        """Grid lines, ticks and names of the objectives."""
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        for place, text in self.ys.ticks(7):
            yield tag("line", x1=_LEFT, x2=right, y1=place, y2=place, class_="grid")
            yield tag("text", text, x=_LEFT - 6, y=place + 4, class_="tick end")
        for place, text in self.xs.ticks(9 if self.width > 400 else 6):
            yield tag("line", x1=place, x2=place, y1=_TOP, y2=bottom, class_="grid")
            yield tag("text", text, x=place, y=bottom + 16, class_="tick middle")
        better = "higher" if self.y.direction == "maximize" else "lower"
        yield tag("text", f"{self.y.label}, {better} is better", x=4, y=14, class_="name")
        yield tag("text", self.x.label, x=right, y=self.height - 6, class_="name end")

    def reference(self, level: float | None) -> Iterator[Markup]:
        """A dashed line at the reference's value, where it can be shown."""
        if level is not None and self.ys.low <= level <= self.ys.high:
            place, right = self.ys.at(level), self.width - _RIGHT
            title = tag("title", f"reference: {self.y.name} {amount(level)}")
            line = tag("line", x1=_LEFT, x2=right, y1=place, y2=place, class_="reference")
            yield tag("g", title, line)

    def baselines(self) -> Iterator[Markup]:
        """The best of each cost by the marks of their families, the others as dots."""
        grouped, others = families(self.view)
        for point in others:
            yield self._marked(point, ".", "dot")
        costs = sorted({point.value(self.x.name) for point in self.view.baselines})
        for family in grouped:
            if self.view.cost == self.x:
                yield from self._joins(family, costs)
            for point in family.points:
                yield self._marked(point, family.marker, "other")

    def front(self) -> Iterator[Markup]:
        """Overtaken points, then the front with its error bars and, for two objectives, steps."""
        for point in self.view.overtaken:
            yield self._marked(point, "o", "overtaken")
        points = sorted(self.view.front, key=lambda p: p.value(self.x.name))
        if self.view.cost == self.x and len(self.view.axes) == 2 and points:
            yield self._steps(points)
        shapes = {p.id: f.marker for f in families(self.view)[0] for p in f.points}
        for point in points:
            inside = ""
            if point.baseline is not None:
                at = self._at(point)
                inside = mark(shapes.get(point.id, "."), *at, size=2.6, class_="inside")
            yield self._marked(point, "o", "front", *self._bars(point), after=inside)

    def names(self) -> Iterator[Markup]:
        """Names of searched points beside them, as far as none covers another."""
        taken: list[tuple[float, float]] = []
        searched = [point for point in self.view.front if point.baseline is None]
        for point in searched if len(searched) <= _MOST_NAMES else []:
            x, y = self._at(point)
            free = all(abs(x - a) > _LETTER * 6 or abs(y - b) > 14 for a, b in taken)
            if free and x + 8 + _LETTER * len(point.name) < self.width:
                taken.append((x, y))
                yield tag("text", point.name, x=x + 8, y=y - 7, class_="tick")

    def _at(self, point: Point) -> tuple[float, float]:
        return self.xs.at(point.value(self.x.name)), self.ys.at(point.value(self.y.name))

    def _marked(
        self, point: Point, shape: str, class_: str, *before: Markup, after: str = ""
    ) -> Markup:
        x, y = self._at(point)
        size = _RADIUS if shape == "o" else 4.6
        return tag(
            "g",
            tag("title", hover(self.view, point)),
            *before,
            tag("circle", cx=x, cy=y, r=_REACH, class_="reach"),
            mark(shape, x, y, size=size, class_=class_),
            after,
        )

    def _bars(self, point: Point) -> Iterator[Markup]:
        """Intervals with caps; an end that leaves the panel has none."""
        x, y = self._at(point)
        for axis, scale in ((self.x, self.xs), (self.y, self.ys)):
            low, high = point.interval(axis.name)
            if low == high:
                continue
            a, b = (scale.at(min(max(v, scale.low), scale.high)) for v in (low, high))
            path = f"M{a:.1f} {y:.1f}H{b:.1f}" if axis == self.x else f"M{x:.1f} {a:.1f}V{b:.1f}"
            for value, place in ((low, a), (high, b)):
                if not scale.low <= value <= scale.high:
                    continue
                if axis == self.x:
                    path += f"M{place:.1f} {y - _CAP:.1f}v{2 * _CAP}"
                else:
                    path += f"M{x - _CAP:.1f} {place:.1f}h{2 * _CAP}"
            yield tag("path", d=path, class_="bar")

    def _joins(self, family: BaselineGroup, costs: Sequence[float]) -> Iterator[Markup]:
        """A thin line through neighbouring costs, broken where one between them is missing."""
        for a, b in itertools.pairwise(family.points):
            if costs.index(b.value(self.x.name)) <= costs.index(a.value(self.x.name)) + 1:
                (x1, y1), (x2, y2) = self._at(a), self._at(b)
                yield tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="join")

    def _steps(self, points: Sequence[Point]) -> Markup:
        """Between two points the cheaper one is the best there is."""
        places = [self._at(point) for point in points]
        path = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
        path += "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
        end = self.xs.at(max(p.value(self.x.name) for p in [*points, *self.view.baselines]))
        return tag("path", d=f"{path}H{end:.1f}", class_="steps pale")
