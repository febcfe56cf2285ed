"""The evaluator that samples a model: what every worker holds."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.sampler import sample
from autosearch.models.base import Model, Rows
from autosearch.registry import construct, find
from autosearch.workers.base import Evaluator, Infeasible, Outcome, Task

__all__ = ["ModelEvaluator", "ModelSpec"]

_NOISE_CACHE = 64


@dataclass(frozen=True)
class ModelSpec:
    """Which model to build, as plain data that travels to workers."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Model:
        """Build the model.

        Raises:
            UserError: for an unknown name or option, or files that cannot be read.
        """
        model: Model = construct(
            find("model", self.name, where="model").load, self.options, where="model"
        )
        return model


class ModelEvaluator(Evaluator):
    """Samples block by block: a seed block is the batch, on any worker and device."""

    def __init__(self, spec: ModelSpec, *, device: str = "cpu") -> None:
        self.model = spec.load().to(device)
        self._noise: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def evaluate(self, task: Task) -> Outcome:
        start = time.perf_counter()
        parts = [self._block(task, block) for block in task.blocks]
        rows = {need: np.concatenate([part[need] for part in parts]) for need in task.needs}
        samples = len(task.blocks) * task.block_size
        return Outcome(
            id=task.id,
            rows=rows,
            forward_equivalents=task.plan.forward_equivalents * samples,
            seconds=time.perf_counter() - start,
        )

    def _block(self, task: Task, block: int) -> Rows:
        denoiser = self.model.denoiser
        indices = range(block * task.block_size, (block + 1) * task.block_size)

        def noise(k: int) -> Tensor:
            return self._drawn(task.seed, task.stream, indices, k)

        condition = labels(indices, denoiser.classes).to(denoiser.device)
        with torch.inference_mode():
            x = sample(
                denoiser,
                task.plan,
                noise(0),
                condition if denoiser.classes else None,
                step_noise=noise,
            )
        if not bool(torch.isfinite(x).all()):
            raise Infeasible(f"non-finite samples in seed block {block}")
        rows = self.model.rows(x, task.needs - {"final"})
        if "final" in task.needs:
            rows["final"] = x.flatten(1).float().cpu().numpy()
        return rows

    def _drawn(self, seed: int, stream: Stream, indices: range, k: int) -> Tensor:
        """Start noise is the same for all candidates, so the last blocks' are kept."""
        key = (seed, stream, indices.start, indices.stop, k)
        if key not in self._noise:
            denoiser = self.model.denoiser
            drawn = draw(seed, stream, indices, denoiser.sample_shape, k=k)
            self._noise[key] = drawn.to(device=denoiser.device, dtype=denoiser.dtype)
            if len(self._noise) > _NOISE_CACHE:
                self._noise.popitem(last=False)
        self._noise.move_to_end(key)
        return self._noise[key]
