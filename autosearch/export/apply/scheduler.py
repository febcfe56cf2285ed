"""A scheduler of diffusers that runs any recipe's times and solver."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.prediction import from_data_and_noise, to_data_and_noise
from autosearch.diffusion.sampling.sampler import Network
from autosearch.diffusion.sampling.stepper import StepNoise, Stepper
from autosearch.diffusion.schedules import get_schedule
from autosearch.diffusion.solvers import Evaluation
from autosearch.errors import UserError
from autosearch.export.apply.replay_denoiser import ReplayDenoiser, solver_plan
from autosearch.models.diffusers.schedule import PREDICTIONS
from autosearch.recipe import Recipe

__all__ = ["RecipeScheduler"]

# What pipelines look up in a scheduler's configuration.
_LOOKED_UP = ("num_train_timesteps", "prediction_type", "use_flow_sigmas")
# Pipelines count the time of flow models in thousandths.
_FLOW_TIMES = 1000.0


class RecipeScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]  # without types
    """Steps through a recipe: its times, orders, predictions, correctors and noise.

    The recipe is part of the configuration, so that ``save_pretrained`` keeps it and
    ``from_pretrained`` brings it back, alone or inside a pipeline. The number of steps is the
    recipe's own, whatever ``num_inference_steps`` says. Guidance and site actions need
    :func:`autosearch.apply`; alone, the scheduler leaves guidance to the pipeline.

    An implicit corrector asks the network once more at a time, so that the time stands twice in
    ``timesteps``. A first step that needs no network has its time there all the same: the
    network's answer to it is ignored.

    Args:
        recipe: as plain data.
        num_train_timesteps: of the model, for pipelines that look it up.
        prediction_type: of the model, as diffusers names it; it follows from the recipe.
        use_flow_sigmas: whether the model is a flow; it follows from the recipe.
    """

    order = 1
    config_name = "scheduler_config.json"

    # The state of the run under way.
    running: bool
    stepper: Stepper | None
    pending: Evaluation | None
    _generator: Any
    _dtype: torch.dtype | None

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        recipe: Mapping[str, Any],
        num_train_timesteps: int = 1000,
        prediction_type: str | None = None,
        use_flow_sigmas: bool = False,
    ) -> None:
        parsed = Recipe.from_dict(recipe)
        said = PREDICTIONS.get(prediction_type or "", parsed.model.prediction)
        if said != parsed.model.prediction:
            raise UserError(
                f"scheduler: prediction_type {prediction_type!r} is of another kind of model than "
                f"the recipe's, which predicts {parsed.model.prediction!r}"
            )
        self._recipe = parsed
        self.schedule = get_schedule(parsed.model.family, parsed.model.schedule)
        self._replay = ReplayDenoiser(self.schedule, parsed.model.prediction)
        self._times_factor = _FLOW_TIMES if self.schedule.family == "flow" else 1.0
        self.step_noise: StepNoise | None = None
        # Of the call under way, for pipelines that hand none to ``step``.
        self.call_generator: Any = None
        # Set by whoever runs the network itself.
        self.attached = False
        self.use_plan(solver_plan(parsed))

    @classmethod
    def beside(cls, config: Mapping[str, Any], recipe: Recipe) -> "RecipeScheduler":
        """A scheduler whose configuration has all keys of a model's own one beside the recipe.

        So ``Other.from_config(pipe.scheduler.config)`` is the model's scheduler of another class.
        """
        kept = {name: value for name, value in config.items() if not name.startswith("_")}
        settings = {name: kept.pop(name) for name in _LOOKED_UP if name in kept}
        made: RecipeScheduler = cls(recipe=recipe.to_dict(), **settings)
        made.register_to_config(**kept)
        return made

    @classmethod
    def extract_init_dict(
        cls, config_dict: dict[str, Any], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """As diffusers', but keys of the model's own scheduler are kept without a warning."""
        own = {*cls._get_init_keys(cls)}
        others = {k: v for k, v in config_dict.items() if k not in own and not k.startswith("_")}
        known = {k: v for k, v in config_dict.items() if k not in others}
        init, unused, hidden = super().extract_init_dict(known, **kwargs)
        return init, unused, {**others, **hidden}

    def use_plan(self, plan: Plan) -> None:
        """Run a plan of the same recipe that was compiled for one network."""
        self.plan = plan
        self.init_noise_sigma = plan.start_scale
        self.set_timesteps()
        self._stop()

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Any = None,
        mu: float | None = None,
    ) -> None:
        """Begin a run. All arguments but the device are ignored: the recipe says them all."""
        self._stop()
        times: list[float] = []
        for k, step in enumerate(self.plan.steps):
            corrector = self.plan.steps[k - 1].corrector if k else None
            again = corrector is not None and corrector.kind == "implicit"
            times += [step.time * self._times_factor] * (1 + again)
        self.timesteps = torch.tensor(times, dtype=torch.float32, device=device)
        self.num_inference_steps = len(times)
        self.running = True

    def set_begin_index(self, begin_index: int = 0) -> None:
        """For pipelines that start at another image; recipes start at noise.

        Raises:
            UserError: for any start but the first step.
        """
        if begin_index:
            raise UserError(
                "scheduler: a recipe runs from its first step, not from one in the middle; "
                "use a text-to-image pipeline, or strength 1"
            )

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The sample itself: states are in the model's own scaling."""
        return sample

    def begin(self, x: Tensor) -> Stepper:
        """Begin the steps of this run at its first state [N, *sample_shape]."""
        self.stepper = Stepper(self.plan, self.schedule, x, step_noise=self._noise)
        return self.stepper

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[Tensor]:
        """The next state, in the sample's precision.

        Args:
            model_output: the network's prediction, guided by the pipeline; ignored where
                :func:`autosearch.apply` runs the network.
            timestep: ignored: the recipe says the times.
            sample: the state [N, *sample_shape], or each sample twice.
            generator: of the noise of stochastic steps, unless ``step_noise`` gives it.
            return_dict: whether the result is a ``SchedulerOutput`` and not a tuple.

        Raises:
            UserError: when called more often than there are steps.
        """
        if not self.running:
            raise UserError("scheduler: all steps are done; call set_timesteps to begin again")
        self._generator = generator
        # What the pipeline holds before the first step is in its own precision.
        self._dtype = self._dtype or sample.dtype
        first = self.attached and self.stepper is not None and not self.stepper.done
        stepper = self.stepper or self.begin(sample.float())
        if not self.attached:
            self._take(stepper, sample)
        evaluation = self._evaluation(stepper, model_output)
        stepper.tell(self._in_full(evaluation, sample) if first else evaluation)
        x, dtype = stepper.x, self._dtype
        if stepper.finished:
            self._stop()
        if len(x) < len(sample):
            # Some pipelines hand in each sample twice.
            x = x.repeat(len(sample) // len(x), *([1] * (x.dim() - 1)))
        # Between steps, a network that is run for us takes our own precision.
        kept = x if self.attached and self.running else x.to(dtype)
        return SchedulerOutput(prev_sample=kept) if return_dict else (kept,)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Add noise to samples, both [N, *sample_shape], at times [N] of the pipeline."""
        rows = []
        for data, drawn, time in zip(original_samples, noise, timesteps.tolist(), strict=True):
            log_snr = self.schedule.log_snr(time / self._times_factor)
            alpha, sigma = self.schedule.alpha_sigma(log_snr)
            rows.append(alpha * data + sigma * drawn)
        return torch.stack(rows)

    def take(self, sample: Tensor) -> Stepper:
        """The stepper of this run with the state that the pipeline hands in, maybe changed."""
        stepper = self.stepper
        assert stepper is not None
        self._take(stepper, sample)
        return stepper

    def _take(self, stepper: Stepper, sample: Tensor) -> None:
        # In lower precision the pipeline holds a rounding of the state; then ours goes on.
        exact = stepper.x.dtype == sample.dtype
        if exact or not torch.equal(stepper.x.to(sample.dtype), sample):
            stepper.x = sample.to(stepper.x.dtype)

    def _evaluation(self, stepper: Stepper, model_output: Tensor) -> Evaluation:
        pending, self.pending = self.pending, None
        if pending is not None:
            return pending
        if self.attached:
            raise UserError(
                "scheduler: the pipeline stepped without asking its network; this pipeline is "
                "not one that recipes can be applied to"
            )
        self._replay.output = model_output.to(stepper.x.dtype)
        return Network(self._replay, None, None).evaluate(stepper.step, stepper.x)

    def _in_full(self, evaluation: Evaluation, sample: Tensor) -> Evaluation:
        """The first evaluation, from the state in full.

        A pipeline may hold its state in more digits than it hands its network.
        """
        seen, stepper = evaluation.x, self.stepper
        assert stepper is not None
        x = sample[: len(seen)].to(seen.dtype)
        rounded = not torch.equal(x, seen) and torch.allclose(x, seen, rtol=1e-2)
        if not rounded or stepper.step.clip is not None or evaluation.noise is None:
            return evaluation
        alpha, sigma = self.schedule.alpha_sigma(evaluation.log_snr)
        kind = self._replay.prediction
        said = from_data_and_noise(kind, evaluation.data, evaluation.noise, alpha, sigma)
        data, noise = to_data_and_noise(kind, said, x, alpha, sigma)
        stepper.x = x
        return replace(evaluation, x=x, data=data, noise=noise)

    def _noise(self, k: int) -> Tensor:
        if self.step_noise is not None:
            return self.step_noise(k)
        assert self.stepper is not None
        x = self.stepper.x
        noise: Tensor = randn_tensor(
            x.shape,
            generator=self.call_generator if self._generator is None else self._generator,
            device=x.device,
            dtype=x.dtype,
        )
        return noise

    def _stop(self) -> None:
        self.running = False
        self.stepper = None
        self.pending = None
        self._generator = None
        self._dtype = None
