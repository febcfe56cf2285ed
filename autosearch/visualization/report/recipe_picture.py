"""The picture of a recipe: where its steps stand in time, and what each of them does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sites.blocks import parts
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.recipe import Recipe, Step
from autosearch.recipe.describe import summary
from autosearch.text import number
from autosearch.visualization.figures.recipe import ActionCell, acts, cells, step_costs
from autosearch.visualization.report.svg import picture, tag

__all__ = ["KINDS", "Drawn", "recipe_picture"]

# What a cell may be, and the words for it.
KINDS = {
    "compute": "compute",
    "gated": "each sample decides",
    "forecast": "forecast, of the order written",
    "reuse": "reuse",
    "skip": "skip",
}
_LEFT = 118
_RIGHT = 12
_LEAST_WIDTH = 330
_ROW = 22
_SITE = 11
_GAP = 8
# Above the axis of time, and from it to the first row of cells.
_HEAD, _FAN = 20, 34
_BAR = 30
_WIDE, _SMALL = 46, 18
_CELLS_ROOM = 640
_FORMS = {"dpmsolver": "dpm", "unipc_bh1": "bh1", "unipc_bh2": "bh2", "deis_rho": "deis_r"}
# Times that cover more than this factor are drawn on a log axis, as those of EDM's models.
_DECADES = 2000


@dataclass(frozen=True)
class Drawn:
    """A picture and the kinds of cells that it shows."""

    svg: Markup
    width: float
    kinds: tuple[str, ...]


def recipe_picture(recipe: Recipe, plan: Plan | None, sites: Sequence[Site]) -> Drawn:
    """Times on an axis, and below it a column for each step.

    Args:
        recipe: what to draw.
        plan: the recipe compiled, for what it leaves out and costs; None where the model is not
            at hand.
        sites: the model's.
    """
    columns = _Columns(len(recipe.steps))
    rows = list(_rows(recipe))
    top, kinds = float(_HEAD + _FAN), dict[str, None]()
    drawn = list(_time_axis(recipe.steps, columns))
    for name, texts in rows:
        drawn += _text_row(name, texts, columns, top)
        top += _ROW
    if plan is not None and acts(plan):
        names, parents = parts(sites), {site.name: site.parent for site in sites}
        for branches, table in cells(plan, sites).items():
            drawn += _site_rows(branches, table, columns, top, names=names, parents=parents)
            kinds |= dict.fromkeys(cell.kind for row in table for cell in row if cell)
            top += _ROW + _SITE * len(names) + _GAP
    if plan is not None:
        drawn += _bars(step_costs(plan, SiteTable(sites)), columns, top + _GAP)
        top += _BAR + 2 * _GAP
    svg = picture(
        drawn, width=columns.width, height=top + 4, label=summary(recipe), class_="recipe"
    )
    return Drawn(svg, columns.width, tuple(kind for kind in KINDS if kind in kinds))


class _Columns:
    """Where the columns of steps stand."""

    def __init__(self, count: int) -> None:
        self.step = min(_WIDE, max(_SMALL, _CELLS_ROOM / count))
        self.width = max(_LEFT + count * self.step + _RIGHT, _LEAST_WIDTH)
        # Columns too narrow for their texts are written now and then.
        self.every = 1 if self.step > 34 else math.ceil(34 / self.step)

    def left(self, i: int) -> float:
        return _LEFT + i * self.step

    def middle(self, i: int) -> float:
        return self.left(i) + self.step / 2


def _rows(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """Names and texts of the rows above the sites."""
    steps = recipe.steps
    yield "step", [str(i + 1) for i in range(len(steps))]
    yield "time", [_time(step) for step in steps]
    yield "order", [_order(step) for step in steps]
    forms = {step.form for step in steps if step.order > 1}
    if len(forms) > 1:
        yield "form", [_FORMS.get(step.form, step.form) if step.order > 1 else "" for step in steps]
    for rule in dict.fromkeys(rule.rule for step in steps for rule in step.guidance):
        yield f"{rule} scale", [_scale(step, rule) for step in steps]
    if any(rule.heads for step in steps for rule in step.guidance):
        yield "heads", [_heads(step) for step in steps]
    if any(step.eta for step in steps):
        yield "eta", [number(step.eta) if step.eta else "" for step in steps]


def _time(step: Step) -> str:
    return f"{step.time:.3g}"


def _order(step: Step) -> str:
    """The order, with a mark for a corrector and for what asks no network."""
    corrected = "c" if step.corrector != "none" else ""
    return f"{step.order}{corrected}" if step.evaluate == "network" else "-"


def _scale(step: Step, name: str) -> str:
    scales = [rule.scale for rule in step.guidance if rule.rule == name]
    return "+".join(f"{scale:.3g}" for scale in scales)


def _heads(step: Step) -> str:
    chosen = [heads for rule in step.guidance for heads in rule.heads.values()]
    if not chosen:
        return ""
    return "all" if "all" in chosen else str(sum(map(len, chosen)))


def _time_axis(steps: Sequence[Step], columns: _Columns) -> Iterator[Markup]:
    """Dots where the network is asked, from the noise at the left, and lines to their columns."""
    start, end = columns.left(0), columns.left(len(steps))
    end = max(end, columns.width - _RIGHT)
    high = max(step.time for step in steps)
    least = min((step.time for step in steps if step.time > 0), default=high)
    log = least > 0 and high / least > _DECADES
    yield tag("line", x1=start, x2=end, y1=_HEAD, y2=_HEAD, class_="axis")
    yield tag("text", "time", x=_LEFT - 8, y=_HEAD + 4, class_="row end")
    yield tag("text", "noise", x=start, y=_HEAD - 9, class_="tick")
    yield tag("text", "data", x=end, y=_HEAD - 9, class_="tick end")
    for i, step in enumerate(steps):
        if log:
            low = math.log(least)
            share = (math.log(high) - math.log(max(step.time, least))) / (math.log(high) - low)
        else:
            share = 1 - step.time / high if high > 0 else 0.0
        place = start + share * (end - start)
        yield tag("path", d=_fan(place, columns.middle(i)), class_="fan")
        yield tag("circle", cx=place, cy=_HEAD, r=3.6, class_="dot-time")


def _fan(a: float, b: float) -> str:
    middle = _HEAD + _FAN / 2
    return f"M{a:.1f} {_HEAD}C{a:.1f} {middle} {b:.1f} {middle} {b:.1f} {_HEAD + _FAN - 4}"


def _text_row(name: str, texts: Sequence[str], columns: _Columns, top: float) -> Iterator[Markup]:
    yield tag("text", name, x=_LEFT - 8, y=top + 15, class_="row end")
    for i, text in enumerate(texts):
        shown, tone = i % columns.every == 0, ""
        if name == "order":
            shade = {"-": "low", "1": "low", "2": "middle"}.get(text[:1], "high")
            shown, tone = True, f" on-{shade}"
            box = {"x": columns.left(i) + 1, "width": columns.step - 2}
            yield tag("rect", **box, y=top + 1, height=_ROW - 3, rx=3, class_=f"order {shade}")
        if text and shown:
            yield tag("text", text, x=columns.middle(i), y=top + 15, class_=f"middle{tone}")


def _site_rows(
    branches: str,
    table: Sequence[Sequence[ActionCell | None]],
    columns: _Columns,
    top: float,
    *,
    names: Sequence[str],
    parents: Mapping[str, str | None],
) -> Iterator[Markup]:
    """A matrix of sites by steps: one path for each kind, so that large ones stay small."""
    blocks = [parents[name] or name for name in names]
    inner = dict.fromkeys(n.removeprefix(f"{b}.") for n, b in zip(names, blocks, strict=True))
    text = f"branch {branches}"
    if len(set(blocks)) < len(names):
        text += f"; rows of a block: {', '.join(inner)}"
    yield tag("text", text, x=8, y=top + 15, class_="row")
    top += _ROW
    paths: dict[str, list[str]] = {}
    marks = []
    for i, row in enumerate(table):
        y = top + i * _SITE
        if i == 0 or blocks[i] != blocks[i - 1]:
            yield tag("text", blocks[i], x=_LEFT - 8, y=y + _SITE - 2, class_="site end")
        for j, cell in enumerate(row):
            if cell is None:
                continue
            width = columns.step - 1.5
            box = f"M{columns.left(j):.4g} {y:.4g}h{width:.3g}v{_SITE - 1.5}h-{width:.3g}z"
            paths.setdefault(cell.kind, []).append(box)
            if cell.mark:
                marks.append(
                    tag("text", cell.mark, x=columns.middle(j), y=y + 8.5, class_="mark middle")
                )
    for kind, boxes in paths.items():
        yield tag("path", d="".join(boxes), class_=f"kind-{kind}")
    yield from marks


def _bars(costs: Sequence[tuple[float, float]], columns: _Columns, top: float) -> Iterator[Markup]:
    """Forwards of each step; what gates may save is pale."""
    most = max(1.0, *(high for _, high in costs))
    yield tag("text", "forwards", x=_LEFT - 8, y=top + 12, class_="row end")
    yield tag("text", f"(full {most:.3g})", x=_LEFT - 8, y=top + 25, class_="site end")
    base = top + _BAR
    for i, (low, high) in enumerate(costs):
        x, width = columns.left(i) + 1, columns.step - 2
        for value, class_ in ((high, "bar-most"), (low, "bar-least")):
            height = _BAR * value / most
            yield tag("rect", x=x, y=base - height, width=width, height=height, class_=class_)
    yield tag("line", x1=_LEFT, x2=columns.left(len(costs)), y1=base, y2=base, class_="axis")
