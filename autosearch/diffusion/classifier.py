"""Guidance by a classifier of clean data, at the network's guess of them.

Ma et al. (2024), "Elucidating the design space of classifier-guided diffusion generation": any
classifier will do, none has to be trained on noisy data, and calibrating it is what makes it a
good guide. With ``f`` its logits and ``y`` the label, what is climbed is

    log p(y | x) = temperature * f_y - log sum_i exp(discount * temperature * f_i)

whose discount below 1 keeps a sure classifier's gradient from vanishing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["GRADIENT_COST", "Classifier", "ClassifierTerm", "classifier_shift"]

# A gradient in the data costs the classifier's own pass and one of the same size back.
GRADIENT_COST = 2


class Classifier(ABC):
    """A differentiable classifier of clean samples.

    Attributes:
        macs: multiply-accumulates of one sample's logits.
    """

    macs: int

    @abstractmethod
    def logits(self, data: Tensor) -> Tensor:
        """Logits [N, classes] of clean samples [N, *sample_shape], in the samples' range."""


@dataclass(frozen=True)
class ClassifierTerm:
    """How far, and with which calibration, a step follows the classifier."""

    scale: float
    temperature: float
    discount: float


def classifier_shift(
    classifier: Classifier,
    terms: Sequence[ClassifierTerm],
    data: Tensor,
    labels: Tensor,
    *,
    alpha: float,
    sigma: float,
) -> Tensor:
    """The shift [N, *sample_shape] that guidance adds to predicted clean data.

    A score that gains ``s grad log p(y | x_t)`` moves the data by ``s`` times their covariance
    given ``x_t``, applied to the gradient in the data. The gradient goes through the classifier
    alone, as in the released code of Ma et al. and not back through the network. For the
    covariance we take that of unit Gaussian data, ``sigma^2 / (alpha^2 + sigma^2)`` (Song et al.
    2023, pseudoinverse guidance); their ``sigma^2 / alpha`` has no bound towards pure noise.
    """
    # The sampler runs in inference mode, where nothing can be differentiated: a copy made outside
    # of it can.
    with torch.inference_mode(False), torch.enable_grad():
        inputs = data.clone().requires_grad_()
        target = labels.clone()[:, None]
        logits = classifier.logits(inputs)
        total = torch.zeros((), dtype=logits.dtype, device=logits.device)
        for term in terms:
            joint = term.temperature * logits
            marginal = torch.logsumexp(term.discount * joint, dim=1)
            total = total + term.scale * (joint.gather(1, target)[:, 0] - marginal).sum()
        (gradient,) = torch.autograd.grad(total, inputs)
    return gradient * (sigma**2 / (alpha**2 + sigma**2))
