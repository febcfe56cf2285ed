"""A single objective: values by number of steps."""

from typing import Any

from autosearch.front_view import FrontView
from autosearch.plotting.marks import FRONT, OTHER
from autosearch.plotting.scales import log_scale

__all__ = ["draw_strip"]


def draw_strip(axes: Any, view: FrontView) -> None:
    """Every point of the front and every baseline at its number of steps."""
    axis = view.quality
    name = axis.name
    others = [point for point in view.baselines if not point.on_front]
    axes.plot(
        [p.steps for p in others],
        [p.value(name) for p in others],
        "s",
        mfc="white",
        color=OTHER,
        label="baselines",
    )
    for point in others:
        axes.annotate(
            point.name,
            (point.steps, point.value(name)),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=OTHER,
        )
    axes.errorbar(
        [p.steps for p in view.front],
        [p.value(name) for p in view.front],
        yerr=[p.half_width(name) for p in view.front],
        fmt="o",
        color=FRONT,
        capsize=3,
        ms=8,
        label="best, 95% interval",
    )
    if all(p.value(name) > 0 for p in [*others, *view.front]):
        log_scale(axes, "y", [p.value(name) for p in [*others, *view.front]])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("steps")
    axes.set_ylabel(axis.label)
    axes.grid(True, which="both", lw=0.4, color="#dddddd")
