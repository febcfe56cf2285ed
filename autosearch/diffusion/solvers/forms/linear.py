"""Steps whose weights the recipe gives, whatever they come from (OLSS, NeuralSolver, fits).

Without a start point the step begins at the first state of all and weighs every evaluation so far:
``x' = w_0 x_1 + sum_j w_j f_j``. Every step of every linear solver can be written so (Bespoke
Non-Stationary solvers, Shaul et al. 2024, proposition 3.1). With one it begins at that state, -1
being the newest, and weighs as many of the newest evaluations as there are weights besides the
state's: a linear multistep method.
"""

from collections.abc import Collection, Mapping

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.forms.taylor import added_noise
from autosearch.diffusion.solvers.update import Interval, Update

__all__ = ["Linear"]


class Linear(CombinationForm):
    """Weights of a state, then of evaluations, oldest first; their sum is the next state."""

    name = "linear"
    summary = "weights given in the recipe, of a state and of evaluations"
    predictions = ("data", "noise", "velocity")
    weighted = True
    corrector = "taylor"
    renoises = False
    plain = False
    published = False
    exact_noise = True

    def check(self, choice: Choice, *, eta: float, corrected: bool, renoised: bool) -> None:
        super().check(choice, eta=eta, corrected=corrected, renoised=renoised)
        if choice.start is not None:
            return
        # All that came before is in the weights.
        if eta > 0:
            raise ValueError(
                "form 'linear' has no stochastic version from the first state; set eta to 0, or "
                "give a start_point"
            )
        if corrected:
            raise ValueError(
                "form 'linear' has no corrector from the first state; leave it out, or give a "
                "start_point"
            )

    def resolve(
        self,
        choice: Choice,
        history: Mapping[int, float],
        end: float,
        decisive: Collection[int] = (),
    ) -> Update:
        weights = tuple(choice.weights or ())
        known, evaluations = len(history), len(weights) - 1
        if choice.start is None and evaluations != known:
            raise ValueError(
                f"weights has {len(weights)} numbers; there are {known + 1} to weigh: the first "
                "state and every evaluation so far"
            )
        start = -known if choice.start is None else choice.start
        if not (1 <= evaluations <= known and -start <= evaluations):
            raise ValueError(
                f"weights has {len(weights)} numbers; from start_point {start} there are "
                f"{1 - start} to {known + 1} to weigh: the state there and the newest evaluations"
            )
        others = tuple(j for j in range(-evaluations, 0) if j != start)
        points = (others,) * (evaluations - 1)
        return Update(
            evaluations, choice.prediction, self.name, start, points, weights=tuple(weights)
        )

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        weights = dict(zip(update.used, update.weights[1:], strict=True))
        return Coefficients(update.weights[0], weights, added_noise(interval, eta))
