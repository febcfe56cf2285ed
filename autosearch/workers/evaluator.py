"""The evaluator that samples a model: what every worker holds."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autosearch.allocator import keep_freed_memory
from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.sampler import State, last_state
from autosearch.errors import UserError
from autosearch.fits.lab import Lab
from autosearch.fits.names import fitted_recipe
from autosearch.fits.recover import recovered_plan
from autosearch.library import Library
from autosearch.models.base import Model, Rows
from autosearch.registry import construct, find
from autosearch.rewards import attach_bounds, attach_rewards
from autosearch.workers.base import Evaluator, FitTask, Infeasible, Outcome, Task

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
        extras = ("rewards", "bounds")
        options = {name: value for name, value in self.options.items() if name not in extras}
        model: Model = construct(
            find("model", self.name, where="model").load, options, where="model"
        )
        if self.options.get("rewards"):
            attach_rewards(model, self.options["rewards"])
        if self.options.get("bounds"):
            attach_bounds(model, self.options["bounds"])
        return model


class ModelEvaluator(Evaluator):
    """Samples block by block: a seed block is the batch, on any worker and device.

    Args:
        library: where the artifacts of recipes are found, and kept; by default in memory.
    """

    def __init__(
        self, spec: ModelSpec, *, device: str = "cpu", library: Library | None = None
    ) -> None:
        keep_freed_memory()
        self.model = spec.load().to(device)
        if library is not None:
            self.model.denoiser.library = library
        self._noise: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def evaluate(self, task: Task) -> Outcome:
        start = time.perf_counter()
        try:
            plan, recovered = recovered_plan(task.plan, self.model.denoiser)
        except UserError as error:
            raise Infeasible(str(error)) from None
        done = self._evaluated(replace(task, plan=plan))
        trained = recovered.macs / plan.full_macs if recovered else 0.0
        return replace(
            done,
            files=recovered.files if recovered else {},
            forward_equivalents=done.forward_equivalents + trained,
            seconds=time.perf_counter() - start,
        )

    def _evaluated(self, task: Task) -> Outcome:
        if "latency" in task.needs:
            return self._timed(task)
        parts = [self._block(task, block) for block in task.blocks]
        rows = {need: np.concatenate([part[need] for part in parts]) for need in task.needs}
        samples = len(task.blocks) * task.block_size
        executed = rows["macs"].sum() if "macs" in rows else task.plan.macs * samples
        return Outcome(
            id=task.id, rows=rows, forward_equivalents=float(executed) / task.plan.full_macs
        )

    def fit(self, task: FitTask) -> Outcome:
        start = time.perf_counter()
        lab = Lab(self.model.denoiser, seed=task.seed)
        try:
            recipe = fitted_recipe(task.name, lab)
        except UserError as error:
            raise Infeasible(str(error)) from None
        return Outcome(
            id=task.id,
            recipe=recipe.to_dict(),
            files=lab.files,
            forward_equivalents=lab.forward_equivalents,
            nominal=lab.nominal,
            seconds=time.perf_counter() - start,
        )

    def _timed(self, task: Task) -> Outcome:
        """Seconds of one sample, for each block; the first one is sampled once more before."""
        seconds = []
        for block in (task.blocks[0], *task.blocks):
            begun = self._clock()
            self._sampled(task, block)
            seconds.append((self._clock() - begun) / task.block_size)
        executed = len(seconds) * task.block_size * task.plan.forward_equivalents
        return Outcome(
            id=task.id,
            rows={"latency": np.array(seconds[1:])},
            forward_equivalents=executed,
        )

    def _clock(self) -> float:
        if self.model.denoiser.device.type == "cuda":
            torch.cuda.synchronize(self.model.denoiser.device)
        return time.perf_counter()

    def _sampled(self, task: Task, block: int) -> tuple[State, Tensor]:
        """The last state of a block, and its labels."""
        denoiser = self.model.denoiser
        indices = range(block * task.block_size, (block + 1) * task.block_size)

        def noise(k: int) -> Tensor:
            return self._drawn(task.seed, task.stream, indices, k)

        condition = self.model.labels(indices, task.stream).to(denoiser.device)
        with torch.inference_mode():
            state = last_state(
                denoiser,
                task.plan,
                noise(0),
                condition if denoiser.classes else None,
                step_noise=noise,
            )
        return state, condition

    def _block(self, task: Task, block: int) -> Rows:
        state, condition = self._sampled(task, block)
        x = state.x
        if not bool(torch.isfinite(x).all()):
            raise Infeasible(f"non-finite samples in seed block {block}")
        rewards = self.model.rewards
        rows = self.model.rows(x, task.needs - {"final", "labels", "macs"} - rewards.keys())
        rows |= {name: rewards[name](x, condition) for name in task.needs & rewards.keys()}
        if "labels" in task.needs:
            rows["labels"] = condition.cpu().numpy()
        if state.saved is not None:
            rows["macs"] = (task.plan.macs - state.saved).double().numpy()
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
