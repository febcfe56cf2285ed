"""A recipe's steps as genes: the set of its times, apart from everything else."""

from collections.abc import Sequence

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, StepGenome, clone
from autosearch.spaces.product import Space
from autosearch.spaces.timesteps import Timesteps

__all__ = ["StepTimes"]


class StepTimes:
    """Genomes of any space, seen as the times of their steps; other fields stay at their place.

    New times are drawn from the model's training times: whole numbers where it has them, 1000
    evenly spaced ones for flows, and as many evenly spaced in half log-SNR, log(alpha/sigma), for
    EDM's models, whose time is a noise level. What the space does not hold, such as times that are
    equal or too near, it repairs.

    Args:
        space: any with the family ``timesteps``.
        name: the algorithm's, for the message.

    Raises:
        UserError: for a space without it.
    """

    def __init__(self, space: Space, *, name: str) -> None:
        owners = [family for family in space.families if isinstance(family, Timesteps)]
        if not owners:
            raise UserError(
                f"algorithm: {name} searches timesteps, and the space has none; add the family "
                "'timesteps: {}' to space"
            )
        self.space = space
        self._fields = owners[0].fields
        self._others = [family for family in space.families if family is not owners[0]]
        self._pool = _training_times(space.denoiser.schedule)

    def random(self, rng: Rng, *, like: Genome | None) -> Genome:
        """Distinct random times, as many as a random genome has.

        ``like`` gives all other fields, step by step and the last one's for what goes on; without
        it they are random too.
        """
        genome = self.space.sample(rng)
        times = self._unused(len(genome["steps"]), [], rng)
        return self._fill(genome, times, like)

    def uniform(self, rng: Rng) -> Genome:
        """Evenly spaced times, both ends included, nothing else chosen."""
        genome = self.space.sample(rng)
        last = len(self._pool) - 1
        spots = np.linspace(last, 0, len(genome["steps"])).round().astype(int)
        return self._fill(genome, self._pool[spots].tolist(), {"steps": [{}]})

    def mutate(self, genome: Genome, share: float, rng: Rng) -> Genome:
        """Each time is replaced by an unused one with probability ``share``."""
        times = _times(genome)
        replaced = np.flatnonzero(rng.random(len(times)) < share).tolist()
        for i, time in zip(replaced, self._unused(len(replaced), times, rng), strict=True):
            times[i] = time
        return self._with_times(genome, times)

    def mix(self, a: Genome, b: Genome, rng: Rng, *, others: bool) -> Genome:
        """Each position from either parent, then sorted; whole steps where ``others`` may change.

        Parents of different lengths have no common positions: the space's own crossover.
        """
        if len(a["steps"]) != len(b["steps"]):
            child = self.space.crossover(a, b, rng)
            return child if others else self._fill(child, _times(child), a)
        chosen = rng.random(len(a["steps"])) < 0.5
        child = clone(a)
        pairs = list(zip(child["steps"], clone(b)["steps"], chosen.tolist(), strict=True))
        if others:
            child["steps"] = [mine if own else theirs for mine, theirs, own in pairs]
        times = [(mine if own else theirs)["time"] for mine, theirs, own in pairs]
        return self._with_times(child, times)

    def mutate_others(self, genome: Genome, rng: Rng) -> Genome:
        """Each other family mutates by its odds; one may add an analytic step, which is free."""
        child = clone(genome)
        for family in self._others:
            if rng.random() < family.odds:
                family.mutate(child, rng)
        return self.space.repair(child)

    def _unused(self, count: int, used: Sequence[float], rng: Rng) -> list[float]:
        """Distinct training times that are not among the used ones."""
        free = self._pool[~np.isin(self._pool, used)]
        drawn: list[float] = rng.choice(free, size=count, replace=False).tolist()
        return drawn

    def _fill(self, genome: Genome, times: Sequence[float], like: Genome | None) -> Genome:
        """The times, with every other field from ``like`` if it is given."""
        child = clone(genome)
        if like is not None:
            sources = like["steps"]
            steps = [
                self._part(step, True) | self._part(sources[min(i, len(sources) - 1)], False)
                for i, step in enumerate(child["steps"])
            ]
            ends = {key: child[key] for key in ("start", "end")}
            child = clone({**like, **ends, "steps": steps})
        return self._with_times(child, times)

    def _part(self, step: StepGenome, own: bool) -> StepGenome:
        """The fields of a step that the family of times owns, or the others."""
        return {field: value for field, value in step.items() if (field in self._fields) == own}

    def _with_times(self, genome: Genome, times: Sequence[float]) -> Genome:
        """Sorted times over the steps as they stand; a new time has the schedule's half log-SNR."""
        child = clone(genome)
        levels = {step["time"]: step.get("log_snr") for step in child["steps"]}
        for step, time in zip(child["steps"], sorted(times, reverse=True), strict=True):
            step["time"] = time
            step.pop("log_snr", None)
            if levels.get(time) is not None:
                step["log_snr"] = levels[time]
        return self.space.repair(child)


def _times(genome: Genome) -> list[float]:
    return [float(step["time"]) for step in genome["steps"]]


def _training_times(schedule: NoiseSchedule) -> Array:
    """[T] times from clean to noise."""
    count = schedule.train_steps
    times = [schedule.training_time(i) for i in range(count)]
    if schedule.family == "edm":
        ends = schedule.log_snr(schedule.last), schedule.log_snr(schedule.first)
        times = [schedule.time(level) for level in np.linspace(*ends, count).tolist()]
    return np.array([schedule.rounded(time) for time in times])
