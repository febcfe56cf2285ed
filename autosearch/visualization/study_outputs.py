"""What a study leaves beside its journal, all of it derived and made anew each time."""

import contextlib
import json
from pathlib import Path

from autosearch.baselines import baseline
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.export.recipe_json import write_recipe
from autosearch.study.front import front_table
from autosearch.study.front_text import front_text
from autosearch.study.front_view import FrontView, Point
from autosearch.study.pick import knee
from autosearch.study.study import Study
from autosearch.text import number, write_text
from autosearch.visualization.figures import acts, head_gains, plot_front, plot_heads, plot_recipe
from autosearch.visualization.sample_grids import sample_count, save_samples

__all__ = ["draw_recipe", "study_problem", "write_artifacts"]

# What the picture of samples puts beside the knee, at the same number of steps.
_UNIFORM = "ddim"


def study_problem(directory: Path, study: Study | None = None) -> Problem:
    """The problem of a study.

    Args:
        directory: of the study.
        study: the study, where it was read already.
    """
    return Problem.of((Study.read(directory) if study is None else study).experiment)


def write_artifacts(directory: Path, problem: Problem) -> list[Path]:
    """Write ``front.json``, ``front.txt`` and, once something is on the front, ``front.png``.

    Where heads were selected, ``heads.png`` too; where the knee's recipe leaves something out, a
    picture of what, ``recipe.png``.

    Also the knee's recipe as ``recipe.json`` and ``samples.png``: its samples beside those of
    ``ddim`` at the same number of steps, from the same noise.

    Args:
        directory: of a study.
        problem: the study's, which holds the model.

    Returns:
        The files, in the order in which they were written.

    Raises:
        UserError: when the directory holds no study or cannot be written.
    """
    study = Study.read(directory)
    table = front_table(study)
    view = FrontView(table)
    written = [directory / "front.json", directory / "front.txt"]
    write_text(written[0], json.dumps(table, indent=1, allow_nan=False) + "\n")
    write_text(written[1], front_text(table))
    if not view.front:
        return written
    written += [directory / "front.png", directory / "recipe.json", directory / "samples.png"]
    plot_front(table, written[2])
    chosen = knee(view)
    recipe = chosen.to_recipe()
    write_recipe(recipe, written[3])
    plans = _compared(problem, study, chosen, problem.compile(recipe), quality=view.quality.name)
    seed = problem.experiment.seed
    count = sample_count(problem.denoiser.sample_shape)
    store = ArtifactStore([directory / FOLDER])
    save_samples(problem.model, plans, written[4], count=count, seed=seed, artifact_store=store)
    plan = next(iter(plans.values()))
    if acts(plan):
        written.append(directory / "recipe.png")
        draw_recipe(problem, plan, chosen, written[-1], quality=view.quality.name)
    gains = head_gains(study)
    if gains is not None:
        written.append(directory / "heads.png")
        plot_heads(gains, written[-1])
    return written


def draw_recipe(problem: Problem, plan: Plan, chosen: Point, path: Path, *, quality: str) -> None:
    """Write the picture of a point's plan: what is left out, and what for."""
    counts = evaluations(plan.steps)
    whole = sum(n * len(step.branches) for n, step in zip(counts, plan.steps, strict=True))
    most = "at most " if plan.gated else ""
    title = (
        f"{chosen.name}: {quality} {number(chosen.value(quality))}, {most}"
        f"{plan.forward_equivalents:.3g} of {whole} forward equivalents"
    )
    plot_recipe(chosen.to_recipe(), plan, problem.denoiser.sites, path, title=title)


def _compared(
    problem: Problem, study: Study, chosen: Point, plan: Plan, *, quality: str
) -> dict[str, Plan]:
    """The knee's plan and the uniform schedule's by their titles, with what is known of both."""
    title = f"{chosen.name}, {chosen.steps} steps, {quality} {number(chosen.value(quality))}"
    plans = {title: plan}
    name = f"{_UNIFORM}@{chosen.steps}"
    if chosen.baseline != name:
        # The grid may lack this number of steps.
        with contextlib.suppress(UserError):
            uniform = problem.compile(baseline(name, problem.denoiser))
            plans[f"{name}, {chosen.steps} steps{_quality_text(study, name, quality)}"] = uniform
    return plans


def _quality_text(study: Study, name: str, quality: str) -> str:
    """The quality of a baseline, validated or else as searched, for a title."""
    for candidate in study.feasible:
        if candidate.name == name:
            validated = study.validated(candidate)
            values = validated or candidate.values
            return f", {quality} {number(values[quality].value)}" + (
                "" if validated else " (search)"
            )
    return ""
