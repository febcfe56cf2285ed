"""A solver step as one linear combination, its coefficients in double precision.

x' = state * x_start + sum_j weights[j] * prediction_j + noise * z
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Coefficients"]


@dataclass(frozen=True)
class Coefficients:
    """The linear combination that a step is.

    Attributes:
        state: of the state at the start.
        weights: of each prediction, by the index of its evaluation.
        noise: of the unit noise that is added.
        kept: of the noise that was predicted at the start, in the new state.
    """

    state: float
    weights: Mapping[int, float]
    noise: float = 0.0
    kept: float = 0.0

    def combine(
        self, x: Tensor, predictions: Mapping[int, Tensor | None], noise: Tensor | None = None
    ) -> Tensor:
        """The new state; all tensors are [N, *sample_shape].

        Args:
            x: the state at the start.
            predictions: by the index of their evaluation.
            noise: unit noise of a stochastic step.
        """
        total = self.state * x
        for index, weight in self.weights.items():
            prediction = predictions[index]
            assert prediction is not None  # no step integrates the noise from sigma 0
            total = total.add(prediction, alpha=weight)
        if self.noise and noise is not None:
            total = total.add(noise, alpha=self.noise)
        return total
