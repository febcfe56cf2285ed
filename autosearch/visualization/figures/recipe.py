"""The picture of a recipe: where its steps stand in time, and what each of them does."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.sites import Site, SiteTable, parts
from autosearch.recipe import Recipe, Step
from autosearch.recipe.actions import Action
from autosearch.recipe.describe import is_plain
from autosearch.text import number
from autosearch.visualization.figures.drawing import own_settings, plain_text
from autosearch.visualization.figures.markers import FRONT, INK, LINE, ON_MIDDLE, OTHER, PAPER

__all__ = [
    "COLOURS",
    "ORDERS",
    "WORDS",
    "ActionCell",
    "acts",
    "cells",
    "recipe_figure",
]

# Told apart in print and by the colour-blind: dark, then lighter and lighter.
COLOURS = {
    "compute": FRONT,
    "gated": "#a64d79",
    "forecast": "#6aa84f",
    "reuse": "#f6b26b",
    "skip": "#e3e3e3",
}
# What the parts of a picture are, by the ids of their artists.
WORDS = {
    "times": "when the network is asked",
    "order-low": "first order, or no network asked",
    "order-middle": "second order",
    "order-high": "third order or higher",
    "kind-compute": "compute",
    "kind-gated": "each sample decides",
    "kind-forecast": "forecast, of the order written",
    "kind-reuse": "reuse",
    "kind-skip": "skip",
}
# Of a step's order, its box and the text on it: the first, the second, and higher ones.
ORDERS = {"low": ("#dbe5f0", INK), "middle": ("#6b9bc8", ON_MIDDLE), "high": (FRONT, PAPER)}
_FORMS = {"dpmsolver": "dpm", "unipc_bh1": "bh1", "unipc_bh2": "bh2", "deis_rho": "deis_r"}
_DPI = 100
_FONT = 8.0
# Inches: the widest and narrowest column, what all columns may take, and a row of texts.
_WIDE, _NARROW, _ROOM, _ROW = 0.46, 0.2, 9.0, 0.24
# A row of sites, and what each letter of a site's name needs at the left.
_SITE, _LETTER = 0.18, 0.062
# The axis of time with the lines to the columns, and the bars of costs.
_TIMES, _BARS, _GAP = 0.75, 0.6, 0.16
# The longest word of the legend with its colour.
_LEGEND = 1.9
# Above this number only the first site of each block is named.
_MOST_NAMES = 40
# Times that cover more than this factor are drawn on a log axis, as those of EDM's models.
_DECADES = 2000


@dataclass(frozen=True)
class ActionCell:
    """What a step does at an innermost site: one of ``COLOURS``, and a word in the cell."""

    kind: str
    mark: str = ""


def acts(plan: Plan) -> bool:
    """Whether a plan leaves anything out, so that there is something to see."""
    return any(b.sites or b.gate for step in plan.steps for b in step.branches)


def cells(plan: Plan, sites: Sequence[Site]) -> dict[str, list[list[ActionCell | None]]]:
    """For each innermost site a row of cells, by the branches that are alike.

    None where a step does not evaluate the branch. Names of branches that never differ are joined
    by commas.
    """
    table = SiteTable(sites)
    names = parts(sites)
    tables: dict[str, list[list[ActionCell | None]]] = {}
    for branch, label in _labels(plan).items():
        columns = [_column(step, branch, names, table) for step in plan.steps]
        rows = [list(row) for row in zip(*columns, strict=True)]
        alike = next(
            (name for name, table_rows in tables.items() if _agree(table_rows, rows)), None
        )
        if alike is None:
            tables[label] = rows
        else:
            tables[f"{alike}, {label}"] = _merged(tables.pop(alike), rows)
    return tables


def _labels(plan: Plan) -> dict[str, str]:
    """The kind of each branch by its name, with a number where there are several."""
    names = list(dict.fromkeys(b.name for step in plan.steps for b in step.branches))
    kinds = [name.partition(" ")[0] for name in names]
    return {
        name: kind if kinds.count(kind) == 1 else f"{kind} {kinds[: i + 1].count(kind)}"
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }


@own_settings()
def recipe_figure(
    recipe: Recipe, plan: Plan | None, sites: Sequence[Site], *, title: str = ""
) -> Any:
    """Draw times on an axis, and below it a column for each step.

    Rows of texts say what the sampler does; then follow a panel of the sites for each set of
    branches that are alike, where the plan leaves anything out, and the cost of each step.

    Args:
        recipe: what to draw.
        plan: the recipe compiled, for what it leaves out and costs; None where the model is not
            at hand.
        sites: the model's.
        title: above the picture.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    panels = cells(plan, sites) if plan is not None and acts(plan) else {}
    names = parts(sites)
    rows = list(_text_rows(recipe))
    count = len(recipe.steps)
    written = [*(name for name, _ in rows), *(names if panels else ())]
    left = 0.35 + _LETTER * max(8, *map(len, written))
    width = max(_NARROW, min(_WIDE, _ROOM / count)) * count
    heights = [_TIMES + _ROW * len(rows), *[_SITE * len(names)] * len(panels)]
    heights += [_BARS] if plan is not None else []
    above = 0.35 if title else 0.1
    across = max(left + width + 0.15, 3.4, 1.4 * _LETTER * len(title))
    shown = [cell for table in panels.values() for row in table for cell in row if cell is not None]
    columns = int(across / _LEGEND)
    below = _ROW * math.ceil(len({cell.kind for cell in shown}) / columns)
    # Each panel of sites has its branches above it, and the kinds of cells stand below all.
    down = above + sum(heights) + _GAP * len(heights) + _ROW * len(panels) + below
    figure = Figure(figsize=(across, down), dpi=_DPI)
    tops = iter(_tops(heights, above, len(panels)))

    def add_axes(height: float) -> Any:
        bottom = down - next(tops) - height
        axes = figure.add_axes((left / across, bottom / down, width / across, height / down))
        axes.set_xlim(-0.5, count - 0.5)
        axes.tick_params(which="both", length=0, labelsize=_FONT, pad=7)
        axes.set_xticks([])
        for side in axes.spines.values():
            side.set_visible(False)
        return axes

    _draw_steps(add_axes(heights[0]), recipe.steps, rows, width / count)
    for branches, table in panels.items():
        axes = add_axes(_SITE * len(names))
        _draw_sites(axes, names, table)
        axes.set_title(branches, fontsize=_FONT + 1, pad=3)
    if plan is not None:
        _draw_costs(add_axes(_BARS), plan, SiteTable(sites))
    if title:
        figure.suptitle(plain_text(title), fontsize=11, y=1 - 0.08 / down, va="top")
    if panels:
        _legend(figure, shown, columns)
    return figure


