"""A denoiser that gives a prediction made elsewhere: somebody else runs the network."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule, get_schedule
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.recipe import Recipe, Step
from autosearch.recipe.schema import owned_fields

__all__ = ["ReplayDenoiser", "solver_plan"]

# What of a step no scheduler does: guidance is the pipeline's, sites are the network's.
_NETWORK_FIELDS = owned_fields(Step, "network")


class ReplayDenoiser(Denoiser):
    """Gives ``output`` [N, *sample_shape] as its prediction, whatever is asked."""

    output: Tensor

    def __init__(self, schedule: NoiseSchedule, prediction: Prediction) -> None:
        self.schedule = schedule
        self.prediction = prediction
        self.sample_shape = ()
        self.heads = {}
        self.macs = 1
        self.weights = ""

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        return dict.fromkeys((one.name for one in branches), self.output)


def solver_plan(recipe: Recipe) -> Plan:
    """Compile what a scheduler alone does of a recipe: times, solver and noise."""
    data = recipe.to_dict()
    steps = [
        {key: value for key, value in step.items() if key not in _NETWORK_FIELDS}
        for step in data["steps"]
    ]
    whole = ("version", "model", "start", "end")
    kept: dict[str, Any] = {key: data[key] for key in whole if key in data}
    schedule = get_schedule(recipe.model.family, recipe.model.schedule)
    plain = Recipe.from_dict({**kept, "steps": steps})
    return compile_recipe(plain, ReplayDenoiser(schedule, recipe.model.prediction))
