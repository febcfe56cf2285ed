"""DC-Solver's cascade polynomial: ratios for step counts and guidance scales that nobody fitted.

A ratio is a cubic in the step's share ``i / K`` (i from 1), whose coefficients are quadratics in
``scale / 12``, whose coefficients are quadratics in ``K / 50``: 36 numbers in all, which enter
linearly. Published as a non-linear fit; least squares finds the same numbers, and where there are
fewer ratios than numbers the smallest ones. The first two steps of a recipe have ratio 1.
"""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from autosearch._typing import Array
from autosearch.baselines.fitted.base import with_steps
from autosearch.diffusion.plan.compensation import LEAST_HISTORY
from autosearch.errors import UserError, validated
from autosearch.recipe import Recipe, round_float
from autosearch.recipe.schema import Strict

__all__ = ["Cascade", "recipe_scale"]

_POWERS = tuple(itertools.product(range(4), range(3), range(3)))
_SCALE, _STEPS = 12.0, 50.0
_DIGITS = 4


class Cascade(Strict):
    """The 36 numbers, and the model that they were fitted on."""

    method: Literal["dc cascade"] = "dc cascade"
    model: str
    coefficients: Annotated[list[float], Field(min_length=len(_POWERS), max_length=len(_POWERS))]

    @classmethod
    def fit(cls, recipes: Sequence[Recipe], *, model: str) -> "Cascade":
        """Fit the numbers to recipes with fitted ratios.

        Raises:
            UserError: when none has three steps.
        """
        rows, ratios = [], []
        for recipe in recipes:
            scale, count = recipe_scale(recipe), len(recipe.steps)
            for i in range(LEAST_HISTORY - 1, count):
                rows.append(_terms(i, count, scale))
                ratios.append(recipe.steps[i].compensation)
        if not rows:
            raise UserError("cascade: ratios begin at the third step; fit recipes of 3 or more")
        found = np.linalg.lstsq(np.array(rows), np.array(ratios), rcond=None)[0]
        return cls(model=model, coefficients=[round_float(value) for value in found.tolist()])

    @classmethod
    def load(cls, path: Path) -> "Cascade":
        """Read a file.

        Raises:
            UserError: when it is missing or is no cascade.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot read the cascade: {error.strerror}") from None
        except ValueError:
            data = None
        where = (
            f"{path}: no cascade of DC-Solver (autosearch calibrate MODEL --method dc makes one)"
        )
        return validated(cls, data, where=where)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return self.model_dump()

    def ratios(self, steps: int, scale: float = 1.0) -> list[float]:
        """A ratio for each of ``steps`` steps at a guidance scale; scale 1 is unguided."""
        found = [1.0] * min(steps, LEAST_HISTORY - 1)
        for i in range(LEAST_HISTORY - 1, steps):
            value = float(_terms(i, steps, scale) @ np.asarray(self.coefficients))
            found.append(round(min(max(value, -10.0), 10.0), _DIGITS))
        return found

    def apply(self, recipe: Recipe, *, model: str) -> Recipe:
        """The recipe with predicted ratios.

        Raises:
            UserError: when the ratios were fitted on another model.
        """
        if model != self.model:
            raise UserError(
                f"cascade: fitted on another model ({self.model}, this is {model}); fit it here"
            )
        ratios = self.ratios(len(recipe.steps), recipe_scale(recipe))
        return with_steps(recipe, [{"compensation": ratio} for ratio in ratios])


def recipe_scale(recipe: Recipe) -> float:
    """The scale of classifier-free guidance at the first step; 1 without."""
    rules = [rule for rule in recipe.steps[0].guidance if rule.rule in ("cfg", "cfgpp")]
    return float(rules[0].scale) if rules and isinstance(rules[0].scale, (int, float)) else 1.0


def _terms(i: int, steps: int, scale: float) -> Array:
    share, scaled, count = (i + 1) / steps, scale / _SCALE, steps / _STEPS
    return np.array([share**a * scaled**b * count**c for a, b, c in _POWERS])
