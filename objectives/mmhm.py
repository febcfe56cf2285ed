"""MMHM: the harmonic mean of several qualities, each between a worst and a best value.

The score of the FairBenchmarkingFlow comparison, from its released code: with ``u`` where a value
stands from worst (0) to best (1), ``n / sum 1 / (0.001 + u)``. There the bounds are the extremes of
whatever is compared, so that adding one recipe changes every score. Here they are frozen before
the first evaluation, which a search needs.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from autosearch._typing import Array, Rows
from autosearch.errors import UserError
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.fid import Fid
from autosearch.objectives.inception import InceptionScore
from autosearch.objectives.precision_recall import Precision, Recall
from autosearch.objectives.rows import reference_rows
from autosearch.objectives.text_rewards import ClipScore, PickScore

__all__ = ["BOUNDS", "Mmhm", "MmhmText", "harmonic"]

_SMALL = 1e-3
# The reference's entry that holds the worst and the best value of an objective, in this order.
BOUNDS = "bounds.{name}"


class Mmhm(Objective):
    """The harmonic mean of FID, Inception score, precision and recall.

    An experiment freezes bounds by ``model: {name: digits, bounds: {fid: [0.3, 0.02]}}``, the worst
    value first. Without, they are the widest there are: FID from that of a single point at the
    mean of the data to 0, Inception score from 1 to the number of classes, shares from 0 to 1. A
    value beyond the worst bound counts as the worst, which the original leaves to run away.

    The error is that of the linearised score, from the pseudo-values of its parts.
    """

    name = "mmhm"
    summary = "harmonic mean of fid, is, precision and recall between frozen bounds"
    direction = "maximize"
    needs = frozenset({"features", "logits"})
    parts: ClassVar[tuple[type[Objective], ...]] = (Fid, InceptionScore, Precision, Recall)

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """The number of the part that asks for the most."""
        return max(part().min_samples(widths) for part in self.parts)

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The score from the rows of all parts."""
        found = [part().estimate(rows, reference, blocks) for part in self.parts]
        ends = np.array([self._bounds(part, rows, reference) for part in self.parts])
        values = np.array([one.value for one in found])
        pseudo = np.array([one.pseudo for one in found])
        score, slope = harmonic(values, ends[:, 0], ends[:, 1])
        moved = slope @ (pseudo - pseudo.mean(axis=1, keepdims=True))
        return Estimate(score, tuple((score + moved).tolist()))

    def _bounds(self, part: type[Objective], rows: Rows, reference: Rows) -> tuple[float, float]:
        """The worst and the best value of a part."""
        frozen = reference.get(BOUNDS.format(name=part.name))
        if frozen is not None:
            return float(frozen[0]), float(frozen[1])
        if part is Fid:
            columns = np.shape(rows["features"])[1]
            covariance = reference_rows(
                reference, "features_cov", objective=self.name, columns=columns
            )
            return float(np.trace(covariance)), 0.0
        if part is InceptionScore:
            return 1.0, float(np.shape(rows["logits"])[1])
        if part in (Precision, Recall):
            return 0.0, 1.0
        raise UserError(
            f"{self.name}: {part.name} has no natural bounds; give them, such as "
            f"'bounds: {{{part.name}: [15, 25]}}' in the experiment's model"
        )


class MmhmText(Mmhm):
    """The published harmonic mean: FID, Inception score, CLIP score, PickScore in given bounds."""

    name = "mmhm_text"
    summary = "harmonic mean of fid, is, clip_score and pick_score between frozen bounds"
    needs = frozenset({"features", "logits", "clip_score", "pick_score"})
    parts = (Fid, InceptionScore, ClipScore, PickScore)


def harmonic(values: Array, worst: Array, best: Array) -> tuple[float, Array]:
    """The score of values [n] between bounds [n], and its derivative by each."""
    span = best - worst
    # Bounds that are one make every value the best, as in the original.
    scaled = np.where(span == 0, 1.0, (values - worst) / np.where(span == 0, 1.0, span))
    inverse = 1.0 / (_SMALL + scaled.clip(min=0.0))
    score = len(values) / inverse.sum()
    moving = (span != 0) & (scaled > 0)
    slope = np.where(moving, inverse**2 / np.where(span == 0, 1.0, span), 0.0)
    return float(score), slope * score**2 / len(values)
