"""Training after pruning, as part of a plan: what decides the weights, and what they cost.

Quality after pruning predicts little of the quality after a fine-tune (TinyFusion, Fang et al.
2025, section 4), so a search over masks is to measure the latter. How the training is done:
:mod:`autosearch.baselines.fitted.recover`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch.diffusion.artifact_store import Provenance
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.reachability import FeatureCounts, reachable, saved_macs
from autosearch.diffusion.plan.sites import pruned_sites
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.errors import UserError
from autosearch.recipe import Recipe, Recovery
from autosearch.recipe.actions import Action

__all__ = ["BATCH", "POOL", "POOL_STEPS", "WEIGHTS", "Training", "compile_training", "training"]

# What the artifact is to a recipe.
WEIGHTS = "weights"
# Samples in a step of training; samples of the whole network to train on, and steps to each.
BATCH = 100
POOL = 1000
POOL_STEPS = 10


@dataclass(frozen=True)
class Training:
    """A recovery of one network, pruned in one way.

    Attributes:
        pruned: names of the sites that are not run.
        model: digest of the network's weights.
        macs: multiply-accumulates of all of it.
        shared_macs: those among them that do not depend on what is pruned.
    """

    settings: Recovery
    pruned: tuple[str, ...]
    model: str
    macs: int
    shared_macs: int

    @property
    def provenance(self) -> Provenance:
        """What decides the weights; its key is part of a plan's identity."""
        settings = {
            **self.settings.model_dump(exclude={"seed"}, exclude_none=True),
            "pruned": list(self.pruned),
            "batch": BATCH,
            "pool": POOL,
        }
        return Provenance("recover", settings, self.model, self.settings.seed)


def training(
    settings: Recovery, pruned: Sequence[str], denoiser: Denoiser, *, pruned_macs: int
) -> Training:
    """The recovery that a recipe asks for.

    A step costs three forwards of what is left (one, and twice that backwards) and one of the
    whole network for each sample; the samples to train on cost their steps.
    """
    branches = 1 if denoiser.guidance_scale is None else 2
    lessons = settings.steps * BATCH
    shared = (POOL * POOL_STEPS * branches + lessons) * denoiser.macs
    macs = shared + lessons * 3 * pruned_macs
    return Training(settings, tuple(pruned), denoiser.weights, macs, shared)


def compile_training(recipe: Recipe, denoiser: Denoiser, sites: SiteTable) -> Training | None:
    """The training before a recipe is sampled; None where nothing is pruned or asked for.

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
    skipped = reachable(pruned, sites, "", FeatureCounts())
    if recipe.recovery is None or not skipped:
        return None
    left = denoiser.macs - saved_macs(skipped, sites)
    return training(recipe.recovery, sorted(skipped), denoiser, pruned_macs=left)
