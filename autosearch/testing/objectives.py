"""What every objective owes, as a class of tests to inherit."""

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Rows
from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import checked_estimate
from autosearch.errors import Infeasible
from autosearch.models.mixture import MixtureModel
from autosearch.objectives.base import Estimate, Objective, compare

__all__ = ["ObjectiveContract"]

# Columns of the rows that models of this project bring; of the others each sample has one number.
_WIDTHS = {
    "features": 6,
    "logits": 4,
    "pixels": 5,
    "final": 3,
    "teacher": 3,
    "teacher_features": 6,
}
_SCALARS = ("teacher_mse", "clip_score", "pick_score", "image_reward")


class ObjectiveContract:
    """Inherit it in a test file, say what to make, and pytest runs the tests below.

    Attributes:
        make: called without arguments; a class, or a function.
        samples: how many rows there are of each kind.
        blocks: into how many equal blocks they are cut.
    """

    make: ClassVar[Callable[[], Objective]]
    samples: ClassVar[int] = 200
    blocks: ClassVar[int] = 20

    def test_it_says_what_it_is(self) -> None:
        objective = self.make_objective()
        assert objective.name.isidentifier(), f"name {objective.name!r} is no identifier"
        assert 10 < len(objective.summary) <= 90, "the summary is no line that says something"
        assert "\n" not in objective.summary, "the summary has more than one line"
        assert objective.direction in ("minimize", "maximize"), objective.direction
        assert isinstance(objective.needs, frozenset), "needs is no frozenset"
        assert type(objective).__doc__, "it has no docstring"

    def test_it_is_either_declared_or_measured(self) -> None:
        objective = self.make_objective()
        declares = type(objective).declared is not Objective.declared
        measures = type(objective).estimate is not Objective.estimate
        assert declares != bool(objective.needs), "without needs it is declared, else measured"
        assert measures == bool(objective.needs), "without needs it is declared, else measured"

    def test_what_a_plan_declares_is_one_number(self) -> None:
        objective = self.make_objective()
        if objective.needs or not objective.ready:
            return
        assert objective.min_samples({}) == 0, "what is declared needs no samples"
        for name in ("ddim@4", "dpmpp_2m@7"):
            value = objective.declared(_plan(name))
            assert math.isfinite(value), f"{name} has the value {value}"
            assert value == objective.declared(_plan(name)), "equal plans, unequal values"

    def test_a_measured_value_is_finite_and_has_an_error(self) -> None:
        objective = self.make_objective()
        if not objective.needs:
            return
        widths = {name: rows.shape[1] for name, rows in self.rows().items() if rows.ndim == 2}
        least = objective.min_samples(widths)
        assert self.blocks <= least <= self.samples, f"it needs {least} samples"
        estimate = self.estimate(objective)
        assert checked_estimate(objective, estimate, self.samples).value == estimate.value
        assert len(estimate.pseudo) == self.blocks, "not one pseudo-value for each block"
        assert estimate.standard_error > 0.0, "random samples, and no error"
        assert estimate == self.estimate(objective), "equal rows, unequal estimates"
        difference, (low, high) = compare(estimate, estimate)
        assert low <= difference == 0.0 <= high, "it differs from itself"

    def test_rows_that_are_not_finite_are_infeasible(self) -> None:
        objective = self.make_objective()
        for name in objective.needs:
            broken = self.rows()[name].astype(np.float64)
            broken[:] = np.nan
            reason = ""
            try:
                self.estimate(objective, **{name: broken})
            except Infeasible as error:
                reason = str(error)
            counted = f"{self.samples} of {self.samples}"
            assert counted in reason, f"{name} is not a number, and {reason or 'it has a value'}"

    def make_objective(self) -> Objective:
        """A new objective."""
        # From the class, so that a function is not taken for a method.
        return type(self).make()

    def rows(self) -> dict[str, NDArray[Any]]:
        """Rows of every kind, of samples that no model made; add those of a kind of one's own."""
        rng = np.random.default_rng(0)
        rows: dict[str, NDArray[Any]] = {
            n: rng.normal(size=(self.samples, width)) for n, width in _WIDTHS.items()
        }
        rows |= {name: rng.exponential(size=self.samples) for name in _SCALARS}
        return rows | {"labels": np.arange(self.samples) % _WIDTHS["logits"]}

    def reference(self) -> Rows:
        """What models have of real data; add what an objective of one's own reads."""
        real = np.random.default_rng(1).normal(size=(150, _WIDTHS["features"]))
        return {
            "features": real.astype(np.float32),
            "features_mean": real.mean(axis=0),
            "features_cov": np.cov(real, rowvar=False),
            "pixels_mean": np.zeros(_WIDTHS["pixels"]),
            "pixels_cov": np.eye(_WIDTHS["pixels"]),
            "bounds.clip_score": np.array([0.0, 3.0]),
            "bounds.pick_score": np.array([0.0, 3.0]),
        }

    def estimate(self, objective: Objective, **others: NDArray[Any]) -> Estimate:
        """Its estimate from the rows that it needs, as they come from another process."""
        rows = {**self.rows(), **others}
        lacking = sorted(objective.needs - set(rows))
        assert not lacking, f"no rows of kind {lacking[0]!r} to test with: override rows()"
        needed = {name: rows[name] for name in objective.needs}
        reference = self.reference()
        for array in (*needed.values(), *reference.values()):
            array.flags.writeable = False
        return objective.estimate(needed, reference, self.blocks)


@functools.cache
def _plan(name: str) -> Plan:
    denoiser = MixtureModel.load(dimension=2, components=2).denoiser
    return compile_recipe(baseline(name, denoiser), denoiser)
