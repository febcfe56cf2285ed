"""What a report says first: how much was found, how sure it is, which points to look at."""

from collections.abc import Sequence

from autosearch.study.front import Front
from autosearch.study.hypervolume import UPPER
from autosearch.study.pick import Choice, Speed
from autosearch.study.point import Point
from autosearch.study.study import Study
from autosearch.text import amount, amount_with_error

__all__ = ["choices", "headline"]


def choices(front: Front, picks: Sequence[Choice]) -> list[tuple[str, Point]]:
    """The knee, the fastest and the best point, then what the user picked; each point once."""
    if front.knee is None:
        return []
    quality, cost = front.quality, front.cost
    reasons = [("knee", front.knee)]
    if cost is not None:
        reasons.append((f"least {cost.name}", front.front[0]))
    best = min(front.front, key=lambda p: (quality.signed(p.value(quality.name)), p.id))
    reasons.append((f"best {quality.name}", best))
    reasons += [("picked", pick.point) for pick in picks]
    merged: dict[int, tuple[list[str], Point]] = {}
    for why, point in reasons:
        merged.setdefault(point.id, ([], point))[0].append(why)
    return [(", ".join(dict.fromkeys(whys)), point) for whys, point in merged.values()]


def headline(
    front: Front,
    study: Study,
    chosen: Sequence[tuple[str, Point]],
    speed: Speed | None,
) -> list[str]:
    """The sentences with which a report begins, such as how many recipes are on the front."""
    names = ", ".join(axis.name for axis in front.axes)
    if not front.front:
        return ["Nothing is on the front yet: no candidate has a result."]
    count = len(front.front)
    named = sum(point.baseline is not None for point in front.front)
    words = f"{named} named baseline{'s' if named > 1 else ''}"
    origin = {0: "all found by the search", count: "all of them named baselines"}.get(
        named, f"{count - named} of them found by the search, {words}"
    )
    lines = [f"{count} recipes on the front of {names}, {origin}."]
    if front.validated_on is not None:
        _, fresh = front.validated_on
        lost = sum(p.overtaken_by is not None for p in front.overtaken)
        lines.append(
            f"Measured again on {fresh:,} fresh samples; {lost} points that the search would have "
            "shown were overtaken there."
        )
    else:
        lines.append("Not validated yet: the values are the search's, and flatter the winners.")
    if chosen:
        lines.append(_knee(front, chosen[0][1], speed))
    if front.folded:
        below = ", ".join(front.folded_below)
        lines.append(f"{len(front.folded)} more, worse than {below}, are not shown.")
    volume = front.hypervolume
    if volume["search"] is not None:
        text = f"Hypervolume {volume['search']:.4f} by search values, {UPPER}"
        if volume["validated"] is not None:
            text += f", {volume['validated']:.4f} by validated ones"
        lines.append(
            f"{text} (from 0 to 1, the reference's quality at the least cost of a baseline)."
        )
    return lines


def _knee(front: Front, point: Point, speed: Speed | None) -> str:
    quality, cost = front.quality, front.cost
    value = amount_with_error(point.value(quality.name), point.half_width(quality.name))
    text = f"Knee: {point.name}, {quality.name} {value}"
    if cost is not None and cost != quality:
        text += f" at {cost.name} {amount(point.value(cost.name))}"
    theirs = front.rival(point)
    if theirs is not None:
        other = amount_with_error(theirs.value(quality.name), theirs.half_width(quality.name))
        text += f"; the best baseline at that cost, {theirs.name}, has {other}"
    if speed is not None and speed.base.id != point.id:
        text += f". It is {speed.text(point)}"
    return f"{text}."
