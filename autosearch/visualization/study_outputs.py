"""What a study leaves beside its journal, all of it derived and made anew each time."""

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.engine.problem import Problem
from autosearch.errors import UserError, located
from autosearch.export.recipe_json import write_recipe
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.point import Point
from autosearch.study.study import Study
from autosearch.study.trust import trusted_experiment
from autosearch.text import for_people, number, write_text
from autosearch.visualization.figures import (
    acts,
    front_figure,
    head_gains,
    heads_figure,
    recipe_figure,
    save_figure,
)
from autosearch.visualization.sample_grids import compared_plans, sample_count, save_samples

__all__ = [
    "draw_pictures",
    "plan_figure",
    "study_problem",
    "write_artifacts",
    "write_tables",
]

# What is made of a front, and goes with it.
_DERIVED = ("recipe.json", "front.png", "samples.png", "recipe.png", "heads.png")

_log = logging.getLogger(__name__)


def study_problem(
    directory: Path, study: Study, overrides: Sequence[str] = (), *, trust: bool = False
) -> Problem:
    """The problem of a study, without its loggers and its cluster's address.

    Args:
        directory: of the study.
        study: the study.
        overrides: ``key=value`` changes to its experiment.
        trust: whether paths, loggers and the address in its journal are obeyed.

    Raises:
        UserError: where its model lies in a place that only the journal names.
    """
    experiment = trusted_experiment(study, overrides, trust=trust, where=directory)
    with located(str(directory)):
        return Problem.of(experiment)


def write_tables(directory: Path, front: Front) -> list[Path]:
    """Write ``front.json``, ``front.txt`` and, once something is on the front, ``recipe.json``.

    That is the knee's recipe. What is derived of an earlier front goes.

    Args:
        directory: of the study.
        front: its front.

    Returns:
        The files, in the order in which they were written.

    Raises:
        UserError: when the directory cannot be written.
    """
    for name in _DERIVED:
        with contextlib.suppress(OSError):
            (directory / name).unlink()
    written = [directory / "front.json", directory / "front.txt"]
    write_text(written[0], json.dumps(front.to_dict(), indent=1, allow_nan=False) + "\n")
    write_text(written[1], for_people(front_text(front)))
    if front.knee is not None:
        written.append(directory / "recipe.json")
        write_recipe(front.knee.recipe, written[2])
    return written


def draw_pictures(directory: Path, problem: Problem, study: Study, front: Front) -> list[Path]:
    """Draw ``front.png`` and ``samples.png`` once something is on the front.

    The latter shows the knee's samples beside those of ``ddim`` at the same number of steps, from
    the same noise. Where the knee's recipe leaves something out, ``recipe.png`` shows what; where
    heads were selected, ``heads.png``. What cannot be drawn is left out with a warning.

    Args:
        directory: of the study.
        problem: the study's, which holds the model.
        study: the study.
        front: its front.

    Returns:
        The files, in the order in which they were written.
    """
    knee = front.knee
    if knee is None:
        return []
    plan = problem.compile(knee.recipe)
    pictures: dict[str, Callable[[Path], None]] = {
        "front.png": lambda path: save_figure(front_figure(front), path),
        "samples.png": lambda path: _save_knee(directory, problem, study, front, path),
    }
    if acts(plan):
        pictures["recipe.png"] = lambda path: save_figure(
            plan_figure(problem, plan, front, knee), path
        )
    gains = head_gains(study)
    if gains is not None:
        pictures["heads.png"] = lambda path: save_figure(heads_figure(gains), path)
    written = []
    for name, draw in pictures.items():
        try:
            draw(directory / name)
            written.append(directory / name)
        except UserError as error:
            _log.warning("%s: left out: %s", directory / name, error)
    return written


def write_artifacts(directory: Path, problem: Problem, study: Study, front: Front) -> list[Path]:
    """Write the tables and draw the pictures; see :func:`write_tables`, :func:`draw_pictures`."""
    return write_tables(directory, front) + draw_pictures(directory, problem, study, front)


def _save_knee(directory: Path, problem: Problem, study: Study, front: Front, path: Path) -> None:
    assert front.knee is not None
    save_samples(
        problem.model,
        dict(compared_plans(problem, study, front, front.knee)[:2]),
        path,
        count=sample_count(problem.denoiser.sample_shape),
        seed=problem.experiment.seed,
        artifact_store=ArtifactStore([directory / FOLDER]),
    )


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
