"""Which settings for a target: the choice, its neighbours on the front and what to compare with."""

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
        choice: as the user wrote it.
        point: the point of the front.
        cheaper: the next point of the front by cost; None at its end.
        dearer: the next one to the other side.
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


def recommend(front: Front, choice: str) -> Recommendation:
    """The point that a choice names (see :func:`autosearch.study.pick.choose`), and its neighbours.

    Raises:
        UserError: when nothing answers to the choice.
    """
    chosen = choose(front, choice)
    at = front.front.index(chosen.point)
    return Recommendation(
        choice,
        chosen.point,
        front.front[at - 1] if at else None,
        front.front[at + 1] if at + 1 < len(front.front) else None,
        front.rival(chosen.point),
        chosen.speed,
    )


def recommendation_text(front: Front, recommendation: Recommendation, *, directory: str) -> str:
    """A recommendation for people: points side by side, the recipe's steps, how to export it."""
    point, speed = recommendation.point, recommendation.speed
    lines = [f"{front.study}: {recommendation.choice} is {point.name}"]
    if speed is not None:
        lines.append(f"{point.name} is {speed.text(point)}")
    if front.validated_on is None:
        lines.append("not validated yet: values are the search's, and flatter the winners")
    headings, steps = step_table(point.recipe)
    lines += ["", *align(_point_rows(front, recommendation), _is_left), _NOTE]
    lines += ["", *align([headings, *steps], _is_left), ""]
    lines.append(f"take it: autosearch export {directory} --pick {point.id} -o recipe.json")
    return "\n".join(lines)


def recommendation_data(front: Front, recommendation: Recommendation) -> dict[str, Any]:
    """A recommendation as plain data: points as in ``front --json``, with their speed-up."""
    speed = recommendation.speed

    def entry(point: Point | None) -> dict[str, Any] | None:
        if point is None:
            return None
        speedup = None if speed is None else speed.of(point)
        return {**front.point_data(point), "speedup": speedup}

    return {
        "study": front.study,
        "pick": recommendation.choice,
        "point": entry(recommendation.point),
        "neighbours": {
            "cheaper": entry(recommendation.cheaper),
            "dearer": entry(recommendation.dearer),
        },
        "baseline": entry(recommendation.baseline),
        "compared_with": None
        if speed is None
        else {"baseline": speed.base.name, "objective": speed.axis.name},
    }


def _point_rows(front: Front, recommendation: Recommendation) -> list[list[str]]:
    headings = ["", "recipe", "steps", *(axis.name for axis in front.axes)]
    if recommendation.speed is not None:
        headings.append("speed-up")
    rows = [headings]
    for role, point in recommendation.rows:
        cells = [role, point.name, str(point.steps)]
        cells += [with_error(point.value(a.name), point.half_width(a.name)) for a in front.axes]
        if recommendation.speed is not None:
            cells.append(f"{recommendation.speed.of(point):.2f}x")
        rows.append(cells)
    return rows


def _is_left(column: int, cell: str) -> bool:
    return column < 2
