"""The recipe of each point of the front: drawn, in words, and as data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.recipe.describe import step_table, summary
from autosearch.study.front import Front
from autosearch.study.front_text import point_text
from autosearch.study.point import Point
from autosearch.visualization.figures import recipe_figure
from autosearch.visualization.figures.recipe import WORDS
from autosearch.visualization.report.inline import inline_svg

__all__ = ["Card", "recipe_cards"]

# Of all pictures of recipes; the rest of a large front is left to `autosearch plot --pick`.
_MOST_BYTES = 1_200_000
# What fits beside another, in inches.
_HALF = 5.75


@dataclass(frozen=True)
class Card:
    """What a report shows of one recipe.

    Attributes:
        why: what it was chosen for; empty for others, which are folded.
        broad: whether its picture takes the whole width of a page.
    """

    id: int
    name: str
    why: str
    values: str
    svg: Markup
    broad: bool
    headings: list[str]
    rows: list[list[str]]
    text: str


def recipe_cards(
    front: Front, problem: Problem | None, chosen: Sequence[tuple[str, Point]]
) -> list[Card]:
    """The chosen points first, then the others by cost, as far as the page's size allows."""
    reasons = {point.id: why for why, point in chosen}
    points = {point.id: point for point in [*(p for _, p in chosen), *front.front]}
    cards: list[Card] = []
    for point in points.values():
        cards.append(_card(front, problem, point, reasons.get(point.id, "")))
        if sum(len(card.svg) + len(card.text) for card in cards) > _MOST_BYTES:
            break
    return cards


def _card(front: Front, problem: Problem | None, point: Point, why: str) -> Card:
    recipe = point.recipe
    plan: Plan | None = None if problem is None else problem.compile(recipe)
    figure = recipe_figure(recipe, plan, problem.denoiser.sites if problem else ())
    name = f"recipe-{point.id}"
    headings, rows = step_table(recipe)
    return Card(
        id=point.id,
        name=point.name,
        why=why,
        values=point_text(front, point),
        svg=inline_svg(figure, name=name, label=summary(recipe), titles=WORDS),
        broad=figure.get_figwidth() > _HALF,
        headings=headings,
        rows=rows,
        text=json.dumps(recipe.to_dict()),
    )
