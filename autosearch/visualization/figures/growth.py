"""The picture of the hypervolume over a search."""

from typing import Any

from autosearch.study.hypervolume import UPPER, Growth
from autosearch.visualization.figures.drawing import own_settings
from autosearch.visualization.figures.markers import FRONT, LINE, REFERENCE

__all__ = ["growth_figure"]


@own_settings()
def growth_figure(growth: list[Growth], baselines: int) -> Any:
    """A matplotlib figure: the hypervolume of search values by the number of results.

    Args:
        growth: the hypervolume at some moments, the last of them now.
        baselines: the number of candidates that came before the search.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.8), layout="constrained")
    axes: Any = figure.subplots()
    counts, volumes = [g.candidates for g in growth], [g.volume for g in growth]
    axes.step(counts, volumes, where="post", color=FRONT, lw=1.8)
    axes.set_xlim(0, counts[-1])
    axes.xaxis.get_major_locator().set_params(integer=True)
    if 0 < baselines < counts[-1]:
        axes.axvline(baselines, color=REFERENCE, ls="--", lw=1.2)
        axes.text(
            baselines,
            1.02,
            "search begins",
            color=REFERENCE,
            fontsize=8,
            ha="left" if baselines < counts[-1] / 2 else "right",
            transform=axes.get_xaxis_transform(),
        )
    axes.set_xlabel("candidates with a result", fontsize=9)
    axes.set_ylabel(f"hypervolume of search values,\n{UPPER}", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(True, lw=0.4, color=LINE)
    return figure
