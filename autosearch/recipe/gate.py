"""A gate of a step, as recipes write it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autosearch.recipe.actions import SiteAction
from autosearch.recipe.schema import Strict

__all__ = ["Gate"]


class Gate(Strict):
    """Samples whose probe hardly changed do without what the gate covers; the others compute.

    Decided for each sample and branch by itself, once the probe is computed. See
    :class:`autosearch.diffusion.sites.branches.RowGate` for the two measures.

    Attributes:
        probe: the site that decides.
        threshold: a relative error of the probe below which a sample passes; 0 lets none pass.
        measure: ``forecast``, of the probe's output (CG-Taylor), or ``change``, of what it adds
            to its input (first-block cache).
        order: of the probe's forecast.
        covers: what samples that pass do at sites after the probe, as in a step's ``sites``.
    """

    probe: str
    threshold: Annotated[float, Field(ge=0)]
    measure: Literal["forecast", "change"] = "forecast"
    order: Annotated[int, Field(ge=0, le=4)] = 0
    covers: Annotated[dict[str, SiteAction], Field(min_length=1)]

    @model_validator(mode="after")
    def _order_of_forecasts(self) -> "Gate":
        if self.order and self.measure == "change":
            raise ValueError("'order' goes with measure 'forecast', not with 'change'")
        return self
