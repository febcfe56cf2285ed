"""What loggers are told of a candidate, as numbers by name."""

import numpy as np

from autosearch.integrations.loggers.base import Numbers
from autosearch.study.front import hypervolume, non_dominated, objectives_of, signs, values_of
from autosearch.study.study import Candidate, Estimates, Noise, Study

__all__ = ["Tally", "validated_numbers"]


class Tally:
    """Counts up what has been found and spent; given the candidates in the order of numbers."""

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
            known = np.concatenate([self._front, own])
            self._front = known[non_dominated(known)]
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
        """None for baselines: with them its axes are fixed, and a resumed run tells the same."""
        if self._study.scale is None or candidate.kind == "baseline":
            return {}
        names = [objective.name for objective in self._objectives]
        raw = signs(self._objectives) * self._front
        return {"hypervolume": hypervolume(self._study.scale["axes"], names, raw)}


def _estimates(values: Estimates) -> dict[str, float]:
    found = {}
    for name, estimate in values.items():
        found[f"search/{name}"] = estimate.value
        if estimate.pseudo:
            found[f"search/{name}_error"] = estimate.standard_error
    return found


def validated_numbers(values: Estimates, noise: Noise) -> Numbers:
    """Values on fresh noise with the ends of their 95% intervals."""
    seed, samples = noise
    found = {"validated/seed": float(seed), "validated/samples": float(samples)}
    for name, estimate in values.items():
        found[f"validated/{name}"] = estimate.value
        if estimate.pseudo:
            low, high = estimate.interval()
            found |= {f"validated/{name}_low": low, f"validated/{name}_high": high}
    return found
