"""Scales and ticks of a panel."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from autosearch.front_view import Axis, Point

__all__ = ["log_scale", "set_scales"]

# A cost this large counts multiply-accumulates or bytes, and is shown by its magnitude.
_LARGE = 1e4
# An axis that spans fewer decades than this has ticks at 1, 2 and 5 times each power of ten.
_FEW_DECADES = 2.5


def set_scales(axes: Any, points: Sequence[Point], x: Axis, y: Axis) -> None:
    """Quality on a log axis, or one that is linear near zero where values are not positive."""
    xs = np.array([point.value(x.name) for point in points])
    ys = np.array([point.value(y.name) for point in points])
    if xs.size == 0:
        return
    if (xs > 0).all() and xs.max() > _LARGE:
        log_scale(axes, "x", xs)
    elif (xs == np.round(xs)).all():
        axes.xaxis.get_major_locator().set_params(integer=True)
    if (ys > 0).all():
        log_scale(axes, "y", ys)
    elif (ys > 0).any():
        # A bias-corrected distance may touch zero.
        axes.set_yscale("symlog", linthresh=float(np.quantile(ys[ys > 0], 0.1)))


def log_scale(axes: Any, which: str, values: Any) -> None:
    """A log axis with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    decades = float(np.log10(np.max(values) / np.min(values)))
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < _FEW_DECADES else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
