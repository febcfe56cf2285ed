"""A model of one's own: a small network that draws points on two rings.

``python -m stranger.model rings.safetensors`` trains it, which takes seconds.
"""

import hashlib
import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.errors import UserError
from autosearch.models.base import Model, Rows

SCHEDULE = VariancePreserving("linear")
WIDTH = 64
# Two classes, the inner and the outer ring, and a label for "either", which guidance needs.
CLASSES, EITHER = 2, 2


class Network(nn.Module):
    """Predicts the noise in points [N, 2] at times [N], for labels [N]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4 + CLASSES, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, 2),
        )

    def forward(self, x: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        angle = (times / SCHEDULE.first * math.pi / 2).to(x.dtype)[:, None]
        told = nn.functional.one_hot(labels, CLASSES + 1)[:, :CLASSES].to(x.dtype)
        return self.layers(torch.cat([x, angle.sin(), angle.cos(), told], dim=1))


def rings(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points [count, 2] on circles of radius 1 and 2, a little blurred, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    angles = 2 * math.pi * torch.rand(count, generator=generator)
    labels = torch.arange(count) % CLASSES
    points = (1 + labels)[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1)
    return points + 0.05 * torch.randn(count, 2, generator=generator), labels


def train(path: Path, steps: int = 2000) -> None:
    """Write the weights of a network that was trained on the rings."""
    torch.manual_seed(0)
    network, (data, labels) = Network(), rings(20_000, seed=0)
    levels = [SCHEDULE.alpha_sigma(SCHEDULE.log_snr(t)) for t in range(int(SCHEDULE.first) + 1)]
    alphas, sigmas = torch.tensor(levels, dtype=torch.float32).T
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        chosen = torch.randint(len(data), (512,))
        times, noise = torch.randint(len(levels), (512,)), torch.randn(512, 2)
        told = torch.where(torch.rand(512) < 0.1, EITHER, labels[chosen])
        noisy = alphas[times, None] * data[chosen] + sigmas[times, None] * noise
        loss = (network(noisy, times, told) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(network.state_dict(), path)


class Rings(Model):
    """What a search needs to know: how to sample, and how samples are scored."""

    name = "rings"
    summary = "a small network that draws points on two rings"

    @classmethod
    def load(cls, *, path: str) -> "Rings":
        """The network of a file; keyword-only parameters are the settings of ``model``."""
        if not Path(path).is_file():
            raise UserError(f"model.path: no file at {path}; train one first")
        network = Network()
        network.load_state_dict(load_file(path))
        denoiser = NetworkDenoiser(
            network,
            schedule=SCHEDULE,
            prediction="noise",
            sample_shape=(2,),
            classes=CLASSES,
            null_label=EITHER,
            sites=(),  # parts that recipes may leave out: none here
            modules={},
            heads={},
            macs=sum(p.numel() for p in network.parameters() if p.dim() == 2),
            weights=hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        )
        features = _features(rings(5000, seed=1)[0].double().numpy())
        moments = {"features_mean": features.mean(axis=0), "features_cov": np.cov(features.T)}
        return cls(denoiser, {"features": features, **moments})

    @property
    def widths(self) -> Mapping[str, int]:
        return {"features": 4}

    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        points = x.double().cpu().numpy()
        return {"features": _features(points)} if "features" in needs else {}


def _features(points: np.ndarray) -> np.ndarray:
    """Bounded, and different on and beside the rings: [N, 4]."""
    radius = np.hypot(points[:, 0], points[:, 1])
    beside = [np.tanh(3 * (radius - 1)), np.tanh(3 * (radius - 2))]
    return np.stack([*np.tanh(points).T, *beside], axis=1)


if __name__ == "__main__":
    train(Path(sys.argv[1]))
