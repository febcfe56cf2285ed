"""A recipe that a search is given, and what becomes of a baseline's name on its problem."""

from dataclasses import dataclass

from autosearch.baselines import baseline
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces.base import Genome
from autosearch.spaces.product import fragment

__all__ = ["Given", "named_recipe"]


@dataclass(frozen=True)
class Given:
    """A recipe that the search is given: its name, its plan and its genome.

    ``foreign``: the space cannot express it. It is measured like the others, as a yardstick, and no
    algorithm gets to see it; its genome is the recipe itself.
    """

    name: str
    recipe: Recipe
    plan: Plan
    genome: Genome
    foreign: bool = False

    @classmethod
    def of(cls, problem: Problem, name: str, recipe: Recipe, plan: Plan | None = None) -> "Given":
        """A recipe as a problem's space has it.

        Raises:
            UserError: when the model cannot run it.
        """
        plan = problem.compile(recipe) if plan is None else plan
        genome = problem.space.encode(recipe)
        foreign = genome is None
        return cls(name, recipe, plan, fragment(recipe) if genome is None else genome, foreign)


def named_recipe(problem: Problem, name: str) -> Given | UserError:
    """The baseline of a name that is not a fitted one, or why the model cannot run it."""
    try:
        return Given.of(problem, name, baseline(name, problem.denoiser))
    except UserError as error:
        # Such as a grid that this step count does not have.
        return error
