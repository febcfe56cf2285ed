"""The evaluator that samples a model: what every worker holds."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Rows
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.recover import Recovered, recovered_plan
from autosearch.diffusion.artifact_store import ArtifactStore, Recent
from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.call_cache import CallCache, Keep, Recaller, make_call_cache
from autosearch.diffusion.sampling.call_keys import Call, calls_of
from autosearch.diffusion.sampling.sampler import State, last_state
from autosearch.engine.border import check_rows, third_party
from autosearch.engine.workers.base import Evaluator, FitTask, Outcome, SampleTask, TimingTask
from autosearch.engine.workers.devices import check_device
from autosearch.engine.workers.malloc import keep_freed_memory
from autosearch.errors import Infeasible, UserError
from autosearch.models.spec import ModelSpec

__all__ = ["ModelEvaluator"]

_LEAST_BLOCKS, _NOISE_BYTES = 64, 2**26


class ModelEvaluator(Evaluator):
    """Samples block by block: a seed block is the batch, on any worker and device.

    Args:
        spec: which model.
        device: where it runs, ``cpu`` or ``cuda``.
        artifact_store: where the artifacts of recipes are found, and kept; by default in memory.
        call_cache: what is kept of the network's outputs, for plans that begin alike; see
            :func:`autosearch.diffusion.sampling.call_cache.make_call_cache`. It changes no row.

    Raises:
        UserError: for a GPU where there is none.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        device: str = "cpu",
        artifact_store: ArtifactStore | None = None,
        call_cache: Keep = "off",
    ) -> None:
        keep_freed_memory()
        check_device(device)
        self.model = spec.load().to(device)
        self.artifact_store = ArtifactStore() if artifact_store is None else artifact_store
        self.call_cache: CallCache | None = make_call_cache(call_cache)
        denoiser = self.model.denoiser
        size = self.model.block_size * math.prod(denoiser.sample_shape) * denoiser.dtype.itemsize
        # Candidates go through all blocks in turn: fewer places than blocks, and none is met again.
        self._noise: Recent[tuple[object, ...], Tensor] = Recent(
            max(_LEAST_BLOCKS, _NOISE_BYTES // max(size, 1))
        )

    def evaluate(self, task: SampleTask) -> Outcome:
        start = time.perf_counter()
        plan, recovered = self._recovered(task.plan)
        trained = recovered.macs / plan.full_macs if recovered else 0.0
        try:
            done = self._evaluated(replace(task, plan=plan))
        except Infeasible as error:
            if error.forward_equivalents is not None:
                error.forward_equivalents += trained
            raise
        return replace(
            done,
            files=recovered.files if recovered else {},
            forward_equivalents=done.forward_equivalents + trained,
            seconds=time.perf_counter() - start,
        )

    def _evaluated(self, task: SampleTask) -> Outcome:
        calls = calls_of(task.plan, self.model.denoiser) if self.call_cache is not None else ()
        parts: list[Rows] = []
        executed = 0
        for block in task.blocks:
            run = self._sampled(task, block, self._recall(task, block, calls))
            executed += run.executed
            if not bool(torch.isfinite(run.state.x).all()):
                raise Infeasible(
                    f"non-finite samples in seed block {block}",
                    forward_equivalents=executed / task.plan.full_macs,
                )
            parts.append(self._rows(task, run))
        rows = {need: np.concatenate([part[need] for part in parts]) for need in task.returns}
        return Outcome(id=task.id, rows=rows, forward_equivalents=executed / task.plan.full_macs)

    def fit(self, task: FitTask) -> Outcome:
        start = time.perf_counter()
        calibrator = Calibrator(
            self.model.denoiser,
            self.artifact_store,
            seed=task.seed,
            call_cache=self.call_cache,
        )
        try:
            recipe = resolve(task.name, calibrator).recipe
        except UserError as error:
            raise Infeasible(str(error)) from None
        return Outcome(
            id=task.id,
            recipe=recipe.to_dict(),
            files=calibrator.files,
            forward_equivalents=calibrator.forward_equivalents,
            nominal=calibrator.nominal,
            seconds=time.perf_counter() - start,
        )

    def time(self, task: TimingTask) -> Outcome:
        plan, _ = self._recovered(task.plan)
        once = SampleTask(task.id, plan, 0, Stream.CALIBRATION, (0,), task.block_size, frozenset())
        seconds = []
        for _ in range(1 + task.runs):
            begun = self._clock()
            self._sampled(once, 0)
            seconds.append((self._clock() - begun) / task.block_size)
        executed = len(seconds) * task.block_size * plan.forward_equivalents
        return Outcome(
            id=task.id,
            rows={"latency": np.array(seconds[1:])},
            forward_equivalents=executed,
        )

    def _recovered(self, plan: Plan) -> tuple[Plan, Recovered | None]:
        try:
            return recovered_plan(plan, self.model.denoiser, self.artifact_store)
        except UserError as error:
            raise Infeasible(str(error)) from None

    def _clock(self) -> float:
        if self.model.denoiser.device.type == "cuda":
            torch.cuda.synchronize(self.model.denoiser.device)
        return time.perf_counter()

    def _recall(self, task: SampleTask, block: int, calls: Sequence[Call]) -> Recaller | None:
        store, device = self.call_cache, self.model.denoiser.device
        if store is None:
            return None
        return Recaller(store, calls, self._batch(task, block), device=device)

    def _batch(self, task: SampleTask, block: int) -> object:
        """What decides the samples of a block beside the plan."""
        denoiser = self.model.denoiser
        of_model = (denoiser.weights, str(denoiser.device), str(denoiser.dtype))
        return task.seed, task.stream, block, task.block_size, of_model

    def _sampled(self, task: SampleTask, block: int, recall: Recaller | None = None) -> "_Run":
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
                artifact_store=self.artifact_store,
                step_noise=noise,
                recall=recall,
            )
        macs = task.plan.macs * task.block_size
        macs -= 0 if state.saved is None else int(state.saved.sum())
        return _Run(state, condition, macs - (recall.avoided if recall else 0))

    def _rows(self, task: SampleTask, run: "_Run") -> Rows:
        x, condition = run.state.x, run.condition
        rewards = self.model.rewards
        asked = task.needs - {"final", "labels"} - rewards.keys()
        with third_party("model", self.model):
            given = self.model.rows(x, asked)
            rows = {name: np.asarray(given[name]) for name in asked}
        rows |= {name: rewards[name](x, condition) for name in task.needs & rewards.keys()}
        check_rows(rows, len(x))
        if "labels" in task.needs:
            rows["labels"] = condition.cpu().numpy()
        if run.state.saved is not None:
            rows["macs"] = (task.plan.macs - run.state.saved).double().numpy()
        if "final" in task.needs:
            rows["final"] = x.flatten(1).float().cpu().numpy()
        return rows

    def _drawn(self, seed: int, stream: Stream, indices: range, k: int) -> Tensor:
        """Start noise is the same for all candidates, so the last blocks' are kept."""
        key = (seed, stream, indices.start, indices.stop, k)
        denoiser = self.model.denoiser
        return self._noise.hold(
            key,
            lambda: draw(seed, stream, indices, denoiser.sample_shape, k=k).to(
                device=denoiser.device, dtype=denoiser.dtype
            ),
        )


@dataclass(frozen=True)
class _Run:
    """The end of one sampled seed block.

    Attributes:
        condition: its labels or prompts.
        executed: multiply-accumulates.
    """

    state: State
    condition: Tensor
    executed: int
