"""DPM-Solver and DPM-Solver++ as published and as everybody runs them (Lu et al. 2022a, 2022b)."""

from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.taylor import Taylor
from autosearch.diffusion.solvers.update import Points, Update

__all__ = ["DPMSolver"]

# From so far back a step of order 3 is the singlestep one.
_SINGLESTEP = -3


class DPMSolver(Taylor):
    """Order 2: the expansion relaxed by ``unipc_bh2``.

    Order 3, multistep: half the second derivative, which makes it of second order. Order 3 from 3
    points back or more (singlestep): one difference, between its ends.
    """

    name = "dpmsolver"
    summary = "DPM-Solver(++) as published; its third order has half the second derivative"
    highest = 3
    relaxed = False
    corrector = "taylor"

    def relaxation(self, choice: Choice, order: int) -> tuple[str, float] | None:
        return ("unipc_bh2", 0.0)

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        prediction = self.prediction(choice)
        if len(points) < 2:
            return super().above_first(choice, points, start)
        if start <= _SINGLESTEP and choice.points is None:
            return Update(2, prediction, Taylor.name, start, ((-1,),))
        return Update(len(points) + 1, prediction, self.name, start, points)

    def factors(self, update: Update, z: float) -> list[float]:
        factors = super().factors(update, z)
        if len(factors) > 1:
            factors[1] = 0.5
        return factors
