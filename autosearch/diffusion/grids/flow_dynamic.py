"""Shifts of flows that depend on the size of an image, as diffusers' pipelines compute them.

A pipeline makes ``mu`` of the number of tokens, and its scheduler shifts ``linspace(1, 1/K, K)`` by
``exp(mu)`` (exponential) or by ``mu`` itself (linear). The shift that a loaded pipeline has for the
size of its own images is that of ``flow-shift``; these are for other sizes and other models.
"""

import math

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.flow import TERMINAL, even_times, stretched
from autosearch.diffusion.grids.levels import shifted
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting
from autosearch.errors import UserError

__all__ = ["GRIDS"]

_THOUSANDTHS = 1000
# Beyond this the exponential leaves no times apart.
_MOST_MU = 30.0


def _line(tokens: float, base: float, most: float, low: float, high: float) -> float:
    """``mu``, linear in the tokens from ``base`` at ``low`` to ``most`` at ``high``.

    Raises:
        UserError: for ends that are one.
    """
    if low == high:
        raise UserError(f"grid of a dynamic shift: low and high are both {low:g} tokens")
    return base + (most - base) * (tokens - low) / (high - low)


def _points(
    schedule: NoiseSchedule, steps: int, shift: float, terminal: float = 0.0
) -> list[GridPoint]:
    times = [shifted(schedule, time, shift) for time in even_times(steps)]
    return [(time, None) for time in stretched(times, terminal)]


def _exponential(
    schedule: NoiseSchedule, steps: int, mu: float, terminal: float = 0.0
) -> list[GridPoint]:
    """Shifted by ``exp(mu)``.

    Raises:
        UserError: for a shift without bound.
    """
    if abs(mu) > _MOST_MU:
        raise UserError(f"grid of a dynamic shift: mu is {mu:g}; it must be within {_MOST_MU:g}")
    return _points(schedule, steps, math.exp(mu), terminal)


def _dynamic(schedule: NoiseSchedule, steps: int, *settings: float) -> list[GridPoint]:
    *line, terminal = settings
    return _exponential(schedule, steps, _line(*line), terminal)


def _dynamic_linear(schedule: NoiseSchedule, steps: int, *settings: float) -> list[GridPoint]:
    *line, terminal = settings
    shift = _line(*line)
    if shift <= 0:
        raise UserError(f"grid of a dynamic shift: the shift is {shift:g}; it must be above 0")
    return _points(schedule, steps, shift, terminal)


def _ltx(schedule: NoiseSchedule, steps: int, tokens: float) -> list[GridPoint]:
    return _dynamic(schedule, steps, tokens, 0.95, 2.05, 1024, 4096, 0.1)


def _qwen(schedule: NoiseSchedule, steps: int, tokens: float) -> list[GridPoint]:
    return _dynamic(schedule, steps, tokens, 0.5, 0.9, 256, 8192, 0.02)


def _flux2(schedule: NoiseSchedule, steps: int, tokens: float) -> list[GridPoint]:
    """``mu`` as its authors fitted it to 10 and to 200 steps, and linear in between."""
    mu = 0.00016927 * tokens + 0.45666666
    if tokens <= 4300:
        slope = (mu - (8.73809524e-05 * tokens + 1.89833333)) / 190.0
        mu += slope * (steps - 200)
    return _exponential(schedule, steps, mu)


def _cogview4(schedule: NoiseSchedule, steps: int, tokens: float) -> list[GridPoint]:
    """The levels are shifted; the times that the network gets are not, and are whole thousandths.

    The shift is ``mu`` itself, linear in the side of the image.
    """
    shift = 0.25 + 0.75 * math.sqrt(tokens / 256)
    points: list[GridPoint] = []
    for whole in np.linspace(_THOUSANDTHS, 1, steps).astype(int).tolist():
        time = whole / _THOUSANDTHS
        level = shifted(schedule, time, shift)
        points.append((time, math.log1p(-level) - math.log(level) if level < 1 else None))
    return points


# Of an image of 1024 by 1024.
_TOKENS = Setting("tokens", 4096, 1, 10**6)
_LINE = (
    _TOKENS,
    Setting("base", 0.5, -100, 100, whole=False),
    Setting("most", 1.15, -100, 100, whole=False),
    Setting("low", 256, 0, 10**6),
    Setting("high", 4096, 0, 10**6),
    TERMINAL,
)
_PIPELINE = "diffusers' pipeline and its published configuration"
GRIDS = (
    Grid(
        "flow-dynamic",
        "shifted by exp(mu), mu linear in the tokens; the defaults are FLUX.1's",
        ("flow",),
        _dynamic,
        "diffusers' use_dynamic_shifting, exponential; FLUX.1",
        settings=_LINE,
    ),
    Grid(
        "flow-dynamic-linear",
        "shifted by mu, linear in the tokens",
        ("flow",),
        _dynamic_linear,
        "diffusers' use_dynamic_shifting, linear",
        settings=_LINE,
    ),
    Grid(
        "flow-flux2",
        "FLUX.2's shift, by the tokens and the number of steps",
        ("flow",),
        _flux2,
        "diffusers' Flux2Pipeline, after black-forest-labs/flux2",
        settings=(_TOKENS,),
    ),
    Grid(
        "flow-cogview4",
        "CogView4's levels, shifted by the side of the image, at unshifted times",
        ("flow",),
        _cogview4,
        "diffusers' CogView4Pipeline",
        settings=(_TOKENS,),
    ),
    Grid(
        "flow-ltx",
        "LTX-Video's shift, by the tokens of all frames, stretched to end at 0.1",
        ("flow",),
        _ltx,
        _PIPELINE,
        settings=(_TOKENS,),
    ),
    Grid(
        "flow-qwen",
        "Qwen-Image's shift, by the tokens, stretched to end at 0.02",
        ("flow",),
        _qwen,
        _PIPELINE,
        settings=(_TOKENS,),
    ),
)
