"""The picture of the hypervolume over a search."""

from markupsafe import Markup

from autosearch.study.hypervolume import volumes
from autosearch.study.study import Study
from autosearch.visualization.report.scale import Scale
from autosearch.visualization.report.svg import picture, tag

__all__ = ["growth_picture"]

_WIDTH, _HEIGHT = 460, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 42, 40


def growth_picture(study: Study) -> Markup | None:
    """A line from the first result to the last; None where the study has no hypervolume."""
    growth = volumes(study)
    if len(growth) < 2:
        return None
    most = growth[-1].candidates
    values = [entry.volume for entry in growth]
    room = 0.06 * ((max(values) - min(values)) or 1.0)
    xs = Scale("linear", 0, most, _LEFT, _WIDTH - _RIGHT, whole=True)
    ys = Scale("linear", min(values) - room, max(values) + room, _HEIGHT - _BOTTOM, _TOP)
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for place, text in ys.ticks(5):
        parts.append(tag("line", x1=_LEFT, x2=right, y1=place, y2=place, class_="grid"))
        parts.append(tag("text", text, x=_LEFT - 6, y=place + 4, class_="tick end"))
    for place, text in xs.ticks(6):
        parts.append(tag("text", text, x=place, y=bottom + 16, class_="tick middle"))
    baselines = sum(c.kind == "baseline" for c in study.candidates.values())
    if 0 < baselines < most:
        place = xs.at(baselines)
        parts.append(tag("line", x1=place, x2=place, y1=_TOP, y2=bottom, class_="reference"))
        parts.append(tag("text", "search begins", x=place - 2, y=_TOP - 6, class_="tick"))
    path = f"M{xs.at(growth[0].candidates):.1f} {ys.at(growth[0].volume):.1f}" + "".join(
        f"H{xs.at(entry.candidates):.1f}V{ys.at(entry.volume):.1f}" for entry in growth[1:]
    )
    parts.append(tag("path", d=path, class_="steps"))
    parts.append(tag("text", "hypervolume of the search's values", x=4, y=13, class_="name"))
    parts.append(tag("text", "candidates with a result", x=right, y=_HEIGHT - 6, class_="name end"))
    label = (
        f"hypervolume over the search: from {values[0]:.4f} after {growth[0].candidates} "
        f"candidates to {values[-1]:.4f} after {most}"
    )
    return picture(parts, width=_WIDTH, height=_HEIGHT, label=label, class_="chart small")
