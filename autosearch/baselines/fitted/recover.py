"""Recovery: a pruned network, fine-tuned to say what the whole one says.

TinyFusion (Fang et al. 2025) fine-tunes for 100,000 steps and more, on its training data, with an
average of the weights. Here a few hundred steps of Adam on the network's own samples (see
:mod:`autosearch.baselines.fitted.distil`), without an average: enough to rank masks by what they
become. All weights learn, or low-rank updates of the linear maps alone, which are part of them in
the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.distil import Lesson, cosine, course, descend
from autosearch.baselines.fitted.low_rank import adapt, merge
from autosearch.diffusion.artifact_store import ArtifactStore, pack_artifact
from autosearch.diffusion.denoiser import Denoiser, NetworkDenoiser
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.plan.recovery import WEIGHTS, Training, training
from autosearch.diffusion.threads import one_thread
from autosearch.errors import UserError
from autosearch.recipe import Artifact, Recipe, Recovery

__all__ = ["FITS", "Recovered", "recover", "recovered_plan", "recovered_recipe"]

_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Recovered:
    """Recovered weights as an artifact, and the multiply-accumulates that training them took.

    Attributes:
        files: the artifact's content by its key, where it was made now.
    """

    weights: Artifact
    macs: int
    files: dict[str, bytes]


def recover(denoiser: Denoiser, wanted: Training, artifact_store: ArtifactStore) -> Recovered:
    """The weights of a training, from the artifact store or trained now and kept there.

    They depend on the training and the network alone: one thread, one generator.
    """
    known = artifact_store.find(wanted.provenance)
    if known is not None:
        return Recovered(known, 0, {})
    assert isinstance(denoiser, NetworkDenoiser)  # checked when the plan was made
    with one_thread(), torch.inference_mode(False), torch.enable_grad():
        taught, macs = course(denoiser, wanted.settings.seed, wanted.settings.steps)
        tensors = _trained(denoiser, wanted, taught)
    artifact, content = pack_artifact(wanted.provenance, tensors)
    artifact_store.add(artifact.key, content)
    own = wanted.macs - wanted.shared_macs
    return Recovered(artifact, own + macs, {artifact.key: content})


def recovered_plan(
    plan: Plan, denoiser: Denoiser, artifact_store: ArtifactStore
) -> tuple[Plan, Recovered | None]:
    """A plan whose training is done: its weights are an artifact, trained now unless at hand."""
    if plan.training is None:
        return plan, None
    found = recover(denoiser, plan.training, artifact_store)
    artifacts = tuple(sorted([*plan.artifacts, (WEIGHTS, found.weights)]))
    return replace(plan, training=None, artifacts=artifacts), found


def recovered_recipe(recipe: Recipe, calibrator: Calibrator) -> Recipe:
    """A recipe whose recovery is done: its weights are an artifact, trained now unless at hand."""
    if recipe.recovery is None:
        return recipe
    asked = calibrator.plan(recipe)
    plan, found = recovered_plan(asked, calibrator.denoiser, calibrator.artifact_store)
    if asked.training is not None and found is not None:
        calibrator.count_macs(found.macs, nominal=asked.training.macs)
        calibrator.files[found.weights.key] = calibrator.artifact_store.content(found.weights)
    return recipe.model_copy(update={"recovery": None, "artifacts": dict(plan.artifacts)})


def _trained(
    denoiser: NetworkDenoiser, wanted: Training, taught: Iterable[Lesson]
) -> dict[str, Tensor]:
    """The tensors that differ from the network's own."""
    settings = wanted.settings
    own = dict(denoiser.network.named_parameters())
    student = denoiser.with_tensors({name: value.detach().clone() for name, value in own.items()})
    learned = _learned(student.network, settings)
    optimizer = torch.optim.Adam(learned, lr=settings.rate, betas=_BETAS)
    schedule = cosine(optimizer, settings.steps)
    for lesson in taught:
        prediction = student.differentiable(
            lesson.x, lesson.times, lesson.labels, skipped=wanted.pruned
        )
        descend(optimizer, lesson.loss(prediction), learned)
        schedule.step()
    merge(student.network)
    after = student.network.named_parameters()
    return {name: new.detach() for name, new in after if not new.equal(own[name])}


def _learned(network: nn.Module, settings: Recovery) -> list[nn.Parameter]:
    """The parameters that are trained: all of the network, or low-rank updates."""
    if settings.rank is None:
        return list(network.requires_grad_(True).parameters())
    network.requires_grad_(False)
    return adapt(network, settings.rank, torch.Generator().manual_seed(settings.seed))


def _recovery(steps: int, rate: float, seed: int, rank: int) -> Recovery:
    return Recovery(steps=steps, rate=rate, seed=seed, rank=rank or None)


def _fit(recipe: Recipe, calibrator: Calibrator, *values: Any) -> Recipe:
    asked = recipe.model_copy(update={"recovery": _recovery(*values)})
    if calibrator.plan(asked).training is None:
        raise UserError(
            "recover: nothing is pruned, so there is nothing to recover from; prune before it, as "
            "in ddim+importance:2+recover@10"
        )
    return recovered_recipe(asked, calibrator)


def _forwards(recipe: Recipe, denoiser: Denoiser, *values: Any) -> float:
    # What was pruned by a fit before it is not known yet: the whole network's.
    macs = denoiser.macs
    return training(_recovery(*values), (), denoiser, pruned_macs=macs).macs / macs


FITS = {
    "recover": Fit(
        "weights, fine-tuned for what was pruned before it; rank: of updates, 0 for all weights",
        (
            Setting("steps", 200, 1, 1_000_000),
            Setting("rate", 3e-3, 1e-9, 1.0, whole=False),
            Setting("seed", 0, 0, 10**9 - 1),
            Setting("rank", 0, 0, 1024),
        ),
        _fit,
        "weights",
        forwards=_forwards,
        sites=True,
    )
}
