"""Where a recipe ends, and where a fine trajectory does from the same noise."""

import numpy as np
import torch
from numpy.typing import NDArray

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import fine_states
from autosearch.baselines.fitted.log_snr_gaps import Gaps
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["Ends"]

Array = NDArray[np.float64]


class Ends:
    """A recipe's ends as a function of the gaps between its times.

    Args:
        samples: of which the fine trajectory is run.
        fine: its steps, about.

    Attributes:
        start: the recipe's own gaps [K].
        wanted: the fine trajectory's ends [samples, size].

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """

    def __init__(
        self, name: str, recipe: Recipe, calibrator: Calibrator, *, samples: int, fine: int
    ) -> None:
        if any(step.eta > 0 for step in recipe.steps):
            raise UserError(f"{name}: ends are compared without noise on the way; set eta to 0")
        if any(step.weights is not None for step in recipe.steps):
            raise UserError(
                f"{name}: the recipe's weights belong to its times; leave one of them out"
            )
        self._recipe = recipe
        self._lab = calibrator
        self._gaps = Gaps(calibrator.denoiser.schedule)
        first = recipe.steps[0].model_copy(
            update={"time": calibrator.denoiser.schedule.first, "log_snr": None}
        )
        whole = recipe.model_copy(update={"steps": [first, *recipe.steps[1:]]})
        self.wanted = _flat(fine_states(whole, calibrator, steps=fine, samples=samples)[-1])
        self.start = self._gaps.of([step.time for step in recipe.steps])

    def recipe(self, gaps: Array) -> Recipe:
        """The recipe with these gaps between its times."""
        return self._gaps.applied(self._recipe, gaps)

    def of(self, gaps: Array, samples: int) -> Array | None:
        """[samples, size]; None for gaps that times cannot have, being rounded."""
        try:
            return _flat(self._lab.states(self.recipe(gaps), samples)[-1].x)
        except UserError:
            return None


def _flat(x: torch.Tensor) -> Array:
    found: Array = x.double().flatten(1).cpu().numpy()
    return found
