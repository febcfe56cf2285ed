"""A study as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autosearch._version import __version__
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.study.front import front_table
from autosearch.study.front_view import FrontView, Point
from autosearch.study.pick import choose
from autosearch.study.progress import unfinished
from autosearch.study.study import Study
from autosearch.text import write_text
from autosearch.visualization.report.facts import (
    cost_rows,
    environment_rows,
    phase_rows,
    repeat,
    seed_rows,
)
from autosearch.visualization.report.headline import choices, headline
from autosearch.visualization.report.pictures import (
    front_pictures,
    growth_picture,
    heads_picture,
)
from autosearch.visualization.report.points import more_table, point_table
from autosearch.visualization.report.recipes import recipe_cards
from autosearch.visualization.report.samples import sample_rows
from autosearch.visualization.sample_grids import sample_count
from autosearch.visualization.study_outputs import study_problem

__all__ = ["Options", "report_html", "write_report"]


@dataclass(frozen=True)
class Options:
    """What a report shows besides what every report does.

    Attributes:
        picks: further points with samples and an open recipe, as ``--pick`` names them.
        samples: in each picture; None for as many as suit the model, 0 for no pictures. Without
            them the model is not needed.
    """

    picks: Sequence[str] = ()
    samples: int | None = None


def write_report(directory: Path, path: Path, options: Options) -> list[str]:
    """Write a study's report; returns what it had to leave out, one line each.

    Raises:
        UserError: when the directory holds no study, a choice names no point or the place cannot
            be written.
    """
    text, missing = report_html(directory, options)
    write_text(path, text)
    return missing


def report_html(directory: Path, options: Options) -> tuple[str, list[str]]:
    """The page, and what is missing on it."""
    study = Study.read(directory)
    table = front_table(study)
    view = FrontView(table)
    chosen = choices(view, [choose(view, choice) for choice in options.picks])
    problem, missing = _problem(directory, study, wanted=options.samples != 0)
    rows = []
    if problem is not None and view.front:
        count = options.samples or sample_count(problem.denoiser.sample_shape)
        try:
            store = ArtifactStore([directory / FOLDER])
            rows = sample_rows(problem, study, view, chosen, count=count, artifact_store=store)
        except UserError as error:
            missing.append(f"no pictures of samples: {error}")
    context = {**_context(directory, study, view, problem, chosen), "samples": rows}
    return _page(context | {"missing": missing}), missing


def _context(
    directory: Path,
    study: Study,
    view: FrontView,
    problem: Problem | None,
    chosen: Sequence[tuple[str, Point]],
) -> dict[str, Any]:
    """Everything that the page shows, samples excepted."""
    table = view.table
    speed = choose(view, "knee").speed if view.front else None
    cards = recipe_cards(view, problem, chosen)
    drawn = [card.id for card in cards]
    ids = {point.id for point in view.points}
    others = [point for point in view.ordered(view.baselines) if point.id not in ids]
    environment_title, environment = environment_rows(study)
    return {
        "title": _title(table),
        "objectives": [axis.label for axis in view.axes],
        "headline": headline(view, study, chosen, speed),
        "todo": unfinished(study),
        "view": view,
        "three": len(view.axes) > 2,
        "charts": front_pictures(view),
        "front": point_table(view, view.front, speed, drawn=drawn),
        "overtaken": point_table(view, view.overtaken, speed),
        "baselines": point_table(view, others, speed),
        "more": more_table(view, view.front),
        "cards": cards,
        "undrawn": len(view.front) - len(cards),
        "heads": heads_picture(study),
        "growth": growth_picture(study),
        "costs": cost_rows(table, study),
        "phases": phase_rows(study),
        "seeds": seed_rows(table, study),
        "environment_title": environment_title,
        "environment": environment,
        "repeat": repeat(study),
        "directory": str(directory),
        "version": __version__,
    }


def _title(table: Mapping[str, Any]) -> str:
    study, model = table["study"], table["model"]
    return str(study) if study == model else f"{study} on {model}"


def _problem(directory: Path, study: Study, *, wanted: bool) -> tuple[Problem | None, list[str]]:
    """The study's problem with its model, and what is missing without it."""
    if not wanted:
        return None, []
    try:
        return study_problem(directory, study), []
    except UserError as error:
        return None, [f"no samples, costs and sites of recipes: {error}"]


def _page(context: dict[str, Any]) -> str:
    folder = files("autosearch.visualization.report")
    style = (folder / "style.css").read_text(encoding="utf-8")
    template = (folder / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(**context, style=Markup(style)) + "\n"
