"""What a fit is, and how it changes the steps of a recipe."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from autosearch.baselines.base import Rule
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["Fit", "check_recipe", "with_steps"]


@dataclass(frozen=True)
class Fit(Rule):
    """A rule that changes a recipe after it measured the model.

    ``apply(recipe, calibrator, *values)`` returns the fitted recipe. It draws nothing but from the
    calibrator, so that equal seeds fit equal recipes.

    Attributes:
        forwards: ``forwards(recipe, denoiser, *values)`` is about how many forwards of one sample
            it takes, without guidance; for a dry run. None by default, as reading a file does.
        sites: whether the model must have blocks.
        shared: whether all names with the same settings share one artifact, measured once.
    """

    apply: Callable[..., Recipe]
    forwards: Callable[..., float] = lambda *_: 0.0
    sites: bool = False
    shared: bool = False


def check_recipe(
    recipe: Recipe,
    name: str,
    *,
    noisy: bool = True,
    weighted: bool = True,
    sparse: bool = True,
    twice: bool = True,
) -> None:
    """Refuse recipes that a fit is not for.

    Args:
        recipe: what is to be fitted.
        name: the fit's.
        noisy: whether steps may add noise.
        weighted: whether they may have weights, which belong to their times.
        sparse: whether they may leave sites out already.
        twice: whether steps may ask the network again at their end.

    Raises:
        UserError: saying what to leave out.
    """
    if not noisy and any(step.eta > 0 for step in recipe.steps):
        raise UserError(f"{name}: it is fitted without noise on the way; set eta to 0")
    if not weighted and any(step.weights is not None for step in recipe.steps):
        raise UserError(f"{name}: the recipe's weights belong to its times; leave one of them out")
    if not sparse and any(step.sites or step.gate for step in recipe.steps):
        raise UserError(f"{name}: the recipe leaves something out already; give one that computes")
    kinds = {getattr(step.corrector, "kind", step.corrector) for step in recipe.steps}
    if not twice and "implicit" in kinds:
        raise UserError(
            f"{name}: it is for solvers that ask the network once a step, and this recipe's "
            "implicit correctors ask again; fit another solver"
        )


def with_steps(recipe: Recipe, changes: Iterable[Mapping[str, object]], **fields: object) -> Recipe:
    """A copy of a recipe with changed steps.

    Args:
        recipe: stays as it is.
        changes: for each step the fields that are replaced.
        **fields: of the recipe itself, replaced as well.
    """
    steps = [
        step.model_copy(update=dict(change))
        for step, change in zip(recipe.steps, changes, strict=True)
    ]
    return recipe.model_copy(update={**fields, "steps": steps})
