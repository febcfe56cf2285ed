"""What a form is: a family of solver steps, from a recipe's words to the next state.

A form is one file here and one line in the list of the package. Recipes refuse what it cannot do,
the compiler asks it what a step comes to with the evaluations so far, the sampler takes the step,
and spaces, exports and descriptions read its attributes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.update import (
    FIRST_ORDER,
    Corrector,
    Evaluation,
    Integrand,
    Interval,
    Points,
    Update,
)

__all__ = ["HIGHEST_ORDER", "Choice", "Form", "Operands", "Stepped", "other_points"]

HIGHEST_ORDER = 4
# Up to this half log-SNR a state counts as pure noise: sigma/alpha, with which steps of noise
# prediction magnify, is 60,000 and more, and single precision has nothing left.
_PURE_NOISE = -11.0


@dataclass(frozen=True)
class Choice:
    """What a step, or its corrector, asks of a form.

    Attributes:
        order: of the step.
        prediction: what it says to integrate.
        start: which evaluation's point it starts from, -1 the newest; None where it does not say.
        points: for each derivative, the evaluations besides the start's own; None for the nearest.
        relaxation: kind and coefficient of a factor on the first derivative.
        weights: that the recipe gives, of form ``linear``.
    """

    order: int
    prediction: Integrand
    start: int | None = None
    points: Sequence[Sequence[int]] | None = None
    relaxation: tuple[str, float] | None = None
    weights: Sequence[float] | None = None

    @property
    def begins(self) -> int:
        """The evaluation whose point the step starts from; the newest by default."""
        return -1 if self.start is None else self.start


@dataclass(frozen=True)
class Operands:
    """What a step is computed from.

    Attributes:
        interval: from the start point to the end of the step.
        points: the evaluations that the update uses, by their index; tensors [N, *sample_shape].
        schedule: of the model.
        eta: how stochastic, 0 to 1.
        noise: [N, *sample_shape] unit noise of a stochastic step.
        measured: what the form's artifact holds, where it has one.
    """

    interval: Interval
    points: Mapping[int, Evaluation]
    schedule: NoiseSchedule
    eta: float = 0.0
    noise: Tensor | None = None
    measured: object = None


class Stepped(NamedTuple):
    """The new state [N, *sample_shape], and how much of the start's predicted noise is in it."""

    x: Tensor
    kept: float


