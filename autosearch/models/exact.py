"""Exact denoisers: the posterior mean of a Gaussian mixture, closed-form truth without training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.prediction import Prediction, from_data_and_noise
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory

__all__ = ["ExactDenoiser", "Mixture"]


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture: ``weights`` [J], ``means`` [J, D], ``covariances`` [J, D, D]."""

    weights: Array
    means: Array
    covariances: Array

    @classmethod
    def gaussian(cls, mean: Array, covariance: Array) -> "Mixture":
        """One Gaussian: the probability-flow ODE has a closed-form solution."""
        return cls(np.ones(1), mean[None], covariance[None])

    @classmethod
    def random(
        cls, *, components: int, dimension: int, seed: int, spread: float = 1.0
    ) -> "Mixture":
        """A mixture with anisotropic components, scaled to unit mean square per dimension."""
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.full(components, 8.0))
        means = spread * rng.standard_normal((components, dimension))
        bases = np.linalg.qr(rng.standard_normal((components, dimension, dimension)))[0]
        scales = 0.4 * 10.0 ** rng.uniform(-1.2, 0.0, (components, dimension))
        covariances = np.einsum("jab,jb,jcb->jac", bases, scales**2, bases)
        mixture = cls(weights, means, covariances)
        size = np.sqrt((np.trace(mixture.covariance) + (mixture.mean**2).sum()) / dimension)
        return cls(weights, means / size, covariances / size**2)

    @property
    def dimension(self) -> int:
        """Number of coordinates of a sample."""
        return int(self.means.shape[1])

    @property
    def mean(self) -> Array:
        """Mean [D] of the whole mixture."""
        return np.asarray(self.weights @ self.means)

    @property
    def covariance(self) -> Array:
        """Covariance [D, D] of the whole mixture."""
        centred = self.means - self.mean
        between = np.einsum("j,ja,jb->ab", self.weights, centred, centred)
        return np.asarray(np.einsum("j,jab->ab", self.weights, self.covariances) + between)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Draw samples [count, D]."""
        which = rng.choice(len(self.weights), size=count, p=self.weights)
        factors = np.linalg.cholesky(self.covariances)
        unit = rng.standard_normal((count, self.dimension))
        return np.asarray(self.means[which] + np.einsum("nab,nb->na", factors[which], unit))

    @property
    def digest(self) -> str:
        """Hash of the parameters."""
        parts = (self.weights, self.means, self.covariances)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(p).tobytes() for p in parts)
        ).hexdigest()


class ExactDenoiser(Denoiser):
    """``E[x_0 | x_t]`` of a mixture under any schedule, as any type of prediction.

    Samples are vectors [N, D]. There are no sites; one forward costs its matrix products.
    """

    def __init__(
        self,
        mixture: Mixture,
        schedule: NoiseSchedule,
        prediction: Prediction = "noise",
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.mixture = mixture
        self.schedule = schedule
        self.prediction = prediction
        self.sample_shape = (mixture.dimension,)
        self.heads = {}
        self.weights = mixture.digest[:16]
        self.data_mean = torch.as_tensor(mixture.mean, dtype=dtype)
        self.dtype = dtype
        self.macs = 2 * len(mixture.weights) * mixture.dimension**2
        variances, bases = np.linalg.eigh(mixture.covariances)
        self._log_weights = torch.as_tensor(np.log(mixture.weights), dtype=dtype)
        self._means = torch.as_tensor(mixture.means, dtype=dtype)
        self._variances = torch.as_tensor(variances, dtype=dtype)
        self._bases = torch.as_tensor(bases, dtype=dtype)

    @torch.inference_mode()
    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        return dict.fromkeys((one.name for one in branches), self._predict(x, t))

    def differentiable(
        self,
        x: Tensor,
        times: Tensor,
        condition: Tensor | None,
        *,
        given: Literal["cond", "uncond"] = "cond",
    ) -> Tensor:
        """The prediction, with gradients where they are recorded; all times are the same."""
        return self._predict(x, float(times[0]))

    def _predict(self, x: Tensor, t: float) -> Tensor:
        alpha, sigma = self.schedule.alpha_sigma(self.schedule.log_snr(t))
        data = self.posterior_mean(x, alpha, sigma)
        noise = (x - alpha * data) / sigma
        return from_data_and_noise(self.prediction, data, noise, alpha, sigma)

    def posterior_mean(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        """``E[x_0 | alpha x_0 + sigma noise = x]``, [N, D]."""
        total = alpha**2 * self._variances + sigma**2  # [J, D] in each component's own basis
        centred = torch.einsum("njd,jde->nje", x[:, None] - alpha * self._means, self._bases)
        log_likelihood = -0.5 * (centred**2 / total + total.log()).sum(-1) + self._log_weights
        share = torch.softmax(log_likelihood, dim=-1)
        shrunk = alpha * self._variances / total * centred
        means = self._means + torch.einsum("nje,jde->njd", shrunk, self._bases)
        return (share[..., None] * means).sum(1)
