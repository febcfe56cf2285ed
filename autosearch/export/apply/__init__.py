"""Running a recipe in a pipeline of diffusers, and taking it out again.

Nothing here is imported before it is used: diffusers is an extra of the package.
"""

from autosearch.export.apply.apply import apply, remove

__all__ = ["apply", "remove"]
