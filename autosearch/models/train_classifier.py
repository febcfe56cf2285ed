"""Train the digits' feature classifier and write the reference statistics of the real digits.

`python -m autosearch.models.train_classifier --out DIR` writes `digits_features.safetensors` and
`digits_reference.safetensors`; two minutes on one core, everything random from the seed.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from autosearch.models.classifier import DigitsFeatures, FeaturesConfig
from autosearch.models.train_digits import digits_images

__all__ = ["ClassifierTrainConfig", "accuracy", "reference_statistics", "train_classifier"]


@dataclass(frozen=True, kw_only=True)
class ClassifierTrainConfig:
    """What the classifier depends on; `reconstruction` weighs the squared error of the pixels."""

    epochs: int = 150
    batch: int = 64
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    reconstruction: float = 20.0
    label_smoothing: float = 0.05
    noise: float = 0.1
    shift_share: float = 0.3


def _augment(grey: Tensor, config: ClassifierTrainConfig, generator: torch.Generator) -> Tensor:
    """Shift some images by one pixel and add noise of a random level; [N, 8, 8] to the same."""
    count, size = len(grey), grey.shape[-1]
    moves = torch.randint(-1, 2, (2, count), generator=generator)
    moves *= torch.rand(count, generator=generator) < config.shift_share
    padded = F.pad(grey, (1, 1, 1, 1))
    steps = torch.arange(size)
    rows = (1 + moves[0])[:, None, None] + steps[:, None]
    columns = (1 + moves[1])[:, None, None] + steps
    shifted = padded[torch.arange(count)[:, None, None], rows, columns]
    level = config.noise * torch.rand(count, 1, 1, generator=generator)
    noise = torch.randn(shifted.shape, generator=generator)
    return (shifted + level * noise).clamp(0.0, 1.0)


def train_classifier(
    images: Tensor, labels: Tensor, *, config: ClassifierTrainConfig
) -> DigitsFeatures:
    """Fit the classifier to uint8 images [N, 8, 8] and labels [N]; returned in float64."""
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = DigitsFeatures(FeaturesConfig())
        decoder = nn.Linear(model.config.features, model.config.image_size**2)
    grey = images.float() / 255.0
    steps = config.epochs * -(-len(grey) // config.batch)
    parameters = [*model.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(grey), generator=generator).split(config.batch):
            inputs = _augment(grey[rows], config, generator)
            features, logits = model(inputs)
            smoothing = config.label_smoothing
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=smoothing)
            loss = loss + config.reconstruction * F.mse_loss(decoder(features), inputs.flatten(1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.double().eval()


def accuracy(model: DigitsFeatures, images: Tensor, labels: Tensor) -> float:
    """Share of uint8 images [N, 8, 8] whose largest logit is their label."""
    logits = model.features(images[:, None].expand(-1, 3, -1, -1))["logits"]
    return (logits.argmax(dim=1) == labels).double().mean().item()


def reference_statistics(
    model: DigitsFeatures, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """What metrics need of the real images (uint8 [N, 8, 8]).

    `features` [N, 64] float32 with `features_mean` and `features_cov` (float64, N - 1 in the
    denominator as torch-fidelity does); `pixels_basis` [64, 64], the principal components of the
    grey pixels in [0, 1], one per column, largest variance first, with `pixels_mean` and
    `pixels_cov` of the projections `pixels @ pixels_basis`; the `images` and `labels` themselves.
    """
    features = model.features(images[:, None].expand(-1, 3, -1, -1))["features"]
    pixels = images.flatten(1).double() / 255.0
    _, vectors = torch.linalg.eigh(pixels.T.cov())
    basis = vectors.flip(1)
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
        "images": images,
        "labels": labels,
    }


def _held_out_figures(
    images: Tensor, labels: Tensor, config: ClassifierTrainConfig
) -> dict[str, float]:
    """Accuracy on the training 80% and on the held-out 20% of a seeded split."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.seed))
    held, kept = order.tensor_split([len(images) // 5])
    model = train_classifier(images[kept], labels[kept], config=config)
    return {
        "split_train_accuracy": accuracy(model, images[kept], labels[kept]),
        "split_held_out_accuracy": accuracy(model, images[held], labels[held]),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the feature classifier of the digits.")
    parser.add_argument("--out", type=Path, required=True, help="directory for the two files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = ClassifierTrainConfig(seed=options.seed)
    images, labels = digits_images()
    figures = _held_out_figures(images, labels, config)
    model = train_classifier(images, labels, config=config)
    figures["train_accuracy"] = accuracy(model, images, labels)
    print(json.dumps(figures))
    options.out.mkdir(parents=True, exist_ok=True)
    metadata = {
        "config": model.config.to_json(),
        "training": json.dumps(asdict(config) | figures),
    }
    weights = options.out / "digits_features.safetensors"
    save_file(model.float().state_dict(), str(weights), metadata=metadata)
    statistics = reference_statistics(model.double(), images, labels)
    save_file(statistics, str(options.out / "digits_reference.safetensors"))


if __name__ == "__main__":
    main()
