"""The grids of the scheduler that a model came with, read from diffusers' own schedulers.

For a flow they are those of its scheduler, whatever the solver, called as its pipeline calls it.
For betas the grid of a solver is the one of diffusers' scheduler of that solver, made from the
model's configuration, as ``SomeScheduler.from_config(pipeline.scheduler.config)`` makes it.

Two deviations. Diffusers' DDIM goes T // K down from each time, which on ``linspace`` (and by one
on ``trailing``, where K does not divide T) misses the time that it asks the network for next; a
recipe's step ends where the next one begins. And where a stride of ``trailing`` does not add up,
diffusers takes one step more, at time -1, which a recipe does not.
"""

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from autosearch.diffusion.grids import GridPoint, SamplingGrid
from autosearch.diffusion.schedules import NoiseSchedule, VariancePreserving
from autosearch.errors import UserError, one_line
from autosearch.models.diffusers.optional_import import diffusers_class, quiet
from autosearch.models.diffusers.schedule import dynamic_shift, model_noise
from autosearch.models.diffusers.scheduler_config import (
    LEVEL_KEYS,
    scheduler_config,
    scheduler_defaults,
)

__all__ = ["SchedulerGrids"]

_BETAS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
# Diffusers keeps levels in single precision: levels closer than this share of them are one, and
# so are the times of a flow and the levels that they were made from.
_SAME = 1e-6
_SAME_TIME = 2e-7
# Keys that a class reads, for Karras levels and the like, also where it does not take them.
_READ_BY_ALL = frozenset({"sigma_max", "sigma_min"})
# The signal that solvers in sigma leave at the last time of zero-terminal-SNR betas.
_LEAST_SIGNAL = 2.0**-24


