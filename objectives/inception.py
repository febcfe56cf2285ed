"""Inception score: how sure the classifier is of each sample, and how varied the classes are.

Salimans et al. (2016), arXiv 1606.03498, section 4: ``exp(mean KL(p(y|x) || p(y)))``.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import special

from autosearch._typing import Array, Rows
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import cut, from_leave_one_out
from autosearch.objectives.rows import column_count, sample_rows

__all__ = ["InceptionScore"]


class InceptionScore(Objective):
    """The Inception score of one split, between 1 and the number of classes C.

    Equal to torch-fidelity's with one split. Ten splits, the usual choice, only add bias. With one
    the value is too low by at most about (C - 1) / 2N of itself, which is left in: compare at an
    equal number of samples.
    """

    name = "is"
    summary = "Inception score: sure and varied classes (one split)"
    unit = "IS"
    direction = "maximize"
    needs = frozenset({"logits"})
    # Ten samples of each class, so that the share of a class is known to about a third.
    samples_per_class: ClassVar[int] = 10

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """``samples_per_class`` times the number of classes."""
        return self.samples_per_class * column_count(widths, "logits", objective=self.name)

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The score of ``logits`` [N, classes]; the reference is not used."""
        logits = sample_rows(rows, "logits", objective=self.name)
        log_p = special.log_softmax(logits, axis=1)
        p = np.exp(log_p)
        shares = cut(p, blocks).sum(axis=1)
        certainty = cut((p * log_p).sum(axis=1), blocks).sum(axis=1)
        theta = _score(shares.sum(axis=0), certainty.sum(), len(logits))
        left = len(logits) - len(logits) // blocks
        without = _score(shares.sum(axis=0) - shares, certainty.sum() - certainty, left)
        return from_leave_one_out(float(theta), without, corrected=False)


def _score(shares: Array, certainty: Array, count: int) -> Array:
    """The score from sums over ``count`` samples: of p [..., classes] and of p log p [...].

    The mean KL is the entropy of the mean less the mean entropy.
    """
    # Subtracting sums may leave a share a rounding error below zero.
    mean = (shares / count).clip(min=0.0)
    return np.asarray(np.exp(certainty / count - special.xlogy(mean, mean).sum(axis=-1)))
