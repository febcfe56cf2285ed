"""Train the features of a bundled model and write its reference statistics.

:mod:`autosearch.experiments.training.train` is the command. Everything random comes from the seed.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from autosearch.experiments.training.real_images import RealImages
from autosearch.models.base import as_rgb
from autosearch.models.classifier import FeaturesConfig, ImageFeatures

__all__ = [
    "FeaturesTraining",
    "accuracy",
    "fit_features",
    "reference_statistics",
    "train_features",
]

MOST_COMPONENTS = 64


@dataclass(frozen=True, kw_only=True)
class FeaturesTraining:
    """What the features depend on; `reconstruction` weighs the squared error of the pixels."""

    epochs: int = 150
    batch: int = 64
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    reconstruction: float = 20.0
    label_smoothing: float = 0.05
    noise: float = 0.1
    shift_share: float = 0.3


def _augment(pixels: Tensor, config: FeaturesTraining, generator: torch.Generator) -> Tensor:
    """Shift some images [N, C, S, S] by one pixel and add noise of a random level."""
    count = len(pixels)
    moves = torch.randint(-1, 2, (2, count), generator=generator)
    moves *= torch.rand(count, generator=generator) < config.shift_share
    images = _shifted(pixels, *moves)
    level = config.noise * torch.rand(count, 1, 1, 1, generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    return (images + level * noise).clamp(0.0, 1.0)


def _shifted(pixels: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images [N, C, S, S], each moved by its own number [N] of pixels, from -1 to 1."""
    count, channels, size, _ = pixels.shape
    padded = F.pad(pixels, (1, 1, 1, 1))
    steps = torch.arange(size)
    rows = (1 + down)[:, None, None, None] + steps[:, None]
    columns = (1 + right)[:, None, None, None] + steps
    images = torch.arange(count)[:, None, None, None]
    return padded[images, torch.arange(channels)[:, None, None], rows, columns]


def fit_features(
    images: Tensor, targets: Tensor, *, sizes: FeaturesConfig, config: FeaturesTraining
) -> ImageFeatures:
    """Fit the network to uint8 images [N, C, S, S] and targets [N]; returned in float64."""
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = ImageFeatures(sizes)
        decoder = nn.Linear(sizes.width, sizes.pixels)
    pixels = images.float() / 255.0
    model.fit_detail(pixels)
    steps = config.epochs * -(-len(pixels) // config.batch)
    parameters = [*model.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps)
    for _ in range(config.epochs):
        order = torch.randperm(len(pixels), generator=generator)
        for rows in torch.split(order, config.batch):
            inputs = _augment(pixels[rows], config, generator)
            features, kinds = model(inputs)
            smoothing = config.label_smoothing
            loss = F.cross_entropy(kinds, targets[rows], label_smoothing=smoothing)
            loss = loss + config.reconstruction * F.mse_loss(decoder(features), inputs.flatten(1))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.double().eval()


def accuracy(model: ImageFeatures, images: Tensor, targets: Tensor) -> float:
    """Share of uint8 images [N, C, S, S] whose likeliest kind is their target."""
    kinds = model.features(as_rgb(images))["kinds"]
    return (kinds.argmax(dim=1) == targets).double().mean().item()


def reference_statistics(model: ImageFeatures, real: RealImages) -> dict[str, Tensor]:
    """What metrics need of the real images.

    `features` [N, F] float32 with `features_mean` and `features_cov` (float64, N - 1 in the
    denominator as torch-fidelity does); `pixels_basis` [D, at most 64], the first principal
    components of the pixels in [0, 1], one per column, largest variance first, with `pixels_mean`
    and `pixels_cov` of the projections `pixels @ pixels_basis`; the images as they are stored.
    """
    features = model.features(as_rgb(real.images))["features"]
    pixels = real.images.flatten(1).double() / 255.0
    _, vectors = torch.linalg.eigh(pixels.T.cov())
    basis = vectors.flip(1)[:, :MOST_COMPONENTS]
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    basis = (basis * largest.sign()).contiguous()
    projected = pixels @ basis
    return {
        "features": features.float(),
        "features_mean": features.mean(dim=0),
        "features_cov": features.T.cov(),
        "pixels_basis": basis,
        "pixels_mean": projected.mean(dim=0),
        "pixels_cov": projected.T.cov(),
        **real.stored,
    }


def _held_out_figures(
    real: RealImages, sizes: FeaturesConfig, config: FeaturesTraining
) -> dict[str, float]:
    """Accuracy on the training 80% and on the held-out 20% of a seeded split."""
    images, targets = real.images, real.targets
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.seed))
    held, kept = order.tensor_split([len(images) // 5])
    model = fit_features(images[kept], targets[kept], sizes=sizes, config=config)
    return {
        "split_train_accuracy": accuracy(model, images[kept], targets[kept]),
        "split_held_out_accuracy": accuracy(model, images[held], targets[held]),
    }


def train_features(
    real: RealImages, sizes: FeaturesConfig, *, name: str, out: Path, config: FeaturesTraining
) -> dict[str, float]:
    """Write `NAME_features.safetensors` and `NAME_reference.safetensors`; returns the figures."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    figures = _held_out_figures(real, sizes, config)
    model = fit_features(real.images, real.targets, sizes=sizes, config=config)
    figures["train_accuracy"] = accuracy(model, real.images, real.targets)
    metadata = {"config": sizes.to_json(), "training": json.dumps(asdict(config) | figures)}
    weights = out / f"{name}_features.safetensors"
    save_file(model.float().state_dict(), str(weights), metadata=metadata)
    statistics = reference_statistics(model.double(), real)
    save_file(statistics, str(out / f"{name}_reference.safetensors"))
    return figures