class SchedulerGrids:
    """The grids of one model, by the scheduler of a solver and the number of steps.

    Args:
        config: of the model's scheduler, as saved, with ``_class_name``.
        tokens: of an image, for flows whose shift depends on it.
        even: whether the model's pipeline hands its scheduler the noise levels
            ``linspace(1, 1/K, K)``, as those of FLUX and Qwen-Image do, or the number K alone.
        where: the scheduler's place, for messages.

    Attributes:
        schedule: the model's noise schedule; of a flow it knows the model's shift.
        prediction: what the model predicts.

    Raises:
        UserError: for a configuration that is not supported.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        tokens: int | None = None,
        even: bool = False,
        where: str = "scheduler",
    ) -> None:
        self._config = scheduler_config(config, where=where)
        # What is left out is left to each class, but for the betas, which are the model's.
        said = config.keys() - set(config.get("_use_default_values", ()))
        self._given = {
            key: value
            for key, value in self._config.items()
            if key in _BETAS or (key in said and key in LEVEL_KEYS)
        }
        self._where = where
        self._even = even
        self._mu = None if tokens is None else dynamic_shift(self._config, tokens)
        self.schedule, self.prediction = model_noise(config, where=where, mu=self._mu)
        self._made: dict[tuple[str, int], SamplingGrid] = {}

    def __call__(self, scheduler: str, steps: int) -> SamplingGrid:
        """The grid of so many steps.

        Args:
            scheduler: the class of diffusers that runs a solver on betas.
            steps: how many.

        Raises:
            UserError: where diffusers refuses, or makes levels that no recipe can have.
        """
        kind = scheduler
        if self.schedule.family == "flow":
            kind = str(self._config["_class_name"])
        key = kind, steps
        if key not in self._made:
            self._made[key] = self._read(kind, steps)
        return self._made[key]

    def _read(self, kind: str, steps: int) -> SamplingGrid:
        place = f"{self._where}: {kind} at {steps} steps"
        try:
            with quiet():
                made = self._scheduler(kind, steps)
                made.set_timesteps(**self._call(made, steps))
        except (ValueError, AssertionError, NotImplementedError, ImportError) as error:
            raise UserError(f"{place}: {one_line(error) or type(error).__name__}") from None
        # Heun's scheduler has every point but the first twice.
        times = made.timesteps.double().tolist()[:: made.order][:steps]
        if self.schedule.family == "flow":
            points, end = self._flow_points(made, times)
        else:
            points, end = self._points(made, times)
        _check(points, end, self.schedule, place)
        return SamplingGrid(tuple(points), end, self._start_in_sigma(made))

    def _scheduler(self, kind: str, steps: int) -> Any:
        """A scheduler of a class with all that the configuration says of levels."""
        known = scheduler_defaults(kind)
        given = {k: value for k, value in self._given.items() if k in known or k in _READ_BY_ALL}
        if steps == 1:  # there is nothing to stretch, and diffusers makes it not a number
            given.pop("shift_terminal", None)
        # Without it the singlestep solver refuses a last level of 0.
        lowers = {"lower_order_final": True} if "lower_order_final" in known else {}
        made = diffusers_class(kind).from_config({**given, **lowers})
        schedule = self.schedule
        if isinstance(schedule, VariancePreserving) and not self._makes_levels(known):
            table = torch.tensor(schedule.alphas_cumprod, dtype=torch.float32)
            made.alphas_cumprod = table.clamp(min=_LEAST_SIGNAL)
        return made

    def _makes_levels(self, known: Mapping[str, Any]) -> bool:
        """Whether a class with these keys makes the model's levels of the configuration."""
        changed = {"rescale_betas_zero_snr": False, "snr_shift_scale": 1.0}
        return all(
            key in known or self._config.get(key, plain) == plain for key, plain in changed.items()
        )

    def _call(self, made: Any, steps: int) -> dict[str, Any]:
        takes = inspect.signature(made.set_timesteps).parameters
        call: dict[str, Any] = {"num_inference_steps": steps}
        if self.schedule.family != "flow":
            return call
        if self._even and "sigmas" in takes:
            call["sigmas"] = np.linspace(1.0, 1.0 / steps, steps)
        if self._mu is not None and "mu" in takes:
            call["mu"] = self._mu
        return call

    def _points(
        self, made: Any, times: Sequence[float]
    ) -> tuple[list[GridPoint], float | Literal["clean"]]:
        """Points on betas; levels of the table at whole times are the schedule's own."""
        schedule = self.schedule
        if not hasattr(made, "sigmas"):
            clean = made.config.get("set_alpha_to_one", True)
            return [(time, None) for time in times], "clean" if clean else schedule.log_snr(0.0)
        sigmas = made.sigmas.double().tolist()[:: made.order]
        levels = made.alphas_cumprod.double()
        table = ((1 - levels) / levels).sqrt().tolist()

        def log_snr(sigma: float, time: float) -> float | None:
            own = 0 <= time < len(table) and time.is_integer() and _same(table[int(time)], sigma)
            return None if own and math.isfinite(schedule.log_snr(time)) else -math.log(sigma)

        points = [(time, log_snr(sigma, time)) for time, sigma in zip(times, sigmas, strict=False)]
        last = made.sigmas.double().tolist()[-1]
        if last == 0:
            return points, "clean"
        if _same(last, sigmas[len(points) - 1]):
            return points, _level(points[-1], schedule)
        end = log_snr(last, 0.0)
        return points, schedule.log_snr(0.0) if end is None else end

    def _flow_points(
        self, made: Any, times: Sequence[float]
    ) -> tuple[list[GridPoint], float | Literal["clean"]]:
        """Points of a flow; some schedulers cut the network's times to whole thousandths."""
        sigmas = made.sigmas.double().tolist()[:: made.order]
        levels = [min(sigma, 1.0) for sigma in sigmas[: len(times)]]
        if any(sigma > 1 + _SAME or sigma <= 0 for sigma in sigmas[: len(times)]):
            raise UserError(
                f"{self._where}: {type(made).__name__} makes levels of this configuration that "
                "are none of a flow, which lie between 0 and 1"
            )
        points: list[GridPoint] = []
        for time, level in zip(times, levels, strict=True):
            own = _same(time / self.schedule.train_steps, level, _SAME_TIME)
            points.append(
                (level, None)
                if own
                else (time / self.schedule.train_steps, math.log1p(-level) - math.log(level))
            )
        last = made.sigmas.double().tolist()[-1]
        if last == 0:
            return points, "clean"
        if _same(last, levels[-1]):
            return points, _level(points[-1], self.schedule)
        return points, self.schedule.log_snr(last)

    def _start_in_sigma(self, made: Any) -> Literal["unit", "sigma", "scheduler"]:
        """The scale at which a solver in sigma starts; pipelines of flows start at 1."""
        if self.schedule.family == "flow":
            return "unit"
        spacing = getattr(made.config, "timestep_spacing", "leading")
        return "sigma" if spacing in ("linspace", "trailing") else "scheduler"


def _same(one: float, other: float, share: float = _SAME) -> bool:
    return math.isclose(one, other, rel_tol=share)


def _level(point: GridPoint, schedule: NoiseSchedule) -> float:
    time, log_snr = point
    return schedule.log_snr(time) if log_snr is None else log_snr


def _check(
    points: Sequence[GridPoint],
    end: float | Literal["clean"],
    schedule: NoiseSchedule,
    place: str,
) -> None:
    """Refuse what no recipe can run.

    Raises:
        UserError: for times outside the model's range and levels that do not fall.
    """
    outside = [time for time, _ in points if not schedule.least <= time <= schedule.first]
    if outside:
        raise UserError(
            f"{place}: time {outside[0]:g} is outside the model's range, {schedule.first:g} down "
            f"to {schedule.least:g}"
        )
    levels = [_level(point, schedule) for point in points]
    falls = all(b > a for a, b in itertools.pairwise(levels))
    if not falls or (end != "clean" and end < levels[-1]):
        raise UserError(f"{place}: its noise levels do not fall from step to step")
