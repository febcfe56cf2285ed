"""Timesteps: how many steps, where, and where the first one starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Family, Genome, Parameter, StepGenome, checked_ends, clone

__all__ = ["MOST_STEPS", "Timesteps"]

# As many as a recipe may have.
MOST_STEPS = 10_000

_WARPS = 4
# Standard deviations of a move, as shares of a step's room.
_WIDTHS = (0.1, 0.3)
# Of the mutations move, shift, insert and delete.
_ODDS = (0.5, 0.25, 0.125, 0.125)
# Added to each gap before its logarithm is taken, as a share of the range: a step may stand at its
# very end, and be moved away from there.
_LEAST_GAP = 1e-2
# The largest half log-SNR, log(alpha/sigma), of either sign, that a recipe may write out.
_LARGEST = 50.0


@dataclass(kw_only=True, eq=False)
class Timesteps(Family):
    """A variable number of decreasing times.

    Genome: ``start.scale``, ``time`` and (for baselines whose solver levels differ from the
    network's times) ``log_snr``, the half log-SNR log(alpha/sigma), of each step, ``end``. A step
    that an operator moves loses its ``log_snr``, so that network and solver agree again.

    Args:
        steps: the least and the largest number of steps, both included.
        min_gap: the smallest distance between neighbouring times, in the model's time; the
            schedule's own by default. Steps collapse without one.
    """

    name = "timesteps"
    summary = "number and places of the steps, variable length"
    fields = ("time", "log_snr")
    odds = 0.8
    owns_length = True

    steps: tuple[int, int] = (2, 10)
    min_gap: float | None = None

    def __post_init__(self) -> None:
        self.steps = checked_ends("space.timesteps.steps", self.steps, 1, MOST_STEPS, whole=True)
        schedule, high = self.denoiser.schedule, self.steps[1]
        self.first, self.last = schedule.first, schedule.last
        if self.denoiser.prediction == "noise" and math.isinf(schedule.log_snr(self.first)):
            # In pure noise, a prediction of the noise says nothing of the data.
            self.first -= 1e-3 * (self.first - self.last)
        self.resolution = 1e-3 * schedule.unit
        self._digits = round(-math.log10(self.resolution))
        wanted = schedule.min_gap if self.min_gap is None else self.min_gap
        self.gap = max(wanted, self.resolution)
        if not high * (self.gap + self.resolution) <= self.first - self.last:
            raise UserError(
                f"space.timesteps: {high} steps do not fit at least {self.gap:g} apart; use "
                "fewer steps or a smaller min_gap"
            )
        # Models with alpha = 1 start from the marginal, as their baselines do.
        self._start = "scheduler" if schedule.family == "edm" else "unit"

    def randomize(self, genome: Genome, rng: Rng) -> None:
        """Random ends and a random smooth curve of half log-SNR between, jittered."""
        # Each count gets an equal share of network evaluations, so few steps come up more.
        counts = np.arange(self.steps[0], self.steps[1] + 1)
        count = int(rng.choice(counts, p=(1 / counts) / (1 / counts).sum()))
        first, last = 0.55 * rng.random(), 1.0 - 0.4 * rng.random()
        bend = float(np.exp(0.4 * rng.standard_normal()))
        spots = np.linspace(0, 1, count) if count > 1 else np.array([0.5 * rng.random()])
        curve = first + (last - first) * spots**bend
        jitter = 0.2 * (last - first) / count * rng.standard_normal(count)
        places = np.sort(curve + jitter)
        genome["start"] = {"scale": self._start}
        genome["end"] = "clean"
        genome["steps"] = [{"time": self._round(self._at_log_snr(u))} for u in places.tolist()]
        self.repair(genome)

    def mutate(self, genome: Genome, rng: Rng) -> None:
        steps = genome["steps"]
        kind = rng.choice(["move", "shift", "insert", "delete"], p=_ODDS)
        if kind == "insert" and len(steps) < self.steps[1]:
            self._insert(steps, rng)
        elif kind == "delete" and len(steps) > self.steps[0]:
            del steps[int(rng.integers(len(steps)))]
        elif kind == "shift":
            self._shift(steps, rng)
        else:
            self._move(steps, rng)
        self.repair(genome)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Parents of one length may blend; else a prefix goes on with the other's smaller times."""
        if len(child["steps"]) == len(other["steps"]) and rng.random() < 0.5:
            self._blend(child["steps"], other["steps"], rng)
        else:
            self._splice(child, other, rng)
        self.repair(child)

    def coordinates(self, genome: Genome) -> Sequence[float]:
        """Logarithms [K] of the gaps in half log-SNR before each step, over the one after the last.

        Gaps are shares of the model's range, log(alpha/sigma) of its last time less that of its
        first, and a hundredth is added to each. None of the times is ever out of order.
        """
        places = [0.0, *(self._place(step["time"]) for step in genome["steps"]), 1.0]
        sizes = np.log(np.maximum(np.diff(places), 0.0) + _LEAST_GAP)
        found: list[float] = (sizes[:-1] - sizes[-1]).tolist()
        return found

    def place(self, genome: Genome, coordinates: Sequence[float]) -> None:
        sizes = np.exp(np.append(coordinates, 0.0) - max(*coordinates, 0.0))
        sizes *= (1 + len(sizes) * _LEAST_GAP) / sizes.sum()
        places = np.cumsum(np.maximum(sizes - _LEAST_GAP, 0.0))
        self._set_positions(genome["steps"], (places[:-1] / max(places[-1], 1e-9)).tolist())
        self.repair(genome)

    def resize(self, genome: Genome, count: int) -> None:
        """So many steps along the same curve of half log-SNR, each as the old one nearest to it."""
        steps = genome["steps"]
        curve = [0.0, *(self._place(step["time"]) for step in steps), 1.0]
        spots = np.linspace(0.0, 1.0, count + 2)[1:-1]
        places = np.interp(spots, np.linspace(0.0, 1.0, len(curve)), curve)
        nearest = np.floor((np.arange(count) + 0.5) * len(steps) / count).astype(int)
        genome["steps"] = [clone(steps[i]) for i in nearest.tolist()]
        self._set_positions(genome["steps"], places.tolist())
        self.repair(genome)

    def _set_positions(self, steps: Sequence[StepGenome], positions: Sequence[float]) -> None:
        """Move steps to places on the half-log-SNR axis of the model's range, 0 to 1."""
        for step, place in zip(steps, positions, strict=True):
            self._set_time(step, self._at_log_snr(place))

    def repair(self, genome: Genome) -> None:
        steps = self._fit_length(genome["steps"])
        times = self._spread([float(step["time"]) for step in steps])
        for step, time in zip(steps, times, strict=True):
            if step["time"] != time:
                step["time"] = time
                step.pop("log_snr", None)
        genome["steps"] = steps
        if not self._log_snrs_grow(genome):
            genome["end"] = "clean"
            for step in steps:
                step.pop("log_snr", None)

    def encodes(self, genome: Genome) -> bool:
        times = [step["time"] for step in genome["steps"]]
        return (
            self.steps[0] <= len(times) <= self.steps[1]
            and all(self._apart(a, b) for a, b in pairwise(times))
            and self.last <= times[-1]
            and times[0] <= self.first
            and self._log_snrs_grow(genome)
        )

    def box(self) -> Sequence[Parameter]:
        """A step count, both ends, and increments of a monotone warp of half log-SNR."""
        return (
            Parameter("steps", "int", self.steps[0], self.steps[1]),
            Parameter("first", "float", 0.0, 0.4),
            Parameter("last", "float", 0.6, 1.0),
            *(Parameter(f"warp{i}", "float", -1.5, 1.5) for i in range(_WARPS)),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        increments = np.exp([float(values[f"warp{i}"]) for i in range(_WARPS)])
        knots = np.concatenate([[0.0], np.cumsum(increments) / increments.sum()])
        count = int(values["steps"])
        warped = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, _WARPS + 1), knots)
        first, last = float(values["first"]), float(values["last"])
        genome["start"] = {"scale": self._start}
        genome["end"] = "clean"
        genome["steps"] = [
            {"time": self._round(self._at_log_snr(first + (last - first) * float(u)))}
            for u in warped
        ]
        self.repair(genome)

    def _move(self, steps: list[StepGenome], rng: Rng) -> None:
        """A few steps, each by a normal amount on the scale of its neighbourhood."""
        chosen = rng.random(len(steps)) < 1.5 / len(steps)
        chosen[int(rng.integers(len(steps)))] = True
        width = float(rng.choice(_WIDTHS))
        places = [self._place(step["time"]) for step in steps]
        room = 1.0 / (len(steps) + 1)
        for i in np.flatnonzero(chosen).tolist():
            moved = places[i] + width * room * float(rng.standard_normal())
            self._set_time(steps[i], self._at_log_snr(moved))

    def _shift(self, steps: list[StepGenome], rng: Rng) -> None:
        """All steps by a smooth warp: a shift and a stretch in half log-SNR."""
        places = np.array([self._place(step["time"]) for step in steps])
        offset, stretch = 0.04 * rng.standard_normal(), math.exp(0.1 * rng.standard_normal())
        centre = float(rng.random())
        for step, place in zip(steps, centre + stretch * (places - centre) + offset, strict=True):
            self._set_time(step, self._at_log_snr(float(place)))

    def _blend(self, steps: list[StepGenome], others: Sequence[StepGenome], rng: Rng) -> None:
        """All times move the same share of the way to the other parent's, or away from them."""
        share = float(rng.uniform(-0.5, 1.0))
        for step, other in zip(steps, others, strict=True):
            here, there = self._place(step["time"]), self._place(other["time"])
            self._set_time(step, self._at_log_snr(here + share * (there - here)))

    def _splice(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Keep a prefix of the child and go on with the other's later, smaller times."""
        cut = int(rng.integers(1, len(child["steps"]) + 1))
        prefix = child["steps"][:cut]
        tail = [dict(s) for s in other["steps"] if s["time"] <= prefix[-1]["time"] - self.gap]
        merged = prefix + tail
        if self.steps[0] <= len(merged) <= self.steps[1]:
            child["steps"] = merged
            child["end"] = other["end"]

    def _insert(self, steps: list[StepGenome], rng: Rng) -> None:
        at = int(rng.integers(len(steps) + 1))
        high = steps[at - 1]["time"] if at else self.first
        low = steps[at]["time"] if at < len(steps) else self.last
        # The new step takes its neighbour's other choices.
        neighbour = clone(steps[max(at - 1, 0)])
        self._set_time(neighbour, low + (high - low) * float(rng.random()))
        steps.insert(at, neighbour)

    def _set_time(self, step: StepGenome, time: float) -> None:
        rounded = self._round(min(max(time, self.last), self.first))
        if rounded != step["time"]:
            step["time"] = rounded
            step.pop("log_snr", None)

    def _fit_length(self, steps: list[StepGenome]) -> list[StepGenome]:
        ordered = sorted(steps, key=lambda step: -float(step["time"]))
        while len(ordered) > self.steps[1]:
            gaps = [a["time"] - b["time"] for a, b in pairwise(ordered)]
            del ordered[int(np.argmin(gaps)) + 1]
        while len(ordered) < self.steps[0]:
            times = [self.first, *(step["time"] for step in ordered), self.last]
            widest = int(np.argmax([a - b for a, b in pairwise(times)]))
            step = clone(ordered[max(widest - 1, 0)]) if ordered else {}
            step.pop("log_snr", None)
            step["time"] = self._round((times[widest] + times[widest + 1]) / 2)
            ordered.insert(widest, step)
        return ordered

    def _spread(self, times: list[float]) -> list[float]:
        """Decreasing times inside the range, far enough apart.

        Times that are so already stay as they are, to the last digit: baselines must round-trip.
        """
        gap = math.ceil(self.gap / self.resolution - 1e-9) * self.resolution
        result = [min(max(time, self.last), self.first) for time in times]
        for i in range(1, len(result)):
            if not self._apart(result[i - 1], result[i]):
                result[i] = self._round_down(result[i - 1] - gap)
        lowest = self._round(math.ceil(self.last / self.resolution - 1e-9) * self.resolution)
        for i in reversed(range(len(result))):
            is_last = i == len(result) - 1
            if result[i] >= self.last if is_last else self._apart(result[i], result[i + 1]):
                break
            result[i] = lowest
            lowest = self._round(lowest + gap)
        return result

    def _apart(self, high: float, low: float) -> bool:
        """Whether two neighbours keep the minimum gap, or are a known recipe's own.

        Those have more digits than operators write (or are the range's end). They need only be
        told apart: near the ends of some schedules, published grids are finer than the gap.
        """
        if high - low >= self.gap * (1 - 1e-9):
            return True
        known = self._round(high) != high or high == self.first
        return known and self._round(low) != low and high - low >= self.resolution

    def _log_snrs_grow(self, genome: Genome) -> bool:
        schedule = self.denoiser.schedule
        given = [step.get("log_snr") for step in genome["steps"]]
        values = [
            schedule.log_snr(step["time"]) if value is None else value
            for step, value in zip(genome["steps"], given, strict=True)
        ]
        end = None if genome["end"] == "clean" else float(genome["end"])
        values.append(math.inf if end is None else end)
        within = all(abs(value) <= _LARGEST for value in (*given, end) if value is not None)
        return within and all(b > a for a, b in pairwise(values))

    def _round(self, time: float) -> float:
        return self.denoiser.schedule.rounded(time)

    def _round_down(self, time: float) -> float:
        """Also where a baseline's time has more digits, the gap to it is kept."""
        scale = 10.0**self._digits
        return self._round(math.floor(time * scale + 1e-6) / scale)

    def _at_log_snr(self, place: float) -> float:
        low, high = self._ends()
        return float(self.denoiser.schedule.time(low + min(max(place, 0.0), 1.0) * (high - low)))

    def _place(self, time: float) -> float:
        """Where a time lies on the half-log-SNR axis of the model's range, 0 to 1."""
        low, high = self._ends()
        value = self.denoiser.schedule.log_snr(time)
        return float(min(max((value - low) / (high - low), 0.0), 1.0))

    def _ends(self) -> tuple[float, float]:
        schedule = self.denoiser.schedule
        span = self.first - self.last
        low = schedule.log_snr(self.first)
        return (
            low if math.isfinite(low) else schedule.log_snr(self.first - 1e-3 * span)
        ), schedule.log_snr(self.last)
