"""Weights of a recipe: those of an artifact, or those that a training will give."""

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.reachability import Stored, reachable, saved
from autosearch.diffusion.plan.recovery import WEIGHTS, Training, training
from autosearch.diffusion.plan.sites import pruned_sites
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action

__all__ = ["compile_training"]


def compile_training(recipe: Recipe, denoiser: Denoiser, sites: SiteTable) -> Training | None:
    """What is trained before the recipe is sampled; None where nothing is pruned or asked for.

    Raises:
        UserError: for recovery, or recovered weights, of a model that has no weights of its own.
    """
    asks = "recovery" if recipe.recovery is not None else f"artifacts.{WEIGHTS}"
    if (recipe.recovery is not None or WEIGHTS in recipe.artifacts) and not denoiser.recoverable:
        raise UserError(
            f"recipe: {asks} is for a model with a network whose weights can be trained here, "
            "such as digits; leave it out"
        )
    pruned = dict.fromkeys(pruned_sites(recipe, sites), Action("skip"))
    skipped = reachable(pruned, sites, "", Stored())
    if recipe.recovery is None or not skipped:
        return None
    left = denoiser.macs - saved(skipped, sites)
    return training(recipe.recovery, sorted(skipped), denoiser, pruned_macs=left)
