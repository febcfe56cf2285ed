"""Train the network of a bundled model; `autosearch.experiments.training.train` is the command.

A class-conditional DiT learns a subject's images under the subject's process. The weights kept
are an exponential moving average; everything random comes from the seed.
"""

import copy
import dataclasses
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from autosearch.diffusion.prediction import Prediction, from_data_and_noise
from autosearch.experiments.training.forward_processes import PROCESSES
from autosearch.experiments.training.real_images import RealImages
from autosearch.models.dit import DiT, DiTConfig

__all__ = ["NetworkTraining", "train_network"]

SNAPSHOTS = tuple(share / 10 for share in range(1, 11))
LOG_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """What a training run depends on, besides the images and the network's sizes.

    The learning rate decays over `steps`, but training ends after `stop` of them.
    """

    process: str
    prediction: Prediction
    steps: int
    stop: int
    batch: int = 64
    seed: int = 0
    learning_rate: float = 1e-3
    warmup: int = 300
    weight_decay: float = 0.01
    ema_decay: float = 0.9995
    label_dropout: float = 0.1
    clip_norm: float = 1.0


def _learning_rate(step: int, config: NetworkTraining) -> float:
    warm = min(1.0, (step + 1) / config.warmup)
    return config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


class _Trainer:
    """Network, average, optimiser and random generator of one run."""

    def __init__(self, real: RealImages, sizes: DiTConfig, config: NetworkTraining) -> None:
        self.config = config
        self.process = PROCESSES[config.process]
        self.generator = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = DiT(sizes)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.x0 = real.images.float() / 127.5 - 1.0
        self.labels = real.labels
        self.order = torch.empty(0, dtype=torch.int64)
        decay = config.weight_decay
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=decay, fused=True
        )

    def _next_rows(self) -> Tensor:
        """The next batch of a shuffled pass over the data."""
        while len(self.order) < self.config.batch:
            fresh = torch.randperm(len(self.x0), generator=self.generator)
            self.order = torch.cat([self.order, fresh])
        rows, self.order = self.order.tensor_split([self.config.batch])
        return rows

    def loss(self) -> Tensor:
        """Mean squared error of the prediction on one batch, with one time per stratum."""
        batch, generator = self.config.batch, self.generator
        rows = self._next_rows()
        strata = torch.arange(batch) + torch.rand(batch, generator=generator)
        times = self.process.times(strata / batch)
        alpha, sigma = (part.float().view(-1, 1, 1, 1) for part in self.process.levels(times))
        x0 = self.x0[rows]
        noise = torch.randn(x0.shape, generator=generator)
        dropped = torch.rand(batch, generator=generator) < self.config.label_dropout
        labels = self.labels[rows].masked_fill(dropped, self.model.config.num_classes)
        # One level per row: tensors that broadcast, where its annotation says one float for all.
        target = from_data_and_noise(self.config.prediction, x0, noise, alpha, sigma)  # type: ignore[arg-type]
        return F.mse_loss(self.model(alpha * x0 + sigma * noise, times, labels), target)

    def step(self, index: int) -> float:
        """One update of the weights and of their average; returns the batch's loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(index, self.config)
        loss = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        decay = min(self.config.ema_decay, (1 + index) / (10 + index))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.model.parameters()), 1.0 - decay
        )
        return loss.item()


@dataclass
class _Log:
    """What is said of a run beside its weights; `curve` is (steps done, mean loss since)."""

    start: float = dataclasses.field(default_factory=time.perf_counter)
    process_start: float = dataclasses.field(default_factory=time.process_time)
    losses: list[float] = dataclasses.field(default_factory=list)
    curve: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    def add(self, loss: float, done: int, last: int) -> None:
        self.losses.append(loss)
        if len(self.losses) == LOG_EVERY or done == last:
            mean = sum(self.losses) / len(self.losses)
            self.losses.clear()
            self.curve.append((done, round(mean, 6)))
            seconds = time.perf_counter() - self.start
            print(f"{done}/{last} loss {mean:.5f} {seconds:.0f} s", flush=True)

    def figures(self, done: int) -> dict[str, object]:
        loss = self.curve[-1][1] if self.curve else None
        seconds = {
            "seconds": round(time.perf_counter() - self.start, 1),
            "processor_seconds": round(time.process_time() - self.process_start, 1),
        }
        return {"steps_done": done, "loss": loss, "curve": self.curve, **seconds}


def train_network(
    real: RealImages,
    sizes: DiTConfig,
    *,
    name: str,
    out: Path,
    config: NetworkTraining,
    snapshots: Sequence[float] = SNAPSHOTS,
) -> Path:
    """Train, log the mean loss now and then, and save the averaged weights in `out`.

    A snapshot is saved at each of the given shares of the steps; the last one's path is returned.
    """
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    trainer, log, path = _Trainer(real, sizes, config), _Log(), out
    last = min(config.stop, config.steps)
    marks = {max(1, round(share * config.steps)) for share in snapshots} | {last}
    for index in range(last):
        done = index + 1
        log.add(trainer.step(index), done, last)
        if done in marks:
            path = out / f"{name}_{config.prediction}_{done:06d}.safetensors"
            _save(trainer, path, log.figures(done))
    return path


def _save(trainer: _Trainer, path: Path, figures: dict[str, object]) -> None:
    metadata = {
        "config": trainer.average.config.to_json(),
        "prediction": trainer.config.prediction,
        "schedule": trainer.config.process,
        "training": json.dumps(asdict(trainer.config) | figures),
    }
    save_file(trainer.average.state_dict(), str(path), metadata=metadata)
