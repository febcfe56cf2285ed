"""Latency: predicted in a search, measured alone for what is reported."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autosearch._typing import Rows
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import mean_estimate

if TYPE_CHECKING:
    from autosearch.diffusion.plan.latency_table import LatencyTable
    from autosearch.diffusion.plan.plan import Plan
    from autosearch.diffusion.sites.sites import Site

__all__ = ["Latency"]


class Latency(Objective):
    """Seconds for one sample, in batches of one seed block.

    Evaluations of a search run beside each other, and their times say little. So a search goes by
    a prediction from a table that was measured alone at its start, and the points of the front are
    measured alone at its end.

    Args:
        table: of the model that is searched; without one nothing is predicted yet.
        sites: of that model.
    """

    name = "latency"
    summary = "seconds for one sample: predicted in the search, measured alone for the front"
    unit = "s"

    def __init__(self, table: "LatencyTable | None" = None, sites: "Sequence[Site]" = ()) -> None:
        self._table, self._sites = table, tuple(sites)

    @property
    def ready(self) -> bool:
        """Whether there is a table to predict from."""
        return self._table is not None

    def declared(self, plan: "Plan") -> float:
        """The seconds that the table predicts; a bound where gates decide.

        Raises:
            TypeError: before the table is known.
        """
        if self._table is None:
            raise TypeError("latency: nothing was measured yet to predict from")
        return self._table.seconds(plan, self._sites)

    def observed(self, plan: "Plan", rows: Rows, blocks: int) -> Estimate:
        """The mean of the timed seconds [runs], or the prediction."""
        if "latency" in rows:
            timed = np.asarray(rows["latency"], dtype=np.float64)
            return mean_estimate(timed, len(timed))
        if self._table is None or "macs" not in rows:
            return Estimate(self.declared(plan))
        macs = float(np.asarray(rows["macs"], dtype=np.float64).mean())
        return Estimate(self._table.seconds(plan, self._sites, macs))
