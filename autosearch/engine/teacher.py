"""The teacher: a fine trajectory that candidates are held against, and its own error.

A distance to the teacher says nothing once it is as small as the teacher's own to the truth: then
the recipe that errs like the teacher looks best. So the teacher is run a second time with twice
the steps, on all the same samples, since a few of them may bear most of the error. Its distance to
that run, by the objective's own estimate, is its error, times 4/3, which makes up for the second
run's own at an order between 2 and infinity. Values within twice the error, as root mean squares,
are raised to that limit: nothing below it can be told apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Rows
from autosearch.objectives import Estimate
from autosearch.study.teacher import limit

__all__ = ["CLEAR", "DOUBLED", "LEAST_STEPS", "MOST_STEPS", "Teacher", "teacher_steps"]

# Distances are squared ones: of order p the finer run is (1 - 2^-p)^2 of the error away, from 9/16
# at order 2 to all of it; the mean of the two, in ratio, is 3/4.
DOUBLED = 4 / 3
# Steps: as fine as is usual, and so many times as many as the longest candidate has, where the
# budget can bear it; never fewer than the least, nor so many that twice as many have no name.
_USUAL_STEPS = 100
_FINER = 4
LEAST_STEPS, MOST_STEPS = 50, 500
# A distance so many times as large as the teacher's own error is known well: its root to a sixth
# if both err alike, and better if not.
CLEAR = 36.0


@dataclass(frozen=True, eq=False)
class Teacher:
    """Ends of a fine trajectory and its own errors.

    Attributes:
        ends: [samples, d], from the noise that candidates have too.
        name: of the recipe, such as ``teacher@100``.
        errors: its own distance to the truth, by objective; empty where it is not known.
        features: [samples, d] of the ends, where an objective asks.
    """

    ends: NDArray[np.generic]
    name: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    features: NDArray[np.generic] | None = None

    @classmethod
    def of(cls, rows: Rows, name: str = "", errors: Mapping[str, float] | None = None) -> "Teacher":
        """A teacher of the rows that it was sampled with."""
        return cls(rows["final"], name, errors or {}, rows.get("features"))

    def first(self, samples: int) -> "Teacher":
        """That of the first samples alone."""
        features = None if self.features is None else self.features[:samples]
        return replace(self, ends=self.ends[:samples], features=features)

    def bounded(self, objective: str, estimate: Estimate) -> Estimate:
        """An estimate, raised to what can be told apart from nothing.

        Its pseudo-values are moved along: their spread is the samples', not the teacher's.
        """
        least = limit(self.errors.get(objective, 0.0))
        if objective not in self.errors or estimate.value >= least:
            return estimate
        short = least - estimate.value
        moved = tuple(value + short for value in estimate.pseudo)
        return Estimate(least, moved, estimate.trials)


def teacher_steps(longest: int, affordable: float) -> int:
    """How many steps a teacher has.

    Args:
        longest: the most steps that a candidate may have.
        affordable: how many the budget bears.
    """
    wanted = min(max(_USUAL_STEPS, _FINER * longest), MOST_STEPS)
    return max(min(wanted, int(min(affordable, MOST_STEPS))), LEAST_STEPS)
