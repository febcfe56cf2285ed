"""Which settings for a target: the choice, its neighbours on the front and what to compare with."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch.recipe.describe import step_table
from autosearch.study.front import Front
from autosearch.study.pick import Speed, choose
from autosearch.study.point import Point
from autosearch.text import align, with_error

__all__ = ["Recommendation", "recommend", "recommendation_data", "recommendation_text"]

_NOTE = "neighbours: the next points of the front by cost; baseline: the best at the nearest cost"


@dataclass(frozen=True)
class Recommendation:
    """The point that a choice names, and what to compare it with.

    Attributes:
        front: it is a point of.
        choice: as the user wrote it.
        point: the point.
        beside: its neighbours on the front by cost, ``cheaper`` and ``dearer``, and the best
            ``baseline`` at the nearest cost; None where there is none.
        speed: what speed-ups are counted against; None where nothing stands for time.
    """

    front: Front
    choice: str
    point: Point
    beside: Mapping[str, Point | None]
    speed: Speed | None


def recommend(front: Front, choice: str) -> Recommendation:
    """The point that a choice names (see :func:`autosearch.study.pick.choose`), and its neighbours.

    Raises:
        UserError: when nothing answers to the choice.
    """
    chosen = choose(front, choice)
    cheaper, _, dearer = _around(front.front, chosen.point)
    beside = {"cheaper": cheaper, "dearer": dearer, "baseline": front.rival(chosen.point)}
    return Recommendation(front, choice, chosen.point, beside, chosen.speed)


def recommendation_text(recommendation: Recommendation, *, directory: str) -> str:
    """A recommendation for people: points side by side, the recipe's steps, how to export it."""
    front, point, speed = recommendation.front, recommendation.point, recommendation.speed
    lines = [f"{front.study}: {recommendation.choice} is {point.name}"]
    if speed is not None:
        lines.append(f"{point.name} is {speed.text(point)}")
    if front.validated_on is None:
        lines.append("not validated yet: values are the search's, and flatter the winners")
    headings, steps = step_table(point.recipe)
    place = shlex.quote(directory)
    lines += ["", *align(_rows(recommendation), _is_left), _NOTE]
    lines += ["", *align([headings, *steps], _is_left), ""]
    lines.append(f"take it: autosearch export {place} --pick {point.id} -o recipe.json")
    return "\n".join(lines)


def recommendation_data(recommendation: Recommendation) -> dict[str, Any]:
    """A recommendation as plain data: points as in ``front --json``, with their speed-up."""
    front, speed = recommendation.front, recommendation.speed

    def entry(point: Point | None) -> dict[str, Any] | None:
        if point is None:
            return None
        return {**front.point_data(point), "speedup": None if speed is None else speed.of(point)}

    beside = {name: entry(point) for name, point in recommendation.beside.items()}
    against = {"baseline": speed.base.name, "objective": speed.axis.name} if speed else None
    return {
        "study": front.study,
        "pick": recommendation.choice,
        "point": entry(recommendation.point),
        "neighbours": {name: beside[name] for name in ("cheaper", "dearer")},
        "baseline": beside["baseline"],
        "compared_with": against,
    }


def _around(points: Sequence[Point], point: Point) -> Sequence[Point | None]:
    """A point between its neighbours, None beyond the ends."""
    at = points.index(point)
    return [None, *points, None][at : at + 3]


def _rows(recommendation: Recommendation) -> list[list[str]]:
    axes, speed, beside = recommendation.front.axes, recommendation.speed, recommendation.beside
    roles: dict[str, Point | None] = {
        "next cheaper": beside["cheaper"],
        "the choice": recommendation.point,
        "next dearer": beside["dearer"],
        "baseline": beside["baseline"],
        "compared with": speed.base if speed else None,
    }
    rows = [["", "recipe", "steps", *(axis.name for axis in axes), *["speed-up"] * bool(speed)]]
    for role, point in roles.items():
        if point is not None:
            values = [with_error(point.value(a.name), point.half_width(a.name)) for a in axes]
            faster = [f"{speed.of(point):.2f}x"] if speed else []
            rows.append([role, point.name, str(point.steps), *values, *faster])
    return rows


def _is_left(column: int, cell: str) -> bool:
    return column < 2
