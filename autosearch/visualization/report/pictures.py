"""The pictures of a whole study: its front, its hypervolume, its attention heads."""

from markupsafe import Markup

from autosearch.study.front import Front
from autosearch.study.front_text import point_text
from autosearch.study.hypervolume import UPPER, volumes
from autosearch.study.study import Study
from autosearch.visualization.figures import front_figure, growth_figure, head_gains, heads_figure
from autosearch.visualization.report.inline import inline_svg

__all__ = ["front_pictures", "growth_picture", "heads_picture"]


def front_pictures(front: Front) -> dict[str, Markup]:
    """The front for ``wide`` and for ``narrow`` pages; empty before anything has a result."""
    if not front.shown:
        return {}
    titles = {f"point-{p.id}": point_text(front, p) for p in front.shown}
    label = (
        f"{' against '.join(axis.name for axis in front.axes)}: {len(front.front)} points of the "
        f"front and {len(front.baselines)} baselines; every value stands in the tables below"
    )
    return {
        width: inline_svg(
            front_figure(front, narrow=width == "narrow", hover=True),
            name=f"front-{width}",
            label=label,
            titles=titles,
            fluid=True,
        )
        for width in ("wide", "narrow")
    }


def growth_picture(study: Study) -> Markup | None:
    """The hypervolume from the first result to the last; None where the study has none."""
    growth = volumes(study)
    if len(growth) < 2:
        return None
    first, last = growth[0], growth[-1]
    label = (
        f"hypervolume of search values, {UPPER}, over the search: from {first.volume:.4f} after "
        f"{first.candidates} candidates to {last.volume:.4f} after {last.candidates}"
    )
    baselines = sum(candidate.kind == "baseline" for candidate in study.candidates.values())
    return inline_svg(
        growth_figure(growth, baselines), name="growth", label=label, titles={}, fluid=True
    )


def heads_picture(study: Study) -> Markup | None:
    """Layers by heads, coloured by how much each helps; None where no head was tried."""
    gains = head_gains(study)
    if gains is None:
        return None
    chosen = ", ".join(sorted(gains.chosen)) or "none"
    label = f"gain in {gains.objective} of each attention head, alone and added; chosen: {chosen}"
    return inline_svg(heads_figure(gains), name="heads", label=label, titles={})
