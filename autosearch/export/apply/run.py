"""One call of a pipeline that a recipe is applied to: its scheduler, and what its network does."""

import threading
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import StepPlan
from autosearch.diffusion.prediction import from_data_and_noise
from autosearch.diffusion.sampling.sampler import Network
from autosearch.diffusion.sampling.stepper import StepNoise
from autosearch.diffusion.solvers import Evaluation
from autosearch.errors import UserError
from autosearch.export.apply.arguments import CallArguments
from autosearch.models.diffusers.conditions import Given
from autosearch.models.diffusers.denoiser import PipelineDenoiser, plain_sites
from autosearch.models.diffusers.families import family_of
from autosearch.models.diffusers.network_call import NetworkCall
from autosearch.models.diffusers.schedule import model_noise
from autosearch.recipe import Recipe

__all__ = ["Run", "denoiser_of"]

_COMPUTED = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Run:
    """The scheduler of one call, and what stands in the way of its network meanwhile.

    All facts of pipeline and network are read when the run begins: precision, device and what
    others have hung on the network may change from call to call.
    """

    def __init__(
        self,
        recipe: Recipe,
        pipeline: Any,
        network: nn.Module,
        arguments: CallArguments,
        step_noise: StepNoise | None,
    ) -> None:
        from autosearch.export.apply.scheduler import RecipeScheduler

        self._pipeline, self._network, self._arguments = pipeline, network, arguments
        self._denoiser = denoiser_of(network, pipeline.scheduler)
        self._original = network.forward
        self._thread = threading.get_ident()
        self._memory: Any = None
        self._dtype = torch.float32
        self._inside = False
        plan = compile_recipe(recipe, self._denoiser)
        self.scheduler = RecipeScheduler.beside(pipeline.scheduler.config, recipe)
        self.scheduler.use_plan(plan)
        self.scheduler.step_noise = step_noise
        self.scheduler.call_generator = arguments.generator
        self.scheduler.attached = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the network's; calls from elsewhere go through."""
        elsewhere = threading.get_ident() != self._thread
        if self._inside or elsewhere or not self.scheduler.running:
            return self._original(*args, **kwargs)
        if self.scheduler.pending is not None:
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
        doubled = call.doubled(self._guided())
        state = call.state.chunk(2)[0] if doubled else call.state
        stepper = self.scheduler.stepper
        if stepper is None:
            scale = 1.0 if family.scales_start else self.scheduler.plan.start_scale
            stepper = self.scheduler.begin(scale * state.float())
            self._memory = self.scheduler.plan.new_memory(len(state))
            stored = self._denoiser.network_dtype
            # Weights may be stored in what nothing computes in, such as eight bits.
            self._dtype = stored if stored in _COMPUTED else call.state.dtype
        else:
            stepper = self.scheduler.take(state)
        conditions = call.conditions(doubled=doubled)
        _check_modes(stepper.step, conditions)
        denoiser = self._denoiser.with_conditions(conditions, state.device, self._dtype)
        network = Network(denoiser, None, self._memory)
        evaluation = network.evaluate(stepper.step, stepper.x)
        self.scheduler.pending = evaluation
        return _output(call, self._prediction(stepper.step, evaluation), self._network)

    def _guided(self) -> bool | None:
        """Whether the pipeline doubles the batch for guidance; None where nothing says so."""
        if getattr(self._pipeline, "do_perturbed_attention_guidance", False) is True:
            raise UserError(
                "apply: the pipeline adds a run with perturbed attention of its own; set its "
                "pag_scale to 0, or use the recipe's rule 'pag'"
            )
        said = getattr(self._pipeline, "do_classifier_free_guidance", None)
        return said if isinstance(said, bool) else self._arguments.guided

    def _prediction(self, step: StepPlan, evaluation: Evaluation) -> Tensor:
        """The guided prediction, in the network's own kind."""
        if evaluation.noise is None:
            return evaluation.data
        alpha, sigma = self._denoiser.schedule.alpha_sigma(step.log_snr)
        kind = self._denoiser.prediction
        return from_data_and_noise(kind, evaluation.data, evaluation.noise, alpha, sigma)


def denoiser_of(network: Any, scheduler: Any) -> PipelineDenoiser:
    """A pipeline's network, its conditions to be told call by call.

    Raises:
        UserError: for a network or a scheduler that is not supported.
    """
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
