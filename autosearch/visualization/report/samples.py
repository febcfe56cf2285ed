"""Samples of chosen points beside baselines of as many steps, from the same noise."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.study.front import Front
from autosearch.study.point import Point
from autosearch.study.study import Study
from autosearch.visualization.figures import scatter_picture
from autosearch.visualization.sample_grids import compared_plans, sample_panels

__all__ = ["Figure", "SampleRow", "sample_rows"]

Pixels = NDArray[np.uint8]

# All pictures together; two bytes a pixel are usual for photographs.
_MOST_PIXELS = 1_000_000


@dataclass(frozen=True)
class Figure:
    """A picture as a data URL, its text alternative, and what stands below it."""

    url: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class SampleRow:
    """A chosen point, and the pictures that belong beside each other."""

    title: str
    figures: list[Figure]


def sample_rows(
    problem: Problem,
    study: Study,
    front: Front,
    chosen: Sequence[tuple[str, Point]],
    *,
    count: int,
    artifact_store: ArtifactStore,
) -> list[SampleRow]:
    """A row of pictures for each chosen point: its own, ``ddim``'s and the best baseline's.

    Baselines have as many steps as the point. No plan is drawn twice.

    Args:
        problem: the study's, with the model.
        study: for values of baselines that only the search measured.
        front: the study's.
        chosen: why each point was chosen, and the point.
        count: how many samples a picture shows.
        artifact_store: of the study.
    """
    named: dict[str, tuple[str, Plan]] = {}
    rows = []
    for why, point in chosen:
        entries = compared_plans(problem, study, front, point)
        named |= {plan.identity: (text, plan) for text, plan in entries}
        rows.append((f"{why}: {point.name}", [plan.identity for _, plan in entries]))
    plans = {identity: plan for identity, (_, plan) in named.items()}
    panels = sample_panels(
        problem.model,
        plans,
        count=count,
        seed=problem.experiment.seed,
        artifact_store=artifact_store,
    )
    images = panels[0].data.ndim == 3
    pixels = _MOST_PIXELS // len(panels)
    figures = {}
    for panel in panels if images else panels[: len(plans)]:
        text = named[panel.title][0]
        if images:
            picture = _shrunk(np.asarray(panel.data, dtype=np.uint8), pixels)
            what = f"{count} samples of {text}"
        else:
            points = np.asarray(panel.data, dtype=np.float64)
            others = [np.asarray(p.data, dtype=np.float64) for p in panels]
            picture = scatter_picture(points, around=others)
            what = f"{count} samples of {text}, as points of their first two coordinates"
        figures[panel.title] = Figure(_url(picture), what, text, picture.shape[1], picture.shape[0])
    return [SampleRow(title, [figures[identity] for identity in ids]) for title, ids in rows]


def _shrunk(picture: Pixels, pixels: int) -> Pixels:
    """A picture [H, W, 3] averaged down to at most so many pixels."""
    height, width = picture.shape[:2]
    factor = math.sqrt(pixels / (height * width))
    if factor >= 1:
        return picture
    size = max(1, int(width * factor)), max(1, int(height * factor))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _url(picture: Pixels) -> str:
    """A picture as the data URL of a PNG; one without colour takes a third of the bytes."""
    grey = bool((picture == picture[:, :, :1]).all())
    image = Image.fromarray(picture[:, :, 0] if grey else picture)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
