"""Scales and ticks of a panel."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autosearch.study.point import Axis, Point

__all__ = ["set_scales"]

# A cost this large counts multiply-accumulates or bytes, and is shown by its magnitude.
_LARGE = 1e4
# An axis that spans fewer decades than this has ticks at 1, 2 and 5 times each power of ten.
_FEW_DECADES = {"x": 1.2, "y": 2.5}
# Values that differ by less than this factor need no logarithm.
_NARROW = 3.0
# Beyond the values, as a factor; longer error bars leave the panel.
_MARGIN = 1.8


def set_scales(
    axes: Any,
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    cost: Axis | None,
    reference: float | None,
) -> None:
    """Qualities on log axes, or on ones that are linear near zero where values are not positive.

    A cost is on a linear axis with whole ticks, unless it is large.
    """
    xs = np.array([point.value(x.name) for point in points])
    ys = np.array([point.value(y.name) for point in points])
    if xs.size == 0:
        return
    if x == cost and xs.max() <= _LARGE:
        if (xs == np.round(xs)).all():
            axes.xaxis.get_major_locator().set_params(integer=True)
    else:
        _quality_scale(axes, "x", xs)
    # The reference belongs into the picture where a log axis can show it.
    level = [reference] if reference is not None and (reference > 0 or (ys <= 0).any()) else []
    _quality_scale(axes, "y", np.array([*ys, *level]))


def _quality_scale(axes: Any, which: str, values: Any) -> None:
    if (values > 0).all():
        if values.max() < _NARROW * values.min():
            return
        _log_scale(axes, which, values)
    elif (values > 0).any():
        # A bias-corrected distance may touch zero.
        least = float(np.quantile(values[values > 0], 0.1))
        getattr(axes, f"set_{which}scale")("symlog", linthresh=least)


def _log_scale(axes: Any, which: str, values: Any) -> None:
    """A log axis with plain numbers at its ticks, over the values and not all of their errors."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axes, f"set_{which}scale")("log")
    low, high = float(np.min(values)), float(np.max(values))
    getattr(axes, f"set_{which}lim")(low / _MARGIN, high * _MARGIN)
    axis = getattr(axes, f"{which}axis")
    few = math.log10(high / low) < _FEW_DECADES[which]
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
