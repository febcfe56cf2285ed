"""The compiler from recipes to plans: drops what is inert, resolves published names."""

from autosearch.diffusion.plan.compile import compile_recipe

__all__ = ["compile_recipe"]
