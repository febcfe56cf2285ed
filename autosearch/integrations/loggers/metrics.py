"""What loggers are told of a candidate, as numbers by name."""

import numpy as np

from autosearch.integrations.loggers.base import Numbers
from autosearch.study.hypervolume import study_hypervolume
from autosearch.study.ranking import non_dominated, objectives_of, values_of
from autosearch.study.study import Candidate, Estimates, Noise, Study

__all__ = ["Tally", "validated_numbers"]


class Tally:
    """Running totals of a search: its front, its cost; candidates come in the order of numbers."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._objectives = objectives_of(study)
        self._front = np.empty((0, len(self._objectives)))
        self._executed = 0.0
        self._duplicates = 0
        self._infeasible = 0

    def add(self, candidate: Candidate) -> Numbers:
        """The candidate's numbers, and the totals up to it."""
        ok = candidate.status == "ok"
        self._executed += candidate.executed
        self._duplicates += candidate.duplicates
        self._infeasible += not ok
        if ok:
            own = values_of([candidate], self._objectives)
            points = np.concatenate([self._front, own])
            self._front = points[non_dominated(points)]
        return {
            **_estimates(candidate.values),
            "feasible": float(ok),
            "cost/forward_equivalents": candidate.executed,
            "cost/nominal": candidate.nominal,
            "cost/seconds": candidate.seconds,
            "cost/duplicates": float(candidate.duplicates),
            "total/forward_equivalents": self._executed,
            "total/duplicates": float(self._duplicates),
            "total/infeasible": float(self._infeasible),
            **self._volume(candidate),
        }

    def _volume(self, candidate: Candidate) -> dict[str, float]:
        """The hypervolume, but not for baselines: only once all are in are its axes fixed."""
        if candidate.kind == "baseline":
            return {}
        volume = study_hypervolume(self._study, self._front)
        return {} if volume is None else {"hypervolume": volume}


def _estimates(values: Estimates) -> dict[str, float]:
    numbers = {}
    for name, estimate in values.items():
        numbers[f"search/{name}"] = estimate.value
        if estimate.pseudo:
            numbers[f"search/{name}_error"] = estimate.standard_error
    return numbers


def validated_numbers(values: Estimates, noise: Noise) -> Numbers:
    """Values on fresh noise with the ends of their 95% intervals."""
    seed, samples = noise
    numbers = {"validated/seed": float(seed), "validated/samples": float(samples)}
    for name, estimate in values.items():
        numbers[f"validated/{name}"] = estimate.value
        if estimate.pseudo:
            low, high = estimate.interval()
            numbers |= {f"validated/{name}_low": low, f"validated/{name}_high": high}
    return numbers
