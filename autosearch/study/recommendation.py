"""Which settings for a target: the choice, its neighbours on the front and what to compare with."""

from dataclasses import dataclass
from typing import Any

from autosearch.recipe import Recipe
from autosearch.recipe.describe import step_table
from autosearch.study.front_view import FrontView, Point
from autosearch.study.pick import Speed, choose
from autosearch.text import align, with_error

__all__ = ["Recommendation", "recommend", "recommendation_data", "recommendation_text"]

_NOTE = "neighbours: the next points of the front by cost; baseline: the best at the nearest cost"


@dataclass(frozen=True)
class Recommendation:
    """What a choice comes to.

    Attributes:
        cheaper, dearer: the next points of the front by cost; None at its ends.
        baseline: the best baseline at the cost nearest to the point's; None without one.
        speed: what speed-ups are counted against; None where nothing stands for time.
    """

    choice: str
    point: Point
    cheaper: Point | None
    dearer: Point | None
    baseline: Point | None
    speed: Speed | None

    @property
    def rows(self) -> list[tuple[str, Point]]:
        """Role and point of each line, in the order of reading."""
        base = self.speed.base if self.speed is not None else None
        rows = [
            ("next cheaper", self.cheaper),
            ("the choice", self.point),
            ("next dearer", self.dearer),
            ("baseline", self.baseline),
            ("compared with", base),
        ]
        return [(role, point) for role, point in rows if point is not None]


def recommend(view: FrontView, choice: str) -> Recommendation:
    """The point that a choice names (see :func:`autosearch.study.pick.picked`) among its likes.

    Raises:
        UserError: when nothing answers to the choice.
    """
    found = choose(view, choice)
    at = view.front.index(found.point)
    rivals = view.same_cost(found.point)
    return Recommendation(
        choice,
        found.point,
        view.front[at - 1] if at else None,
        view.front[at + 1] if at + 1 < len(view.front) else None,
        rivals[0] if rivals else None,
        found.speed,
    )


def recommendation_text(view: FrontView, found: Recommendation, *, directory: str) -> str:
    """For people: the points beside each other, the recipe's steps, the command to take it."""
    lines = [f"{view.table['study']}: {found.choice} is {found.point.name}"]
    if found.speed is not None:
        lines.append(f"{found.point.name} is {found.speed.text(found.point)}")
    if not view.validated:
        lines.append("not validated yet: values are the search's, and flatter the winners")
    recipe = Recipe.from_dict(found.point.recipe, where=f"candidate {found.point.id}")
    lines += ["", *align(_point_rows(view, found), _is_left), _NOTE]
    headings, rows = step_table(recipe)
    lines += ["", *align([headings, *rows], _is_left), ""]
    lines.append(f"take it: autosearch export {directory} --pick {found.point.id} -o recipe.json")
    return "\n".join(lines)


def recommendation_data(view: FrontView, found: Recommendation) -> dict[str, Any]:
    """The same as plain data: points as in ``front --json``, with their speed-up."""
    entries = {point["id"]: point for key in ("baselines", "points") for point in view.table[key]}
    speed = found.speed

    def entry(point: Point | None) -> dict[str, Any] | None:
        if point is None:
            return None
        speedup = None if speed is None else speed.of(point)
        return {**entries[point.id], "speedup": speedup}

    return {
        "study": view.table["study"],
        "pick": found.choice,
        "point": entry(found.point),
        "neighbours": {"cheaper": entry(found.cheaper), "dearer": entry(found.dearer)},
        "baseline": entry(found.baseline),
        "compared_with": None
        if speed is None
        else {"baseline": speed.base.name, "objective": speed.axis.name},
    }


def _point_rows(view: FrontView, found: Recommendation) -> list[list[str]]:
    headings = ["", "recipe", "steps", *(axis.name for axis in view.axes)]
    if found.speed is not None:
        headings.append("speed-up")
    rows = [headings]
    for role, point in found.rows:
        cells = [role, point.name, str(point.steps)]
        cells += [with_error(point.value(a.name), point.half_width(a.name)) for a in view.axes]
        if found.speed is not None:
            cells.append(f"{found.speed.of(point):.2f}x")
        rows.append(cells)
    return rows


def _is_left(column: int, cell: str) -> bool:
    return column < 2
