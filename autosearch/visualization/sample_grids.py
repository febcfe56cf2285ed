"""Pictures of a model's samples under one or two plans, on the same noise."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.models.base import Model
from autosearch.study.front import Front
from autosearch.study.front_text import point_text
from autosearch.study.point import Point
from autosearch.study.study import Study
from autosearch.text import amount
from autosearch.visualization.figures.samples import (
    Panel,
    image_grid,
    plot_panels,
    plot_scatter,
    save_grid,
)

__all__ = ["compared_plans", "draw_samples", "sample_count", "sample_panels", "save_samples"]

# What every point is compared with, at as many steps.
_UNIFORM = "ddim"

_SAMPLES = 100
# Samples of more numbers than this are shown by fewer, and points in the plane by more.
_LARGE = 4096
_FEW_SAMPLES = 16
_POINTS = 1000
# Points of the reference shown beside a cloud of samples.
_REFERENCE_POINTS = 2000


def draw_samples(
    model: Model, plan: Plan, *, count: int, seed: int, artifact_store: ArtifactStore | None = None
) -> Tensor:
    """The first ``count`` samples [N, *sample_shape] of the ``evaluate`` stream.

    Drawn seed block by seed block, as they are when they are measured.

    Raises:
        UserError: when a sample is not finite.
    """
    parts = []
    for start in range(0, count, model.block_size):
        indices = range(start, min(start + model.block_size, count))
        parts.append(
            sample_indices(
                model.denoiser,
                plan,
                indices,
                seed=seed,
                stream=Stream.EVALUATE,
                artifact_store=artifact_store,
            )
        )
    x = torch.cat(parts)
    if not bool(torch.isfinite(x).all()):
        raise UserError("the recipe gives samples that are not finite; change its steps")
    return x


def sample_count(shape: Sequence[int]) -> int:
    """How many samples of a shape make a picture: points are many, large images few."""
    if len(shape) == 1:
        return _POINTS
    return _SAMPLES if math.prod(shape) <= _LARGE else _FEW_SAMPLES


def sample_panels(
    model: Model,
    plans: Mapping[str, Plan],
    *,
    count: int,
    seed: int,
    artifact_store: ArtifactStore | None = None,
) -> list[Panel]:
    """A panel of samples for each plan, all from the same noise.

    A grid of images [H, W, 3], rows by class; for models without images the samples themselves
    [N, d], and last the reference's where it has some.
    """
    panels = []
    for name, plan in plans.items():
        x = draw_samples(model, plan, count=count, seed=seed, artifact_store=artifact_store)
        images = model.images(x)
        data = (
            x.flatten(1).double().cpu().numpy()
            if images is None
            else image_grid(images.cpu().numpy(), model.denoiser.classes)
        )
        panels.append(Panel(name, data))
    return panels if panels[0].data.ndim == 3 else [*panels, *_reference(model)]


def save_samples(
    model: Model,
    plans: Mapping[str, Plan],
    path: Path,
    *,
    count: int,
    seed: int,
    artifact_store: ArtifactStore | None = None,
) -> None:
    """Draw samples of each plan on the same noise and write one picture.

    A grid of images, rows by class; with several plans titled panels side by side. Models without
    images: the first two coordinates, beside the reference's.
    """
    panels = sample_panels(model, plans, count=count, seed=seed, artifact_store=artifact_store)
    if panels[0].data.ndim == 2:
        plot_scatter(panels, path)
    elif len(panels) == 1:
        save_grid(np.asarray(panels[0].data, dtype=np.uint8), path)
    else:
        plot_panels(panels, path)


def compared_plans(
    problem: Problem, study: Study, front: Front, point: Point
) -> list[tuple[str, Plan]]:
    """Captions and plans of a point, of ``ddim`` and of the best baseline; equal plans once.

    Baselines have as many steps as the point; where the model's grid lacks that number, there is
    no ``ddim``.
    """
    compared = [(point_text(front, point), problem.compile(point.recipe))]
    alike = {p.name: p for p in front.baselines if p.steps == point.steps}
    uniform = f"{_UNIFORM}@{point.steps}"
    with contextlib.suppress(UserError):
        plan = problem.compile(baseline(uniform, problem.denoiser))
        validated = alike.get(uniform)
        text = point_text(front, validated) if validated else _search_text(study, front, uniform)
        compared.append((text, plan))
    if alike:
        best = front.ordered(list(alike.values()))[0]
        compared.append((point_text(front, best), problem.compile(best.recipe)))
    once: dict[str, tuple[str, Plan]] = {}
    for text, plan in compared:
        once.setdefault(plan.identity, (text, plan))
    return list(once.values())


def _search_text(study: Study, front: Front, name: str) -> str:
    """A baseline that was not measured on fresh noise, with its search values where it has some."""
    for candidate in study.feasible:
        if candidate.name == name:
            values = ", ".join(
                f"{axis.name} {amount(candidate.values[axis.name].value)}" for axis in front.axes
            )
            return f"{name}: {values} (search)"
    return f"{name}, not measured in this study"


def _reference(model: Model) -> list[Panel]:
    """A panel of the reference's samples, for models whose features are samples themselves."""
    rows = model.reference.get("features")
    if rows is None or rows.shape[1:] != model.denoiser.sample_shape:
        return []
    return [Panel("reference", rows[:_REFERENCE_POINTS])]
