"""The picture of a comparison: the fresh hypervolume over what each search has cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch.experiments.benchmarks.yardstick_fronts import Run
from autosearch.visualization.figures import save_figure

__all__ = ["chart", "plot_chart"]

# Colours that those who see few of them can tell apart (Okabe and Ito 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_STYLES = ("-", "--", ":")
_OURS = "#b00020"
_GRID = 240
_FLOOR = 0.9

Array = NDArray[np.float64]


def plot_chart(runs: Mapping[str, Sequence[Run]], path: Path, *, ours: str) -> None:
    """Write the picture of some spaces' runs, a panel each."""
    save_figure(chart(runs, ours=ours), path)


def chart(runs: Mapping[str, Sequence[Run]], *, ours: str) -> Any:
    """A matplotlib figure: medians over seeds, least and most as a band."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(
        figsize=(6.5 * len(runs), 5.5), dpi=110, layout="constrained", facecolor="white"
    )
    panels = figure.subplots(1, len(runs), squeeze=False)[0]
    names = list(dict.fromkeys(run.contestant for own in runs.values() for run in own))
    for panel, (space, own) in zip(panels, runs.items(), strict=True):
        panel.set_title(f"space: {space}")
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(lambda cost, _: f"{cost / 1e6:g} M")
        panel.set_xlabel("cost in forward equivalents, everything counted")
        panel.grid(color="#dddddd", linewidth=0.6)
        for number, name in enumerate(names):
            some = [run for run in own if run.contestant == name]
            if some:
                _draw(panel, name, some, number, emphasised=name == ours)
        # Before any front there is nothing: it would squeeze the rest.
        seen = [volume for run in own for volume in run.volumes if volume > 0]
        panel.set_ylim(bottom=_FLOOR * min(seen, default=0.0))
    panels[0].set_ylabel("hypervolume of the front on fresh noise")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw(panel: Any, name: str, runs: Sequence[Run], number: int, *, emphasised: bool) -> None:
    colour = _OURS if emphasised else _COLOURS[number % len(_COLOURS)]
    style = "-" if emphasised else _STYLES[number // len(_COLOURS) % len(_STYLES)]
    costs, volumes = _aligned(runs)
    low, middle, high = volumes.min(axis=0), np.median(volumes, axis=0), volumes.max(axis=0)
    panel.fill_between(costs, low, high, color=colour, alpha=0.25 if emphasised else 0.1, lw=0)
    width = 2.6 if emphasised else 1.3
    panel.plot(costs, middle, color=colour, ls=style, lw=width, label=name, zorder=2 + emphasised)


def _aligned(runs: Sequence[Run]) -> tuple[Array, Array]:
    """Costs [P] and each run's volume at them [runs, P], the last one known until there.

    A search that ended keeps what it had.
    """
    first = max(run.costs[0] for run in runs)
    last = max(run.costs[-1] for run in runs)
    costs = np.geomspace(first, last, _GRID)
    volumes = []
    for run in runs:
        places = np.searchsorted(run.costs, costs * (1 + 1e-9), side="right") - 1
        volumes.append(np.array(run.volumes)[np.maximum(places, 0)])
    return costs, np.stack(volumes)
