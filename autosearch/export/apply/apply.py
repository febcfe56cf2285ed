"""Running a recipe in somebody's own pipeline, and taking it out again."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import StepPlan
from autosearch.diffusion.prediction import from_data_and_noise
from autosearch.diffusion.sampling.sampler import Network
from autosearch.diffusion.sampling.stepper import StepNoise
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.swapped import swapped
from autosearch.diffusion.solvers import Evaluation
from autosearch.errors import UserError
from autosearch.models.diffusers.conditions import Given
from autosearch.models.diffusers.denoiser import PipelineDenoiser, plain_sites
from autosearch.models.diffusers.families import family_of
from autosearch.models.diffusers.network_call import NetworkCall
from autosearch.models.diffusers.optional_import import diffusers
from autosearch.models.diffusers.schedule import model_noise
from autosearch.recipe import Recipe

__all__ = ["apply", "remove"]

# What pipelines look up in a scheduler's configuration.
_LOOKED_UP = ("num_train_timesteps", "prediction_type", "use_flow_sigmas")
# Holds nothing that keeps a pipeline alive.
_APPLIED: WeakKeyDictionary[Any, "_Applied"] = WeakKeyDictionary()


def apply(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    pipeline: Any,
    *,
    step_noise: StepNoise | None = None,
) -> Any:
    """Make a pipeline of diffusers sample as a recipe says: times, solver, sites and guidance.

    From then on, calls of the pipeline run the recipe: the number of steps, times and the scale of
    guidance that they are given are ignored. Where the recipe guides without the condition, the
    pipeline must be called so that it prepares for that, with a ``guidance_scale`` above 1. The
    pipeline's scheduler is replaced, and its network's ``forward``; :func:`remove` undoes both.

    Args:
        recipe: a recipe, its plain data, or the path of its file.
        pipeline: of a kind that is supported; changed in place.
        step_noise: gives the noise [N, *sample_shape] of step k >= 1 of stochastic recipes; by
            default it is drawn as the pipeline draws its own.

    Returns:
        The pipeline.

    Raises:
        UserError: for an unsupported pipeline, or a recipe that does not fit its model.
    """
    diffusers()
    from autosearch.export.apply.scheduler import RecipeScheduler

    network = _network(pipeline)
    remove(pipeline)
    read = _recipe(recipe)
    denoiser = _denoiser(network, pipeline.scheduler)
    config = pipeline.scheduler.config
    settings = {name: config[name] for name in _LOOKED_UP if name in config}
    scheduler = RecipeScheduler(recipe=read.to_dict(), **settings)
    scheduler.use_plan(compile_recipe(read, denoiser))
    scheduler.step_noise = step_noise
    scheduler.attached = True
    _APPLIED[pipeline] = _Applied(pipeline, network, scheduler, denoiser)
    return pipeline


def remove(pipeline: Any) -> Any:
    """Undo :func:`apply`; a pipeline without a recipe stays as it is. Returns the pipeline."""
    applied = _APPLIED.pop(pipeline, None)
    if applied is not None:
        applied.remove(pipeline)
    return pipeline


class _Applied:
    """What stands in the way of one pipeline's network while a recipe is applied."""

    def __init__(
        self, pipeline: Any, network: nn.Module, scheduler: Any, denoiser: PipelineDenoiser
    ) -> None:
        self._pipeline = ref(pipeline)
        self._network = network
        self._scheduler = scheduler
        self._denoiser = denoiser
        self._memory: FeatureMemory | None = None
        self._inside = False
        self._removed = False
        self._own_scheduler = pipeline.scheduler
        self._original = network.forward
        self._swaps = ExitStack()
        self._swaps.enter_context(swapped(network, "forward", self.forward))
        pipeline.scheduler = scheduler

    def remove(self, pipeline: Any) -> None:
        """Put everything back; what others put on top of ours in the meantime stays."""
        self._removed = True
        self._swaps.close()
        if pipeline.scheduler is self._scheduler:
            pipeline.scheduler = self._own_scheduler

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the network's, while a run of the scheduler is under way."""
        idle = not self._scheduler.running or self._pipeline() is None
        if self._removed or self._inside or idle:
            return self._original(*args, **kwargs)
        if self._scheduler.pending is not None:
            raise UserError(
                "apply: the pipeline asks its network twice in one step, for guidance of its own "
                "(true_cfg_scale, skip_guidance_layers); the recipe says the guidance, so leave "
                "those out"
            )
        self._inside = True
        try:
            return self._evaluate(
                NetworkCall.of(self._network, self._denoiser.family, args, kwargs)
            )
        finally:
            self._inside = False

    def _evaluate(self, call: NetworkCall) -> Any:
        family = self._denoiser.family
        null = getattr(self._network.config, "num_embeds_ada_norm", None)
        doubled = call.doubled(self._pipeline(), null)
        state = call.state.chunk(2)[0] if doubled else call.state
        stepper = self._scheduler.stepper
        if stepper is None:
            scale = 1.0 if family.scales_start else self._scheduler.plan.start_scale
            stepper = self._scheduler.begin(scale * state.float())
            self._memory = self._scheduler.plan.new_memory(len(state))
        else:
            stepper = self._scheduler.take(state)
        conditions = call.conditions(doubled=doubled)
        _check_modes(stepper.step, conditions)
        denoiser = self._denoiser.with_conditions(conditions, state.device)
        network = Network(denoiser, None, self._memory)
        evaluation = network.evaluate(stepper.step, stepper.x)
        self._scheduler.pending = evaluation
        return _output(call, self._prediction(stepper.step, evaluation), self._network)

    def _prediction(self, step: StepPlan, evaluation: Evaluation) -> Tensor:
        """The guided prediction, in the network's own kind."""
        if evaluation.noise is None:
            return evaluation.data
        alpha, sigma = self._denoiser.schedule.alpha_sigma(step.log_snr)
        kind = self._denoiser.prediction
        return from_data_and_noise(kind, evaluation.data, evaluation.noise, alpha, sigma)


