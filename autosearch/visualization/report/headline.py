"""What a report says first: how much was found, how sure it is, which points to look at."""

from collections.abc import Sequence

from autosearch.study.front_view import FrontView, Point
from autosearch.study.pick import Choice, Speed, knee
from autosearch.study.study import Study
from autosearch.text import amount, amount_with_error

__all__ = ["choices", "headline"]


def choices(view: FrontView, picks: Sequence[Choice]) -> list[tuple[str, Point]]:
    """The knee, the fastest and the best point, then what the user picked; each point once."""
    if not view.front:
        return []
    quality, cost = view.quality, view.cost
    found = [("knee", knee(view))]
    if cost is not None:
        found.append((f"least {cost.name}", view.front[0]))
    best = min(view.front, key=lambda p: (quality.signed(p.value(quality.name)), p.id))
    found.append((f"best {quality.name}", best))
    found += [("picked", pick.point) for pick in picks]
    merged: dict[int, tuple[list[str], Point]] = {}
    for why, point in found:
        merged.setdefault(point.id, ([], point))[0].append(why)
    return [(", ".join(dict.fromkeys(whys)), point) for whys, point in merged.values()]


def headline(
    view: FrontView,
    study: Study,
    chosen: Sequence[tuple[str, Point]],
    speed: Speed | None,
) -> list[str]:
    """A few sentences."""
    table = view.table
    names = ", ".join(axis.name for axis in view.axes)
    if not view.front:
        return ["Nothing is on the front yet: no candidate has a result."]
    count = len(view.front)
    named = sum(point.baseline is not None for point in view.front)
    made = {0: "all found by the search", count: "all of them named baselines"}.get(
        named, f"{count - named} of them found by the search, {named} named {_plural(named)}"
    )
    lines = [f"{count} recipes on the front of {names}, {made}."]
    if view.validated:
        fresh = table["samples"]["validated"]
        lost = sum(p.overtaken_by is not None for p in view.overtaken)
        lines.append(
            f"Measured again on {fresh:,} fresh samples; {lost} points that the search would have "
            "shown were overtaken there."
        )
    else:
        lines.append("Not validated yet: the values are the search's, and flatter the winners.")
    if chosen:
        lines.append(_knee(view, chosen[0][1], speed))
    volume = table["hypervolume"]
    if volume["search"] is not None:
        text = f"Hypervolume {volume['search']:.4f} by search values"
        if volume["validated"] is not None:
            text += f", {volume['validated']:.4f} by validated ones"
        lines.append(
            f"{text} (0 nothing, 1 the reference's quality at no cost; axes fixed before "
            "the search)."
        )
    return lines


def _plural(count: int) -> str:
    return "baseline" if count == 1 else "baselines"


def _knee(view: FrontView, point: Point, speed: Speed | None) -> str:
    quality, cost = view.quality, view.cost
    value = amount_with_error(point.value(quality.name), point.half_width(quality.name))
    text = f"Knee: {point.name}, {quality.name} {value}"
    if cost is not None and cost != quality:
        text += f" at {cost.name} {amount(point.value(cost.name))}"
    rivals = view.same_cost(point)
    if rivals:
        theirs = rivals[0]
        other = amount_with_error(theirs.value(quality.name), theirs.half_width(quality.name))
        text += f"; the best baseline at that cost, {theirs.name}, has {other}"
    if speed is not None and speed.base.id != point.id:
        text += f". It is {speed.text(point)}"
    return f"{text}."
