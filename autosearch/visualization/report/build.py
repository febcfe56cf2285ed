"""A study as one HTML page that needs nothing else."""

import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autosearch import __version__
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.pick import choose
from autosearch.study.point import Point
from autosearch.study.progress import unfinished
from autosearch.study.study import Study
from autosearch.text import for_people, write_text
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
from autosearch.visualization.report.recipes import Card, recipe_cards
from autosearch.visualization.report.samples import sample_rows
from autosearch.visualization.sample_grids import sample_count
from autosearch.visualization.study_outputs import study_problem

__all__ = ["report_html", "write_report"]

Drawn = TypeVar("Drawn")


def write_report(
    directory: Path,
    path: Path,
    *,
    picks: Sequence[str] = (),
    samples: int | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
) -> list[str]:
    """Write a study's report; returns what it had to leave out, one line each.

    Args:
        directory: of the study.
        path: where the page goes.
        picks: further points with samples and an open recipe, as ``--pick`` names them.
        samples: in each picture; None for as many as suit the model, 0 for no pictures. Without
            them the model is not needed.
        overrides: ``key=value`` changes to the study's experiment, such as where its model lies.
        trust: whether paths in its journal are obeyed.

    Raises:
        UserError: when the directory holds no study, a choice names no point or the place cannot
            be written.
    """
    text, missing = report_html(
        directory, picks=picks, samples=samples, overrides=overrides, trust=trust
    )
    write_text(path, text)
    return missing


def report_html(
    directory: Path,
    *,
    picks: Sequence[str] = (),
    samples: int | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
) -> tuple[str, list[str]]:
    """The page, and what is missing on it; see :func:`write_report`."""
    study = Study.read(directory)
    front = Front.of(study)
    chosen = choices(front, [choose(front, choice) for choice in picks])
    problem, missing = None, list[str]()
    if samples != 0:
        try:
            problem = study_problem(directory, study, overrides, trust=trust)
        except UserError as error:
            missing.append(f"no samples, costs and sites of recipes: {error}")
    rows = []
    if problem is not None and front.front:
        count = samples or sample_count(problem.denoiser.sample_shape)
        try:
            store = ArtifactStore([directory / FOLDER])
            rows = sample_rows(problem, study, front, chosen, count=count, artifact_store=store)
        except UserError as error:
            missing.append(f"no pictures of samples: {error}")
    cards = _drawn(lambda: recipe_cards(front, problem, chosen), missing) or []
    pictures = {
        "charts": _drawn(lambda: front_pictures(front), missing) or {},
        "heads": _drawn(lambda: heads_picture(study), missing),
        "growth": _drawn(lambda: growth_picture(study), missing),
    }
    context = {**_context(directory, study, front, chosen, cards), **pictures, "samples": rows}
    return _page(context | {"missing": missing}), missing


def _drawn(draw: Callable[[], Drawn], missing: list[str]) -> Drawn | None:
    """A picture; None where it cannot be drawn, which is missing then, once."""
    try:
        return draw()
    except UserError as error:
        if str(error) not in missing:
            missing.append(str(error))
        return None


def _context(
    directory: Path,
    study: Study,
    front: Front,
    chosen: Sequence[tuple[str, Point]],
    cards: Sequence[Card],
) -> dict[str, Any]:
    """Everything that the page shows, pictures of the whole study and samples excepted."""
    speed = choose(front, "knee").speed if front.front else None
    drawn = [card.id for card in cards]
    ids = {point.id for point in front.points}
    others = [point for point in front.ordered(front.baselines) if point.id not in ids]
    environment_title, environment = environment_rows(study)
    return {
        "title": front.title,
        "objectives": [axis.label for axis in front.axes],
        "headline": headline(front, study, chosen, speed),
        "todo": unfinished(study),
        "three": len(front.axes) > 2,
        "front": point_table(front, front.front, speed, drawn=drawn),
        "overtaken": point_table(front, front.overtaken, speed),
        "baselines": point_table(front, others, speed),
        "more": more_table(front, front.front),
        "cards": cards,
        "undrawn": len(front.front) - len(cards),
        "left_out": front.hypervolume_left_out,
        "costs": cost_rows(front, study),
        "phases": phase_rows(study),
        "seeds": seed_rows(front, study),
        "environment_title": environment_title,
        "environment": environment,
        "repeat": repeat(study),
        "directory": for_people(shlex.quote(str(directory))),
        "version": __version__,
    }


def _shown(value: Any) -> Any:
    """A value as the page shows it: text that is no markup of ours without control characters."""
    return for_people(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _page(context: dict[str, Any]) -> str:
    folder = files("autosearch.visualization.report")
    style = (folder / "style.css").read_text(encoding="utf-8")
    template = (folder / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.from_string(template).render(**context, style=Markup(style)) + "\n"
