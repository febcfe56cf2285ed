"""Qualities of a single sample, averaged over the samples."""

from typing import ClassVar

from autosearch._typing import Rows
from autosearch.errors import UserError
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, mean_estimate
from autosearch.objectives.rows import sample_rows

__all__ = ["ClassAccuracy", "MeanObjective", "TeacherMse"]


class MeanObjective(Objective):
    """The mean over the samples of the rows [N] that are called as the objective is."""

    # One sample in each of twenty blocks: a mean is unbiased at any number.
    least_samples: ClassVar[int] = ENOUGH_BLOCKS

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The mean of the objective's own rows [N]; the reference is not used."""
        values = sample_rows(rows, self.name, objective=self.name, ndim=1)
        return mean_estimate(values, blocks, share=self.share)


class TeacherMse(MeanObjective):
    """Mean over the samples of the mean squared difference to the fine trajectory's sample.

    Only for deterministic recipes: noise drawn on the way leads elsewhere, however good the steps.
    """

    name = "teacher_mse"
    summary = "mean squared distance to the fine trajectory from the same noise"
    unit = "MSE"
    needs = frozenset({"teacher_mse"})
    deterministic_only = True


class ClassAccuracy(MeanObjective):
    """The share of samples that a classifier takes for the class asked for (CAS for guidance).

    Says how well the condition is kept, and nothing of quality or variety: a single perfect sample
    of each class has accuracy 1.
    """

    name = "class_accuracy"
    summary = "share of samples that the classifier takes for the class asked for"
    direction = "maximize"
    needs = frozenset({"logits", "labels"})
    share = True

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The accuracy of ``logits`` [N, classes] at ``labels`` [N]; the reference is not used.

        Raises:
            UserError: when the classifier knows fewer classes than the model has.
        """
        logits = sample_rows(rows, "logits", objective=self.name)
        labels = sample_rows(rows, "labels", objective=self.name, ndim=1)
        if labels.max() >= logits.shape[1]:
            raise UserError(
                f"{self.name}: the model has class {labels.max():.0f}, but its classifier knows "
                f"{logits.shape[1]} classes; choose another objective"
            )
        right = (logits.argmax(axis=1) == labels).astype(float)
        return mean_estimate(right, blocks, share=self.share)
