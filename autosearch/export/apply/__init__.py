"""Pipelines of diffusers: models to search, and recipes to run in them.

Nothing here is imported before it is used: diffusers is an extra of the package.
"""

from autosearch.export.apply.apply import apply, remove

__all__ = ["apply", "remove"]