def _step_costs(plan: Plan, table: SiteTable) -> list[tuple[float, float]]:
    """Multiply-accumulates of each step over those of one forward: at least, and at most.

    The two differ where gates decide.
    """
    costs = []
    for step in plan.steps:
        full = sum(plan.full_macs - sum(table[n].macs for n in b.actions) for b in step.branches)
        saved = sum(b.gate.saves for b in step.branches if b.gate is not None)
        costs.append(((full - saved) / plan.full_macs, full / plan.full_macs))
    return costs


def _column(
    step: StepPlan, name: str, names: Sequence[str], table: SiteTable
) -> list[ActionCell | None]:
    branch = next((branch for branch in step.branches if branch.name == name), None)
    if branch is None:
        return [None] * len(names)
    return [_cell(branch, site, table) for site in names]


def _cell(branch: Branch, site: str, table: SiteTable) -> ActionCell:
    here = _action(site, branch.actions, table)
    gate = branch.gate
    if gate is None:
        return _shown(here)
    if _action(site, dict(gate.sites), table) != here:
        return ActionCell("gated")
    probes = [gate.probe, *(s for s in table if table[s].parent == gate.probe)]
    return ActionCell("compute", "?") if site in probes and here is None else _shown(here)


def _shown(action: Action | None) -> ActionCell:
    if action is None:
        return ActionCell("compute")
    if action.kind in ("skip", "reuse"):
        return ActionCell(action.kind)
    kind = "forecast" if action.order else "reuse"
    return ActionCell(kind, str(action.order) if action.order else "")


