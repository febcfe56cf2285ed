"""Names with fits in them: ``SOLVER[-GRID][+POLICY...][+FIT...]@STEPS``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from autosearch.baselines import POLICIES, SOLVERS, baseline, split_name
from autosearch.baselines.fitted import FITS, Calibrator, Fit
from autosearch.baselines.fitted.recover import recovered_recipe
from autosearch.baselines.names import check_policies
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.recovery import WEIGHTS
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["FittedName", "Resolved", "check_name", "fit_forwards", "is_fitted", "resolve"]


class FittedName(NamedTuple):
    """A name in two parts: that of the unfitted recipe, and the fits with their values."""

    unfitted: str
    fits: tuple[tuple[Fit, tuple[Any, ...]], ...]

    @property
    def shared(self) -> tuple[tuple[Fit, tuple[Any, ...]], ...]:
        """The fits whose measurement all names with the same settings share."""
        return tuple((fit, values) for fit, values in self.fits if fit.shared)


@dataclass(frozen=True)
class Resolved:
    """A recipe that can be run as it is, and the forward equivalents that making it took."""

    recipe: Recipe
    forward_equivalents: float = 0.0


def check_name(name: str) -> FittedName:
    """The parts of a baseline's name; its fits act after its policies, in their order.

    Raises:
        UserError: for unknown solvers, policies and fits, wrong settings, and two rules that
            decide the same.
    """
    parts = split_name(name)
    where = f"baseline {name!r}"
    rules = check_policies(parts.policies, where=where, known=(POLICIES, FITS))
    plain = [
        text
        for text, (rule, _) in zip(parts.policies, rules, strict=True)
        if not isinstance(rule, Fit)
    ]
    grid = f"-{parts.grid}" if parts.grid else ""
    unfitted = "+".join([f"{parts.solver}{grid}", *plain]) + f"@{parts.steps}"
    fits = tuple((rule, values) for rule, values in rules if isinstance(rule, Fit))
    return FittedName(unfitted, fits)


def fit_forwards(names: Sequence[str], denoiser: Denoiser) -> float:
    """About how many forwards of one sample the fits of names take; shared ones count once."""
    total, measured = 0.0, set[tuple[Fit, tuple[Any, ...]]]()
    for name in names:
        parts = check_name(name)
        recipe = baseline(parts.unfitted, denoiser)
        branches = max(len(step.branches) for step in compile_recipe(recipe, denoiser).steps)
        todo = [fit for fit in parts.fits if fit not in measured]
        total += branches * sum(fit.forwards(recipe, denoiser, *values) for fit, values in todo)
        measured.update(parts.shared)
    return total


def is_fitted(name: str) -> bool:
    """Whether a recipe of this name takes the model's measurement."""
    return bool(check_name(name).fits)


def resolve(asked: str | Recipe, calibrator: Calibrator) -> Resolved:
    """The recipe that a baseline's name or a recipe asks for, and what it took to make it.

    A name may ask for measurements of the model, a recipe for a recovery of its weights; what is
    neither is returned as it is, for nothing. Artifacts are kept in the calibrator's store.

    Raises:
        UserError: as :func:`check_name` and :func:`autosearch.baselines.baseline`, and for a model
            that a fit cannot be done on.
    """
    before = calibrator.forward_equivalents
    made = _fitted(asked, calibrator) if isinstance(asked, str) else asked
    recipe = recovered_recipe(made, calibrator)
    return Resolved(recipe, calibrator.forward_equivalents - before)


def _fitted(name: str, calibrator: Calibrator) -> Recipe:
    parts = check_name(name)
    recipe = baseline(parts.unfitted, calibrator.denoiser)
    solver, _, count, _ = split_name(name)
    adapted = SOLVERS[solver].adapt is not None and SOLVERS[solver].stochastic
    # Points of its own, points between those of the grid, or noise by the levels.
    bound = SOLVERS[solver].own_points is not None or len(recipe.steps) != count or adapted
    for fit, values in parts.fits:
        if fit.owns == "time" and bound:
            raise UserError(
                f"baseline {name!r}: the steps of {solver} follow from its grid, and a fit would "
                "move its times alone; fit another solver"
            )
        if fit.sites and not blocks(calibrator.denoiser.sites):
            raise UserError(
                f"baseline {name!r}: this model has no blocks to leave out; leave the fit out"
            )
        # What a fit says of the model, it says of the recipe's weights.
        weighted = calibrator.with_weights(recipe.artifacts.get(WEIGHTS))
        recipe = fit.apply(recipe, weighted, *values)
    return recipe
