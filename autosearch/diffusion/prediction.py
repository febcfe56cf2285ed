"""Exact conversion of a network's prediction to clean data and noise."""

from typing import Literal

from torch import Tensor

__all__ = ["Prediction", "from_data_and_noise", "to_data_and_noise"]

Prediction = Literal["noise", "data", "v", "flow"]


def to_data_and_noise(
    kind: Prediction, output: Tensor, x: Tensor, alpha: float, sigma: float
) -> tuple[Tensor, Tensor | None]:
    """Clean data and noise that a prediction implies at ``x = alpha * data + sigma * noise``.

    All tensors are [N, *sample_shape].

    ``v = alpha * noise - sigma * data`` (Salimans & Ho 2022) and ``flow = noise - data``
    (rectified flow) are inverted for any alpha and sigma, also where
    ``alpha**2 + sigma**2`` is not 1. Data prediction says nothing of the noise at ``sigma = 0``:
    it is None there.

    Raises:
        ZeroDivisionError: for noise prediction at ``alpha = 0``, which says nothing of the data.
    """
    match kind:
        case "noise":
            if alpha == 0:
                raise ZeroDivisionError("noise prediction says nothing of the data at alpha 0")
            return (x - sigma * output) / alpha, output
        case "data":
            return output, (x - alpha * output) / sigma if sigma > 0 else None
        # Both parts from the network's output: the noise as (x - alpha * data) / sigma would
        # lose digits at small sigma.
        case "v":
            square = alpha**2 + sigma**2
            return (alpha * x - sigma * output) / square, (sigma * x + alpha * output) / square
        case "flow":
            total = alpha + sigma
            return (x - sigma * output) / total, (x + alpha * output) / total


def from_data_and_noise(
    kind: Prediction, data: Tensor, noise: Tensor, alpha: float, sigma: float
) -> Tensor:
    """The prediction of a type that stands for clean data and noise, all [N, *sample_shape].

    Inverse of :func:`to_data_and_noise`.
    """
    match kind:
        case "noise":
            return noise
        case "data":
            return data
        case "v":
            return alpha * noise - sigma * data
        case "flow":
            return noise - data