def _recipe(recipe: Recipe | Mapping[str, Any] | str | Path) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return Recipe.load(Path(recipe)) if isinstance(recipe, str | Path) else Recipe.from_dict(recipe)


def _network(pipeline: Any) -> nn.Module:
    for name in ("transformer", "unet"):
        network = getattr(pipeline, name, None)
        if isinstance(network, nn.Module):
            if hasattr(network, "_orig_mod"):
                raise UserError(
                    "apply: the network is compiled as a whole, where nothing inside it can be "
                    "reached; apply the recipe to the plain network"
                )
            return network
    raise UserError(
        f"apply: {type(pipeline).__name__} has no transformer and no unet; give a pipeline of "
        "diffusers"
    )


def _denoiser(network: Any, scheduler: Any) -> PipelineDenoiser:
    """The pipeline's network, its conditions to be told call by call."""
    config = {**network.config, "_class_name": type(network).__name__}
    family = family_of(config, where="apply")
    known = {**scheduler.config, "_class_name": type(scheduler).__name__}
    schedule, prediction = model_noise(known, where="apply: scheduler")
    site_specs = family.site_specs(network)
    modes = ("cond", "uncond") if family.guided else ("cond",)
    return PipelineDenoiser(
        network,
        family,
        site_specs=site_specs,
        sites=plain_sites(site_specs),
        macs=1,
        schedule=schedule,
        prediction=prediction,
        sample_shape=(),
        given=Given({mode: {} for mode in modes}),
        classes=0,
    )


def _check_modes(step: StepPlan, conditions: Given) -> None:
    if any(branch.condition not in conditions.modes for branch in step.branches):
        raise UserError(
            "apply: this recipe guides by the network without its condition; call the pipeline "
            "with a guidance_scale above 1, so that it prepares for that"
        )


def _output(call: NetworkCall, prediction: Tensor, network: Any) -> Any:
    """A prediction in the form that the pipeline expects; its own guidance changes nothing of it.

    Both halves of a doubled batch are the same, and the variance channels are 0.
    """
    rows = len(call.state) // len(prediction)
    channels = int(getattr(network.config, "out_channels", None) or prediction.shape[1])
    result = prediction.repeat(rows, *([1] * (prediction.dim() - 1)))
    if call.state.dim() == 4 and channels > prediction.shape[1]:
        missing = channels - prediction.shape[1]
        zeros = result.new_zeros(len(result), missing, *result.shape[2:])
        result = torch.cat([result, zeros], dim=1)
    result = result.to(call.state.dtype)
    if call.as_tuple:
        return (result,)
    from diffusers.models.modeling_outputs import Transformer2DModelOutput

    return Transformer2DModelOutput(sample=result)
