"""What a study leaves beside its journal, all of it derived and made anew each time."""

import json
from pathlib import Path
from typing import Any

from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.engine.problem import Problem
from autosearch.export.recipe_json import write_recipe
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.point import Point
from autosearch.study.study import Study
from autosearch.text import number, write_text
from autosearch.visualization.figures import (
    acts,
    front_figure,
    head_gains,
    heads_figure,
    recipe_figure,
    save_figure,
)
from autosearch.visualization.sample_grids import compared_plans, sample_count, save_samples

__all__ = ["plan_figure", "study_problem", "write_artifacts"]


def study_problem(directory: Path, study: Study) -> Problem:
    """The problem of a study.

    Args:
        directory: of the study.
        study: the study.
    """
    return Problem.of(study.experiment)


def write_artifacts(directory: Path, problem: Problem, study: Study, front: Front) -> list[Path]:
    """Write ``front.json``, ``front.txt`` and, once something is on the front, ``front.png``.

    Where heads were selected, ``heads.png`` too; where the knee's recipe leaves something out, a
    picture of what, ``recipe.png``.

    Also the knee's recipe as ``recipe.json`` and ``samples.png``: its samples beside those of
    ``ddim`` at the same number of steps, from the same noise.

    Args:
        directory: of the study.
        problem: the study's, which holds the model.
        study: the study.
        front: its front.

    Returns:
        The files, in the order in which they were written.

    Raises:
        UserError: when the directory cannot be written.
    """
    written = [directory / "front.json", directory / "front.txt"]
    write_text(written[0], json.dumps(front.to_dict(), indent=1, allow_nan=False) + "\n")
    write_text(written[1], front_text(front))
    knee = front.knee
    if knee is None:
        return written
    written += [directory / "front.png", directory / "recipe.json", directory / "samples.png"]
    save_figure(front_figure(front), written[2])
    write_recipe(knee.recipe, written[3])
    compared = compared_plans(problem, study, front, knee)[:2]
    save_samples(
        problem.model,
        dict(compared),
        written[4],
        count=sample_count(problem.denoiser.sample_shape),
        seed=problem.experiment.seed,
        artifact_store=ArtifactStore([directory / FOLDER]),
    )
    _, plan = compared[0]
    if acts(plan):
        written.append(directory / "recipe.png")
        save_figure(plan_figure(problem, plan, front, knee), written[-1])
    gains = head_gains(study)
    if gains is not None:
        written.append(directory / "heads.png")
        save_figure(heads_figure(gains), written[-1])
    return written


def plan_figure(problem: Problem, plan: Plan, front: Front, point: Point) -> Any:
    """The picture of a point's plan: what is left out, and what for."""
    counts = evaluations(plan.steps)
    whole = sum(n * len(step.branches) for n, step in zip(counts, plan.steps, strict=True))
    most = "at most " if plan.gated else ""
    quality = front.quality.name
    title = (
        f"{point.name}: {quality} {number(point.value(quality))}, {most}"
        f"{plan.forward_equivalents:.3g} of {whole} forward equivalents"
    )
    return recipe_figure(point.recipe, plan, problem.denoiser.sites, title=title)
