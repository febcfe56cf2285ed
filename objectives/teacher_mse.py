"""Distance of each sample to the one that a fine trajectory reaches from the same noise."""

from collections.abc import Mapping

from autosearch.objectives.base import Estimate, Objective, Rows
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, mean_estimate
from autosearch.objectives.rows import generated

__all__ = ["TeacherMse"]


class TeacherMse(Objective):
    """Mean over the samples of the mean squared difference to the fine trajectory's sample.

    Only for deterministic recipes: noise drawn on the way leads elsewhere, however good the steps.
    """

    name = "teacher_mse"
    summary = "mean squared distance to the fine trajectory from the same noise"
    unit = "MSE"
    needs = frozenset({"teacher_mse"})
    deterministic_only = True

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """One sample in each of twenty blocks: a mean is unbiased at any number."""
        return ENOUGH_BLOCKS

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The mean of ``teacher_mse`` [N]; the reference is not used."""
        return mean_estimate(generated(rows, self.name, objective=self.name, ndim=1), blocks)