def _action(site: str, actions: dict[str, Action], table: SiteTable) -> Action | None:
    """The action that a site is under: its own, a block's or a range's."""
    here: str | None = site
    while here is not None:
        for name, action in actions.items():
            if name == here or here in table[name].members:
                return action
        here = table[here].parent
    return None


def _agree(rows: list[list[ActionCell | None]], others: list[list[ActionCell | None]]) -> bool:
    pairs = (pair for a, b in zip(rows, others, strict=True) for pair in zip(a, b, strict=True))
    return all(a is None or b is None or a == b for a, b in pairs)


def _merged(
    rows: list[list[ActionCell | None]], others: list[list[ActionCell | None]]
) -> list[list[ActionCell | None]]:
    return [
        [a if a is not None else b for a, b in zip(row, other, strict=True)]
        for row, other in zip(rows, others, strict=True)
    ]


def _tops(heights: Sequence[float], above: float, panels: int) -> Iterator[float]:
    """Inches from the figure's top to each of its axes."""
    top = above
    for i, height in enumerate(heights):
        top += _ROW if 1 <= i <= panels else 0.0
        yield top
        top += height + _GAP


def _text_rows(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """Names of the rows above the sites, and a text for each step."""
    steps = recipe.steps
    yield "step", [str(i + 1) for i in range(len(steps))]
    yield "time", [f"{step.time:.3g}" for step in steps]
    yield "order", [_order(step) for step in steps]
    if len({step.form for step in steps if not is_plain(step)}) > 1:
        yield "form", ["" if is_plain(step) else _FORMS.get(step.form, step.form) for step in steps]
    for rule in dict.fromkeys(rule.rule for step in steps for rule in step.guidance):
        yield f"{rule} scale", [_scale(step, rule) for step in steps]
    if any(rule.heads for step in steps for rule in step.guidance):
        yield "heads", [_heads(step) for step in steps]
    if any(step.eta for step in steps):
        yield "eta", [number(step.eta) if step.eta else "" for step in steps]


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


def _draw_steps(
    axes: Any, steps: Sequence[Step], rows: Sequence[tuple[str, list[str]]], column: float
) -> None:
    """Dots where the network is asked, lines from them to their columns, and the rows of texts.

    Args:
        axes: where to draw; one unit down is a row of texts.
        steps: of the recipe.
        rows: names of the rows, and a text for each step.
        column: its width in inches.
    """
    first = _TIMES / _ROW  # the upper end of the first row
    end = len(steps) - 0.5
    axes.set_ylim(first + len(rows), 0)
    axes.plot([-0.5, end], [1, 1], color=OTHER, lw=0.9)
    axes.text(-0.5, 0.1, "noise", fontsize=_FONT, color=OTHER, va="top")
    axes.text(end, 0.1, "data", fontsize=_FONT, color=OTHER, va="top", ha="right")
    places = [share * len(steps) - 0.5 for share in _shares(steps)]
    curves = [
        [(at, 1.0), (at, (1 + first) / 2), (i, (1 + first) / 2), (i, first - 0.15)]
        for i, at in enumerate(places)
    ]
    _draw_path(axes, curves, curved=True, fill=False, edgecolor=OTHER, lw=0.7)
    axes.plot(places, [1] * len(steps), "o", color=FRONT, ms=5, gid="times", clip_on=False)
    axes.set_yticks(
        [1, *(first + i + 0.5 for i in range(len(rows)))], ["time", *(name for name, _ in rows)]
    )
    # Columns too narrow for their texts are written now and then.
    every = math.ceil(0.33 / column)
    for i, (name, texts) in enumerate(rows):
        kinds = [_order_kind(text) if name == "order" else "" for text in texts]
        for kind in dict.fromkeys(kinds) if name == "order" else ():
            boxes = [(j, first + i + 0.5) for j, one in enumerate(kinds) if one == kind]
            _draw_boxes(axes, boxes, 0.85, facecolor=ORDERS[kind][0], gid=f"order-{kind}")
        for j, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
            if text and (kind or j % every == 0):
                colour = ORDERS[kind][1] if kind else INK
                place = (j, first + i + 0.5)
                axes.text(*place, text, fontsize=_FONT, color=colour, ha="center", va="center")


def _shares(steps: Sequence[Step]) -> list[float]:
    """How far each step's time stands from noise (0) to data (1)."""
    high = max(step.time for step in steps)
    least = min((step.time for step in steps if step.time > 0), default=high)
    if least > 0 and high / least > _DECADES:
        span = math.log(high / least)
        return [math.log(high / max(step.time, least)) / span for step in steps]
    return [1 - step.time / high if high > 0 else 0.0 for step in steps]


def _order_kind(text: str) -> str:
    return {"-": "low", "1": "low", "2": "middle"}.get(text[:1], "high")


def _draw_boxes(
    axes: Any, centres: Sequence[tuple[float, float]], height: float, **style: Any
) -> None:
    """Draw boxes as one path, so that pictures of many cells stay small."""
    w, h = 0.47, height / 2
    corners = [[(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)] for x, y in centres]
    _draw_path(axes, corners, lw=0, **style)


def _draw_path(
    axes: Any,
    pieces: Sequence[Sequence[tuple[float, float]]],
    *,
    curved: bool = False,
    **style: Any,
) -> None:
    """Draw closed polygons, or Bezier curves of four points each, as one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    if curved:
        codes = [Outline.MOVETO, *[Outline.CURVE4] * 3]
        shapes = [Outline(piece, codes) for piece in pieces]
    else:
        shapes = [Outline([*piece, piece[0]], closed=True) for piece in pieces]
    axes.add_patch(PathPatch(Outline.make_compound_path(*shapes), clip_on=False, **style))


def _draw_sites(
    axes: Any, names: Sequence[str], table: Sequence[Sequence[ActionCell | None]]
) -> None:
    """A matrix of sites by steps, with wider gaps between blocks."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    boxes: dict[str, list[tuple[float, float]]] = {}
    for i, row in enumerate(table):
        for j, cell in enumerate(row):
            if cell is not None:
                boxes.setdefault(cell.kind, []).append((j, i))
                if cell.mark:
                    place = {"ha": "center", "va": "center_baseline"}
                    axes.text(j, i, cell.mark, color=PAPER, fontsize=_FONT, **place)
    for kind, centres in boxes.items():
        _draw_boxes(axes, centres, 0.9, facecolor=COLOURS[kind], gid=f"kind-{kind}")
    blocks = [name.rpartition(".")[0] for name in names]
    begins = [y for y in range(len(names)) if y == 0 or blocks[y] != blocks[y - 1]]
    for y in begins[1:]:
        axes.axhline(y - 0.5, color=PAPER, lw=2.5)
    ticks = range(len(names)) if len(names) <= _MOST_NAMES else begins
    axes.set_yticks(list(ticks), [names[y] for y in ticks])


def _draw_costs(axes: Any, plan: Plan, table: SiteTable) -> None:
    """Multiply-accumulates of each step over those of one forward; what gates may save is pale."""
    least, most = zip(*_step_costs(plan, table), strict=True)
    places = range(len(plan.steps))
    axes.bar(places, most, color=COLOURS["gated"], alpha=0.35, width=0.9)
    axes.bar(places, least, color=COLOURS["compute"], width=0.9)
    top = max(*most, 1.0)
    axes.set_ylim(0, top)
    axes.set_yticks([0, top / 2, top], ["0", "forwards", f"{top:.3g}"])
    axes.grid(axis="y", lw=0.6, color=LINE)
    axes.set_axisbelow(True)


def _legend(figure: Any, shown: Sequence[ActionCell], columns: int) -> None:
    from matplotlib.patches import Patch

    words = WORDS
    if any(cell.mark == "?" for cell in shown):
        words = {**words, "kind-compute": "compute (? probe of a gate)"}
    present = {cell.kind for cell in shown}
    handles = [Patch(color=COLOURS[k], label=words[f"kind-{k}"]) for k in COLOURS if k in present]
    figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=_FONT, frameon=False)
