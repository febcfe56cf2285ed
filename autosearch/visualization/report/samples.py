"""Samples of chosen points beside baselines of as many steps, from the same noise."""

import base64
import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autosearch.baselines import baseline
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.study.front_view import FrontView, Point
from autosearch.study.study import Study
from autosearch.text import amount
from autosearch.visualization.figures import scatter_picture
from autosearch.visualization.report.points import point_text
from autosearch.visualization.sample_grids import sample_panels

__all__ = ["Figure", "SampleRow", "sample_rows"]

Pixels = NDArray[np.uint8]

# What every chosen point is compared with.
_UNIFORM = "ddim"
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
    view: FrontView,
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
        view: the front.
        chosen: why each point was chosen, and the point.
        count: how many samples a picture shows.
        artifact_store: of the study.
    """
    named: dict[str, tuple[str, Plan]] = {}
    rows = []
    for why, point in chosen:
        entries = _compared(problem, study, view, point)
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


def _compared(
    problem: Problem, study: Study, view: FrontView, point: Point
) -> list[tuple[str, Plan]]:
    """What stands beside each other, with captions; equal plans once."""
    found = [(point_text(view, point), problem.compile(point.to_recipe()))]
    alike = {p.name: p for p in view.baselines if p.steps == point.steps}
    uniform = f"{_UNIFORM}@{point.steps}"
    # The model's grid may lack this number of steps.
    with contextlib.suppress(UserError):
        plan = problem.compile(baseline(uniform, problem.denoiser))
        known = alike.get(uniform)
        text = _searched(study, view, uniform) if known is None else point_text(view, known)
        found.append((text, plan))
    if alike:
        quality = view.quality
        best = min(alike.values(), key=lambda p: (quality.signed(p.value(quality.name)), p.id))
        found.append((point_text(view, best), problem.compile(best.to_recipe())))
    once: dict[str, tuple[str, Plan]] = {}
    for text, plan in found:
        once.setdefault(plan.identity, (text, plan))
    return list(once.values())


def _searched(study: Study, view: FrontView, name: str) -> str:
    """A baseline that was not measured on fresh noise, with its search values where it has some."""
    for candidate in study.feasible:
        if candidate.name == name:
            values = ", ".join(
                f"{axis.name} {amount(candidate.values[axis.name].value)}" for axis in view.axes
            )
            return f"{name}: {values} (search)"
    return f"{name}, not measured in this study"


def _shrunk(picture: Pixels, pixels: int) -> Pixels:
    """At most so many pixels, by averaging."""
    height, width = picture.shape[:2]
    factor = math.sqrt(pixels / (height * width))
    if factor >= 1:
        return picture
    size = max(1, int(width * factor)), max(1, int(height * factor))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _url(picture: Pixels) -> str:
    """A PNG; pictures without colour take a third of the bytes."""
    grey = bool((picture == picture[:, :, :1]).all())
    image = Image.fromarray(picture[:, :, 0] if grey else picture)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
