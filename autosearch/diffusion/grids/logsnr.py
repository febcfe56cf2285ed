"""Even steps of the half log-SNR."""

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_log_snrs, finite_ends
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Even half log-SNRs, the last of K + 1 left out."""
    return at_log_snrs(schedule, np.linspace(*finite_ends(schedule), steps + 1)[:-1].tolist())


GRIDS = (
    Grid(
        "logsnr",
        "even steps of log-SNR, the least level left out",
        ("vp", "edm", "flow"),
        _points,
        "Lu et al. 2022 (DPM-Solver)",
        usual=True,
    ),
)
