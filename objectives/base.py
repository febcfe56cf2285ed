"""What an objective is, and the estimate that it returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from scipy import special

from autosearch._typing import Array, Rows
from autosearch.objectives.shares import share_difference_interval, share_interval

if TYPE_CHECKING:
    from autosearch.diffusion.plan.plan import Plan

__all__ = ["Direction", "Estimate", "Objective", "Rows", "compare", "half_width"]

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Estimate:
    """A value with its jackknife pseudo-values, so that two estimates can be compared in pairs.

    ``pseudo`` has one entry for each of the B equal blocks:
    ``B * theta - (B - 1) * theta_without_b``. It is empty for a value known exactly (what a plan
    declares). ``trials`` is not 0 where the value is a share of so many samples: between 0 and 1,
    with intervals that hold near these ends, see :mod:`autosearch.objectives.shares`. The error
    covers the noise of the generated samples only: the reference is taken as given.

    ``residuals`` are numbers whose squares add up to about the value, where an objective says what
    it is made of; they change smoothly with the samples, so that a least-squares search can tell
    where the value becomes less.
    """

    value: float
    pseudo: tuple[float, ...] = field(default=())
    trials: int = 0
    residuals: tuple[float, ...] = field(default=())

    @property
    def standard_error(self) -> float:
        """Jackknife standard error; 0 for an exact value."""
        return _standard_error(np.asarray(self.pseudo, dtype=np.float64))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided t interval with B - 1 degrees of freedom; of a share, one that holds."""
        if self._is_share:
            return share_interval(*self._parts, level)
        return _interval(self.value, np.asarray(self.pseudo, dtype=np.float64), level)

    @property
    def _is_share(self) -> bool:
        return self.trials > 0 and len(self.pseudo) > 1

    @property
    def _parts(self) -> tuple[float, Array, int]:
        return self.value, np.asarray(self.pseudo, dtype=np.float64), self.trials


def compare(a: Estimate, b: Estimate, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """``a - b`` and its interval, by the jackknife of the difference on the same blocks.

    The pseudo-values are subtracted pair by pair, so noise that both share (equal seeds) cancels.
    Both must come from the same seed blocks; only their number can be checked here. Two shares have
    the interval of a difference of shares.

    Raises:
        ValueError: when the two were not measured on the same number of blocks.
    """
    if len(a.pseudo) != len(b.pseudo):
        raise ValueError(f"{len(a.pseudo)} blocks against {len(b.pseudo)}: not a paired comparison")
    difference = a.value - b.value
    if a._is_share and b._is_share:
        return difference, share_difference_interval(a._parts, b._parts, level)
    paired = np.asarray(a.pseudo, dtype=np.float64) - np.asarray(b.pseudo, dtype=np.float64)
    return difference, _interval(difference, paired, level)


def half_width(value: float, interval: tuple[float, float]) -> float:
    """How far the farther end of an interval is from its value; for ``value ± half``."""
    return max(interval[1] - value, value - interval[0])


def _standard_error(pseudo: Array) -> float:
    blocks = len(pseudo)
    return float(pseudo.std(ddof=1) / math.sqrt(blocks)) if blocks > 1 else 0.0


def _interval(value: float, pseudo: Array, level: float) -> tuple[float, float]:
    if len(pseudo) < 2:
        return value, value
    half = float(special.stdtrit(len(pseudo) - 1, 0.5 + level / 2)) * _standard_error(pseudo)
    return value - half, value + half


class Objective:
    """A number to make small or large. Subclasses give either ``declared`` or ``estimate``.

    ``needs`` names the rows that a worker must return for each sample: ``features`` [N, d],
    ``logits`` [N, classes], ``pixels`` [N, p] (projected on the reference's basis),
    ``teacher_mse`` [N], ``final`` and ``teacher`` [N, D] (the samples, and the fine trajectory's
    from the same noise), ``teacher_features`` [N, d] (the latter's features). An objective without
    needs is read from the plan.

    ``share`` declares that the value is the share of the samples that something holds for, or one
    that they determine: from 0 to 1, with intervals that hold near both ends.
    ``deterministic_only``: it has no value for recipes that draw noise on the way.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[frozenset[str]] = frozenset()
    share: ClassVar[bool] = False
    deterministic_only: ClassVar[bool] = False
    least_samples: ClassVar[int] = 0

    @property
    def ready(self) -> bool:
        """Whether :meth:`declared` can give a value yet."""
        return True

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """The least number of samples at which the value means something.

        ``least_samples`` unless a subclass computes it from ``widths``, the number of columns of
        each kind of rows, such as ``{"features": 64}``.
        """
        return self.least_samples

    def declared(self, plan: "Plan") -> float:
        """The value as the plan declares it; only for objectives without needs."""
        raise TypeError(f"{self.name} is measured, not declared")

    def observed(self, plan: "Plan", rows: Rows, blocks: int) -> Estimate:
        """The value when the plan was run: as declared, unless the rows know better.

        ``blocks`` is 0 where no rows were asked for.
        """
        return Estimate(self.declared(plan))

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The value from rows of N samples in index order, cut into ``blocks`` equal blocks.

        ``reference`` holds ``features_mean`` [d], ``features_cov`` [d, d], ``features`` [R, d],
        ``pixels_mean`` [p], ``pixels_cov`` [p, p]; an objective reads what it uses.

        Raises:
            Infeasible: when the rows of the generated samples are not finite.
            UserError: when the model or its reference lacks what the objective needs.
            ValueError: when the samples cannot be cut into so many equal blocks.
        """
        raise TypeError(f"{self.name} is declared, not measured")
