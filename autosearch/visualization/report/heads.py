"""The picture of attention heads, where a study selected some."""

import base64
import io

from autosearch.study.study import Study
from autosearch.visualization.figures import head_gains, heads_figure
from autosearch.visualization.report.samples import Figure

__all__ = ["heads_picture"]


def heads_picture(study: Study) -> Figure | None:
    """Layers by heads, coloured by how much each helps; None where no head was tried."""
    gains = head_gains(study)
    if gains is None:
        return None
    figure = heads_figure(gains)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    chosen = ", ".join(sorted(gains.chosen)) or "none"
    alt = f"gain in {gains.objective} of each attention head, alone and added; chosen: {chosen}"
    caption = "Attention heads: framed ones are chosen, dotted gains are clear of 0."
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    return Figure(url, alt, caption, width, height)
