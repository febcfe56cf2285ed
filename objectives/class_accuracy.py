"""The share of samples that a classifier takes for the class that was asked for."""

from collections.abc import Mapping

from autosearch.errors import UserError
from autosearch.objectives.base import Estimate, Objective, Rows
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, mean_estimate
from autosearch.objectives.rows import generated

__all__ = ["ClassAccuracy"]


class ClassAccuracy(Objective):
    """Classification accuracy of generated samples (CAS's counterpart for guidance).

    Says how well the condition is kept, and nothing of quality or variety: a single perfect sample
    of each class has accuracy 1.
    """

    name = "class_accuracy"
    summary = "share of samples that the classifier takes for the class asked for"
    direction = "maximize"
    needs = frozenset({"logits", "labels"})

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """One sample in each of twenty blocks: a mean is unbiased at any number."""
        return ENOUGH_BLOCKS

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """From ``logits`` [N, classes] and ``labels`` [N]; the reference is not used.

        Raises:
            UserError: when the classifier knows fewer classes than the model has.
        """
        logits = generated(rows, "logits", objective=self.name)
        labels = generated(rows, "labels", objective=self.name, ndim=1)
        if labels.max() >= logits.shape[1]:
            raise UserError(
                f"{self.name}: the model has class {labels.max():.0f}, but its classifier knows "
                f"{logits.shape[1]} classes; choose another objective"
            )
        return mean_estimate((logits.argmax(axis=1) == labels).astype(float), blocks)
