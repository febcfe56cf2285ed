"""The picture of a recipe: steps across, sites down, and what is done at each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.sites.blocks import parts
from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.recipe.actions import Action
from autosearch.visualization.figures.front import check_suffix, save_figure

__all__ = ["COLOURS", "ActionCell", "acts", "cells", "plot_recipe", "recipe_figure", "step_costs"]

# ReplayDenoiser apart in print and by the colour-blind: dark, then lighter and lighter.
COLOURS = {
    "compute": "#0b5394",
    "gated": "#a64d79",
    "forecast": "#6aa84f",
    "reuse": "#f6b26b",
    "skip": "#e3e3e3",
}
_NO_EVALUATION = "#ffffff"
_DPI = 100
_CELL = (0.42, 0.24)
_MOST_LABELS = 40
_INCH = 72


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
    found: dict[str, list[list[ActionCell | None]]] = {}
    for branch in dict.fromkeys(b.name for step in plan.steps for b in step.branches):
        columns = [_column(step, branch, names, table) for step in plan.steps]
        rows = [list(row) for row in zip(*columns, strict=True)]
        alike = next((name for name, known in found.items() if _agree(known, rows)), None)
        if alike is None:
            found[branch] = rows
        else:
            known = found.pop(alike)
            found[f"{alike}, {branch}"] = _merged(known, rows)
    return found


def plot_recipe(plan: Plan, sites: Sequence[Site], path: Path, *, title: str) -> None:
    """Write the picture.

    Raises:
        UserError: for another suffix than .png, .pdf and .svg, or a place that cannot be written.
    """
    check_suffix(path)
    save_figure(recipe_figure(plan, sites, title=title), path)


def recipe_figure(plan: Plan, sites: Sequence[Site], *, title: str) -> Any:
    """A matplotlib figure: a panel for each set of like branches, and each step's cost below."""
    from matplotlib.figure import Figure

    panels = cells(plan, sites)
    names = parts(sites)
    heights = [len(names) * _CELL[1]] * len(panels)
    size = (2.4 + max(len(plan.steps) * _CELL[0], 5.2), 2.5 + 0.3 * len(panels) + sum(heights))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = figure.subplots(
        len(panels) + 1, 1, sharex=True, squeeze=False, height_ratios=[*heights, 0.8]
    )[:, 0]
    for axes, (branches, rows) in zip(grid, panels.items(), strict=False):
        _panel(axes, names, rows)
        if len(panels) > 1:
            axes.set_title(branches, fontsize=10)
    _costs(grid[-1], plan, SiteTable(sites))
    figure.suptitle(title, fontsize=11)
    _legend(figure, [cell for rows in panels.values() for row in rows for cell in row])
    return figure


def step_costs(plan: Plan, table: SiteTable) -> list[tuple[float, float]]:
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


def _panel(axes: Any, names: Sequence[str], rows: list[list[ActionCell | None]]) -> None:
    from matplotlib.colors import to_rgb

    axes.imshow(
        [[to_rgb(COLOURS[c.kind] if c else _NO_EVALUATION) for c in row] for row in rows],
        aspect="auto",
        interpolation="nearest",
    )
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell is not None and cell.mark:
                axes.text(j, i, cell.mark, ha="center", va="center", color="white", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    # Thin lines between cells, thicker ones between blocks.
    axes.set_xticks([x - 0.5 for x in range(len(rows[0]) + 1)], minor=True)
    axes.set_yticks([y - 0.5 for y in range(len(rows) + 1)], minor=True)
    axes.grid(which="minor", color="white", lw=0.8)
    for y in range(1, len(names)):
        if names[y].rpartition(".")[0] != names[y - 1].rpartition(".")[0]:
            axes.axhline(y - 0.5, color="white", lw=2.5)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _costs(axes: Any, plan: Plan, table: SiteTable) -> None:
    """Multiply-accumulates of each step over those of one forward; what gates may save is pale."""
    least, most = zip(*step_costs(plan, table), strict=True)
    places = range(len(plan.steps))
    axes.bar(places, most, color=COLOURS["gated"], alpha=0.35, width=0.8)
    axes.bar(places, least, color=COLOURS["compute"], width=0.8)
    axes.set_ylabel("forwards", fontsize=8)
    axes.set_ylim(0, max(*most, 1.0) * 1.05)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(axis="y", lw=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    every = -(-len(plan.steps) // _MOST_LABELS)
    labels = [f"{i + 1}\n{step.time:.3g}" for i, step in enumerate(plan.steps)]
    axes.set_xticks(list(places)[::every], labels[::every], fontsize=7)
    axes.set_xlabel("step, and the network's time", fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Any, shown: Sequence[ActionCell | None]) -> None:
    from matplotlib.patches import Patch

    words = {
        "compute": "compute (? probe of a gate)"
        if any(cell and cell.mark == "?" for cell in shown)
        else "compute",
        "gated": "each sample decides",
        "forecast": "forecast, of the order written",
        "reuse": "reuse",
        "skip": "skip",
    }
    present = {cell.kind for cell in shown if cell is not None}
    handles = [Patch(color=COLOURS[k], label=words[k]) for k in COLOURS if k in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
