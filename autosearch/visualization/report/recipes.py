"""The recipe of each point of the front: drawn, in words, and as data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.recipe import Recipe
from autosearch.recipe.describe import step_table
from autosearch.study.front_view import FrontView, Point
from autosearch.visualization.report.chart import hover
from autosearch.visualization.report.recipe_picture import KINDS, recipe_picture

__all__ = ["Card", "recipe_cards"]

# Of all pictures of recipes; the rest of a large front is left to `autosearch plot --pick`.
_MOST_BYTES = 1_200_000
# What fits beside another, in pixels.
_HALF = 548


@dataclass(frozen=True)
class Card:
    """One recipe.

    Attributes:
        why: what it was chosen for; empty for others, which are folded.
        broad: whether its picture takes the whole width of a page.
        kinds: class and words of each kind of cell in its picture.
    """

    id: int
    name: str
    why: str
    values: str
    svg: Markup
    broad: bool
    kinds: list[tuple[str, str]]
    headings: list[str]
    rows: list[list[str]]
    text: str


def recipe_cards(
    view: FrontView, problem: Problem | None, chosen: Sequence[tuple[str, Point]]
) -> list[Card]:
    """The chosen points first, then the others by cost, as far as the page's size allows."""
    reasons = {point.id: why for why, point in chosen}
    points = {point.id: point for point in [*(p for _, p in chosen), *view.front]}
    cards: list[Card] = []
    for point in points.values():
        cards.append(_card(view, problem, point, reasons.get(point.id, "")))
        if sum(len(card.svg) + len(card.text) for card in cards) > _MOST_BYTES:
            break
    return cards


def _card(view: FrontView, problem: Problem | None, point: Point, why: str) -> Card:
    recipe = Recipe.from_dict(point.recipe, where=f"candidate {point.id}")
    plan: Plan | None = None if problem is None else problem.compile(recipe)
    drawn = recipe_picture(recipe, plan, problem.denoiser.sites if problem else ())
    headings, rows = step_table(recipe)
    return Card(
        id=point.id,
        name=point.name,
        why=why,
        values=hover(view, point),
        svg=drawn.svg,
        broad=drawn.width > _HALF,
        kinds=[(kind, KINDS[kind]) for kind in drawn.kinds],
        headings=headings,
        rows=rows,
        text=json.dumps(recipe.to_dict()),
    )