class Form(ABC):
    """A family of solver steps.

    Attributes:
        name: what recipes call it.
        summary: one line for lists.
        highest: the largest order; all have order 1.
        predictions: what it integrates, where a step may choose; the first stands for the others.
        restarts: whether it may start again from earlier states.
        stochastic: whether steps may add noise: all of them, those of order 1, or none.
        relaxed: whether it takes a relaxation of the step's.
        weighted: whether the recipe gives its weights.
        corrector: the form of its corrector where a step names none: this ``form`` itself, the
            expansion (``taylor``), a second look of its ``own``, or ``none``.
        renoises: whether the noise that stays in the state can be another branch's (CFG++).
        plain: whether it is DDIM at order 1.
        usual: whether a solver space has it unless told otherwise.
        published: whether samplers elsewhere have it, which a list of sigmas may go with.
        pure_noise: whether it looks back at pure noise.
        exact_noise: whether its coefficients take pure noise as it is, and not a finite level.
        artifact: the name under which recipes keep what has to be measured for it.
        needs: what that is, for messages.
        measured_by: how it is measured, for messages.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    highest: ClassVar[int] = HIGHEST_ORDER
    predictions: ClassVar[tuple[Integrand, ...]] = ("data", "noise")
    restarts: ClassVar[bool] = True
    stochastic: ClassVar[Literal["all", "first", "none"]] = "all"
    relaxed: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    corrector: ClassVar[Literal["form", "taylor", "own", "none"]] = "form"
    renoises: ClassVar[bool] = True
    plain: ClassVar[bool] = True
    usual: ClassVar[bool] = False
    published: ClassVar[bool] = True
    pure_noise: ClassVar[bool] = True
    exact_noise: ClassVar[bool] = False
    artifact: ClassVar[str | None] = None
    needs: ClassVar[str] = ""
    measured_by: ClassVar[str] = ""

    @property
    def corrects(self) -> bool:
        """Whether correctors may name it."""
        return self.corrector == "form"

    def prediction(self, choice: Choice) -> Integrand:
        """What is integrated; what the form cannot, its own takes the place of."""
        own = self.predictions
        return choice.prediction if choice.prediction in own else own[0]

    def is_stochastic(self, order: int) -> bool:
        """Whether steps of an order may add noise."""
        return self.stochastic == "all" or (self.stochastic == "first" and order == 1)

    def check_order(self, order: int) -> None:
        """Refuse orders that it lacks.

        Raises:
            ValueError: saying which ones it has.
        """
        if order > self.highest:
            orders = "order 1" if self.highest == 1 else f"orders 1 to {self.highest}"
            more = f"; use form 'taylor' for order {order}" if self.name != "taylor" else ""
            raise ValueError(f"form {self.name!r} has {orders}{more}")

    def check_relaxed(self) -> None:
        """Refuse a relaxation where the form takes none.

        Raises:
            ValueError: saying which form does.
        """
        if not self.relaxed:
            raise ValueError(
                f"form {self.name!r} has its own relaxation or none; use form 'taylor'"
            )

    def check(self, choice: Choice, *, eta: float, corrected: bool, renoised: bool) -> None:
        """Refuse what the form cannot do, whatever came before the step.

        Args:
            choice: the step's.
            eta: how stochastic it is.
            corrected: whether it has a corrector.
            renoised: whether noise of another branch stays in the state (CFG++).

        Raises:
            ValueError: saying what to do instead.
        """
        self.check_order(choice.order)
        if choice.prediction == "velocity" and "velocity" not in self.predictions:
            raise ValueError(
                f"form {self.name!r} does not integrate the velocity; use form 'velocity'"
            )
        if choice.relaxation is not None:
            self.check_relaxed()
        if (choice.weights is not None) != self.weighted:
            raise ValueError("'weights' and form 'linear' go together; give both or neither")
        if eta > 0 and not self.is_stochastic(choice.order):
            raise ValueError(f"form {self.name!r} has no stochastic version; set eta to 0")
        if choice.begins != -1 and not self.restarts:
            raise ValueError(
                f"form {self.name!r} goes on from the newest state; leave start_point out"
            )
        if corrected and self.corrector == "none":
            raise ValueError(f"form {self.name!r} has no corrector; leave it out")
        if renoised and not self.renoises:
            raise ValueError(f"form {self.name!r} does not renoise; use rule 'cfg'")

    def resolve(
        self,
        choice: Choice,
        history: Mapping[int, float],
        end: float,
        decisive: Collection[int] = (),
    ) -> Update:
        """The canonical form of what can be done with the evaluations so far.

        Args:
            choice: what is asked for.
            history: half log-SNR of each evaluation, by its index; 0 is the step's own end.
            end: half log-SNR at the end of the step; may be infinite.
            decisive: the start points from which the prediction decides even at order 1.

        Raises:
            ValueError: for what does not fit the history.
        """
        if math.isinf(end):
            return FIRST_ORDER
        before = {index for index, value in history.items() if value < end}
        known = history
        if not self.pure_noise:
            known = {index: value for index, value in history.items() if value > _PURE_NOISE}
        for start in (choice.begins, -1):
            if start in known and start in before:
                update = self.from_start(choice, known, start, decisive)
                if known[start] > _PURE_NOISE or self.is_bounded(update):
                    return update
        return Update(start=choice.begins) if choice.begins in before else FIRST_ORDER

    def from_start(
        self, choice: Choice, history: Mapping[int, float], start: int, decisive: Collection[int]
    ) -> Update:
        """The update from one of the evaluations' points; see :meth:`resolve`."""
        points = self.choose_points(choice, history, start)
        if points:
            return self.above_first(choice, points, start)
        prediction = self.prediction(choice)
        if start not in decisive or prediction == "data":
            return Update(start=start)
        return self.first(prediction, start)

    def first(self, prediction: Integrand, start: int) -> Update:
        """A step of order 1 where the prediction decides."""
        return Update(prediction=prediction, start=start)

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        """The update of order 2 and more through some points."""
        return Update(len(points) + 1, self.prediction(choice), self.name, start, points)

    def choose_points(self, choice: Choice, history: Mapping[int, float], start: int) -> Points:
        """For each derivative the points that estimate it; as many derivatives as can be."""
        others = other_points(history, start)
        nearest = sorted(i for i in others if i > start) + sorted(
            (i for i in others if i < start), reverse=True
        )
        if 0 in others:  # a corrector's new evaluation comes first
            nearest = [0] + [i for i in nearest if i != 0]
        order = min(choice.order, len(nearest) + 1)
        given = choice.points or ()
        points: list[tuple[int, ...]] = []
        for i in range(1, order):
            explicit = given[i - 1] if i <= len(given) else nearest[: order - 1]
            chosen = tuple(sorted(set(explicit) & others))
            if len(chosen) < i:
                break
            points.append(chosen)
        return tuple(points)

    def is_bounded(self, update: Update) -> bool:
        """Whether the coefficients stay bounded as the start goes to pure noise."""
        return False

    def takes_pure_noise(self, update: Update) -> bool:
        """Whether the coefficients of an update take pure noise as it is, not a finite level."""
        return self.exact_noise

    def second_look(self, kind: Literal["pseudo", "implicit"], update: Update) -> Corrector | None:
        """The corrector after an update, of a form that has its ``own``."""
        raise NotImplementedError(self.name)

    @abstractmethod
    def step(self, update: Update, operands: Operands) -> Stepped:
        """Where the state goes.

        Args:
            update: what :meth:`resolve` gave.
            operands: with all evaluations that it uses.
        """


def other_points(history: Mapping[int, float], start: int) -> set[int]:
    """The evaluations besides the start's own, one for each level: the newest."""
    levels, kept = {history[start]}, set()
    for index in sorted(history, reverse=True):
        if index != start and history[index] not in levels:
            levels.add(history[index])
            kept.add(index)
    return kept
