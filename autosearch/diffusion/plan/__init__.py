"""From a recipe to a plan: what is inert goes, what is named by its publication is resolved."""

from autosearch.diffusion.plan.compile import compile_recipe

__all__ = ["compile_recipe"]
